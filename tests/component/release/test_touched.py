"""The packages that a fix raises, on the real ones."""

from datetime import date
from fnmatch import fnmatch
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.lock import Lock
from builder.plan.sources import read_sources
from builder.release.edit import make_entry
from builder.release.facts import release_locks
from builder.release.touched import Family, Plans, programs_of, raised_entry
from builder.spec import Spec
from tests.helpers.wheelhouse import Recipe

Line = tuple[Family, dict[str, Lock], Plans]


@pytest.fixture(scope="module")
def line(real_spec: Spec) -> Line:
    """The default release, its locks, and its plans."""
    release = real_spec.release(None)
    family = Family(spec=real_spec, release=release, sources=read_sources(PROJECT))
    locks = {lock.package: lock for lock in release_locks(real_spec, release)}
    return family, locks, family.plans(locks)


@pytest.mark.parametrize(
    ("raised", "also"),
    [
        ("backendai-runtime", ""),
        ("backendai-client", "backendai"),
        ("backendai-storage-proxy", "backendai"),
        ("backendai-agent", "backendai-accelerator-*"),
        ("backendai-common", "*"),
    ],
)
def test_a_package_is_raised_with_those_alone_that_name_its_version(
    line: Line, raised: str, also: str
) -> None:
    family, locks, before = line
    release = family.release
    draft = make_entry(version=release.version, day=date(2030, 1, 2), changes=["A fix."])
    entry = raised_entry(family, before, locks, draft, [raised])
    concerned = [name for name in release.packages if name == raised or fnmatch(name, also)]
    # The runtime asks for no other package.
    alone = {"backendai-runtime"} - {raised}
    assert set(entry.packages) == set(concerned) - alone
    assert entry.revision == release.revision_of(raised) + 1


def test_programs_are_those_that_a_service_gets_a_copy_of(tmp_path: Path) -> None:
    plain = Recipe(name="tool", scripts={"tool": "tool:main"}).write(tmp_path)
    assert programs_of(plain) == {"tool": "tool:main"}
    data = Recipe(name="data", files={"data-1.0.data/scripts/run": b"#!python\n"}).write(tmp_path)
    changed = Recipe(name="data", version="1.1", files={"data-1.1.data/scripts/run": b"#!python"})
    assert set(programs_of(data)) == {"run"}
    assert programs_of(data) != programs_of(changed.write(tmp_path))
