"""Packages of an older revision of the release under test, as hosts have them installed."""

import os
import re
import shutil
from pathlib import Path

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from tests.integration.dist import Dist, NoPackagesError

# Not dist/, of which the end-to-end cases publish everything.
_DEFAULT = PROJECT / "build" / "former"
_REVISION = re.compile(r"-(\d+)(?:_\w+\.deb|\.\w+\.rpm)$")
_HINT = "set BUILDER_FORMER_DIST to a folder with the packages of an older revision"


def have_former(dist: Dist, kind: PackageFormat, *packages: str) -> list[str]:
    """Copy these packages of an older revision beside those under test; their file names.

    They are in BUILDER_FORMER_DIST or build/former; NoPackagesError where no older ones are.
    """
    folder = Path(os.environ.get("BUILDER_FORMER_DIST") or _DEFAULT)
    try:
        names = Dist(folder=folder, version=dist.version).names(kind, *packages)
    except NoPackagesError as error:
        raise NoPackagesError(error.message, hint=_HINT) from error
    # The older ones may lack the runtime, which comes first.
    news = dist.names(kind, *packages)[-len(packages) :]
    for former, new in zip(names[-len(packages) :], news, strict=True):
        if revision_of(former) >= revision_of(new):
            raise NoPackagesError(f"{former} in {folder} is not older than {new}", hint=_HINT)
    for name in names:
        shutil.copyfile(folder / name, dist.folder / name)
    return names


def revision_of(name: str) -> int:
    """The packaging's revision in a package's file name."""
    match = _REVISION.search(name)
    assert match, name
    return int(match[1])
