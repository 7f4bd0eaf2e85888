"""The nouns: architectures, formats, releases, packages, locks. No I/O here."""

import os
from enum import StrEnum

from builder.base.errors import UsageError


class Arch(StrEnum):
    """A processor architecture and its spellings; the value is Debian's."""

    AMD64 = "amd64"
    ARM64 = "arm64"

    @property
    def machine(self) -> str:
        """The kernel's name, which rpm, wheels and standalone builds use."""
        return {Arch.AMD64: "x86_64", Arch.ARM64: "aarch64"}[self]

    @property
    def elf_machine(self) -> str:
        """The name in an ELF header, as pyelftools spells it."""
        return {Arch.AMD64: "EM_X86_64", Arch.ARM64: "EM_AARCH64"}[self]

    @property
    def triplet(self) -> str:
        """The GNU triplet of shared-library folders."""
        return f"{self.machine}-linux-gnu"

    @classmethod
    def from_machine(cls, machine: str) -> "Arch":
        """The architecture the kernel calls ``machine``; ValueError if unknown."""
        for arch in cls:
            if machine in (arch.machine, arch.value):
                return arch
        raise ValueError(f"no architecture is called {machine!r}")


def host_arch() -> Arch:
    """The architecture of this host; UsageError where it is none of ours."""
    machine = os.uname().machine
    try:
        return Arch.from_machine(machine)
    except ValueError as error:
        raise UsageError(
            f"this host is {machine}: packages are built on x86_64 or aarch64",
            hint="build on a Linux host of one of these",
        ) from error


class PackageFormat(StrEnum):
    """A package format; the value is also nfpm's name of it."""

    DEB = "deb"
    RPM = "rpm"


class RuntimeChoice(StrEnum):
    """Where the bundled CPython comes from; AUTO tries the cache, PBS, SOURCE."""

    AUTO = "auto"
    PBS = "pbs"
    SOURCE = "source"
    ARCHIVE = "archive"
    DISTRO = "distro"
