"""Packages are the same bytes wherever they are built, and their provenance suffices for it.

A package is built here, and made again from its provenance in another folder, with an empty
cache of derived things, as under another user: home, umask, time zone, locale, one job, and
another kernel's name. The ones that have a Python take a minute.
"""

import shutil
import sys
from pathlib import Path

import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT, cache_root
from builder.base.run import Command, run

_BUILDER = [sys.executable, "-m", "builder", "--quiet"]
_OTHER_KERNEL = ("setarch", "--uname-2.6")


def _environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "USER": "somebody",
        "LOGNAME": "somebody",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "LANG": "C",
        "PYTHONHASHSEED": "7",
        "BUILDER_CACHE": str(cache_root()),
    }


@pytest.mark.build
@pytest.mark.parametrize("fmt", PackageFormat)
@pytest.mark.parametrize(
    "package",
    [
        "backendai-common",
        *(
            pytest.param(name, marks=pytest.mark.full)
            for name in ("backendai-client", "backendai-manager")
        ),
    ],
)
def test_a_package_is_made_again_as_it_was(
    package: str, fmt: PackageFormat, tmp_path: Path
) -> None:
    out, home = tmp_path / "dist", tmp_path / "home"
    home.mkdir()
    run([*_BUILDER, "build", package, "--format", fmt.value, "--out", str(out)], cwd=PROJECT)
    (built,) = out.glob(f"*.{fmt.value}")
    prefix = _OTHER_KERNEL if shutil.which(_OTHER_KERNEL[0]) else ()
    again = Command(
        words=[*prefix, *_BUILDER, "reproduce", str(built), "--jobs", "1"],
        cwd=PROJECT,
        env=_environment(home),
        umask=0o077,
    )
    assert f"identical: {built.name}" in run(again).stdout
