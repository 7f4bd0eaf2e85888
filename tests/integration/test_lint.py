"""lintian and rpmlint find nothing in the packages that is not overridden with a reason.

The overrides ship in each deb; rpm's are in rpm/rpmlint.toml. Packages with a Python take
a minute each and are alike, and so are add-ons: one stands for all, the others are marked
``full``, and so is the runtime. Two checks of lintian take more than all others together where
a package has files below /opt, which wheels brought; there they are left to the runs with
BUILDER_FULL, too.
"""

import os
import shutil

import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PKGSPEC, PROJECT
from builder.base.run import run
from builder.spec import Spec, load_spec
from tests.integration.dist import Dist
from tests.integration.steps import Steps

_SERVICE = "backendai-appproxy-worker"  # of the smallest
_RUNTIME = "backendai-runtime"
_ADDON = "backendai-accelerator-cuda-open"
_LIMIT = ["timeout", "900"]
# Whether a script is a known library's copy, and whether gzip can read each archive.
_SLOW_CHECKS = ["--dont-check-part", "languages/javascript/embedded,files/compressed/gz"]


def _is_whole() -> bool:
    return bool(os.environ.get("BUILDER_FULL"))


def _packages() -> list[object]:
    spec = load_spec(PKGSPEC)
    return [
        pytest.param(name, marks=() if _stands_for_others(spec, name) else pytest.mark.full)
        for name in spec.release(None).packages
    ]


def _stands_for_others(spec: Spec, name: str) -> bool:
    """Whether it is the one of its kind: a service by Python, an add-on, each other package."""
    package = spec.packages[name]
    if package.addon:
        return name == _ADDON
    if name == _RUNTIME:  # a Python, as below each service
        return False
    return name == _SERVICE or package.service is None or package.python is None


@pytest.mark.build
@pytest.mark.parametrize("package", _packages())
def test_lintian(package: str, dist: Dist, steps: Steps) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed: apt-get install lintian")
    name = dist.names(PackageFormat.DEB, package)[-1]
    options = ["--allow-root", "--fail-on=error,warning", "--tag-display-limit=0"]
    if load_spec(PKGSPEC).packages[package].has_opt and not _is_whole():
        options += _SLOW_CHECKS
    with steps("lintian"):
        result = run([*_LIMIT, "lintian", *options, dist.folder / name], check=False)
    assert result.status == 0, result.stdout[:20_000] + result.stderr
    assert not result.stdout, result.stdout[:20_000]


@pytest.mark.build
@pytest.mark.parametrize("package", _packages())
def test_rpmlint(package: str, dist: Dist, steps: Steps) -> None:
    if shutil.which("rpmlint") is None:
        pytest.skip("rpmlint is not installed: apt-get install rpmlint")
    name = dist.names(PackageFormat.RPM, package)[-1]
    settings = f"--config={PROJECT}/rpm/rpmlint.toml"
    with steps("rpmlint"):
        result = run([*_LIMIT, "rpmlint", settings, dist.folder / name], check=False)
    found = [line for line in result.stdout.splitlines() if ": W: " in line or ": E: " in line]
    assert not found, "\n".join(found[:200])
    assert "1 packages and 0 specfiles checked; 0 errors, 0 warnings" in result.stdout
