"""The inventory of wheels and of CPython: what their trees say, and nothing guessed."""

import pyexpat
import sqlite3
import sys
from pathlib import Path

from builder.sbom.runtime import runtime_part
from tests.unit.sbom.runtimes import PREFIX, runtime_at


def test_a_cpython_that_runs_here_knows_the_libraries_inside_of_it() -> None:
    tree = Path(sys.executable).resolve().parents[1]
    part = runtime_part(runtime_at(tree, Path(sys.executable).resolve()), PREFIX)
    assert part is not None
    versions = {inner.name: inner.version for inner in part.parts}
    assert versions["sqlite"] == sqlite3.sqlite_version
    assert f"expat_{versions['expat']}" == pyexpat.EXPAT_VERSION
    assert {"openssl", "zlib", "mpdecimal"} <= versions.keys()
    assert len({inner.ref for inner in part.parts}) == len(part.parts)
