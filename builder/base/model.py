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
        """Return the architecture that the kernel calls ``machine``; ValueError if unknown."""
        for arch in cls:
            if machine in (arch.machine, arch.value):
                return arch
        raise ValueError(f"no architecture is called {machine!r}")


def host_arch() -> Arch:
    """Return the architecture of this host; UsageError if packages are not built for it."""
    machine = os.uname().machine
    try:
        return Arch.from_machine(machine)
    except ValueError as error:
        raise UsageError(
            f"this host is {machine}: packages are built on x86_64 or aarch64",
            hint="build on a Linux host of one of these",
        ) from error


def full_version(version: str, revision: int) -> str:
    """Return a package's version with the packaging's revision, as both formats spell it."""
    return f"{version}-{revision}"


class PackageFormat(StrEnum):
    """A package format and its spellings; the value is also nfpm's name of it."""

    DEB = "deb"
    RPM = "rpm"

    def arch_name(self, arch: Arch | None) -> str:
        """Return the format's name of an architecture; None is a package for all of them."""
        match self:
            case PackageFormat.DEB:
                return arch.value if arch else "all"
            case PackageFormat.RPM:
                return arch.machine if arch else "noarch"

    def file_name(self, name: str, version: str, arch: str) -> str:
        """Return the name of a package's file, by the format's convention and in its spellings."""
        match self:
            case PackageFormat.DEB:
                return f"{name}_{version}_{arch}.deb"
            case PackageFormat.RPM:
                return f"{name}-{version}.{arch}.rpm"

    def file_pattern(self, name: str) -> str:
        """Return a glob of the package's files, whatever their version and architecture."""
        return {PackageFormat.DEB: f"{name}_*.deb", PackageFormat.RPM: f"{name}-[0-9]*.rpm"}[self]

    @property
    def sign_before(self) -> str:
        """The sign for "before this version"."""
        return {PackageFormat.DEB: "<<", PackageFormat.RPM: "<"}[self]

    def relation(self, name: str, sign: str, version: str) -> str:
        """Return a relation to versions of another package, such as a dependency."""
        match self:
            case PackageFormat.DEB:
                return f"{name} ({sign} {version})"
            case PackageFormat.RPM:
                return f"{name} {sign} {version}"


class RuntimeChoice(StrEnum):
    """Where the bundled CPython comes from; AUTO tries the cache, PBS, SOURCE."""

    AUTO = "auto"
    PBS = "pbs"
    SOURCE = "source"
    ARCHIVE = "archive"
    DISTRO = "distro"


class Profile(StrEnum):
    """The purpose of a build, which decides how long it may take and who reads its packages."""

    FAST = "fast"  # built often, installed on what is current
    RELEASE = "release"  # built once, downloaded and run by many
    COMPAT = "compat"  # read by any dpkg and rpm that is in use

    @property
    def optimizes_python(self) -> bool:
        """Whether a CPython that is compiled here gets PGO and LTO; standalone builds have both."""
        return self is Profile.RELEASE
