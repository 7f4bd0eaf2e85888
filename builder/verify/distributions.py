"""The distributions on which packages are verified: ``pkgspec/distributions.toml``."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from builder.base.errors import UsageError
from builder.base.model import PackageFormat
from builder.base.paths import PKGSPEC
from builder.spec.types import Strict, Text
from builder.spec.validate import load_model

DISTRIBUTIONS_FILE = PKGSPEC / "distributions.toml"


class Manager(StrEnum):
    """A package manager, which decides the format."""

    APT = "apt"
    DNF = "dnf"
    ZYPPER = "zypper"

    @property
    def packs(self) -> PackageFormat:
        """The format of the packages that it installs."""
        return PackageFormat.DEB if self is Manager.APT else PackageFormat.RPM


class Distribution(Strict):
    """One distribution, and how a host of it is made."""

    # It names files of evidence and tags of images.
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    image: Text
    manager: Manager
    id: Text = Field(description="ID of /etc/os-release")
    version: Text = Field(description="how VERSION_ID of /etc/os-release begins")
    base: tuple[Text, ...] = ()
    stores: tuple[Text, ...] = ()
    setup: tuple[str, ...] = ()
    units: tuple[Text, ...] = ()
    drop_ins: dict[str, str] = Field({})


class DistributionsFile(Strict):
    """All of the file."""

    distribution: tuple[Distribution, ...] = Field(min_length=1)


def load_distributions(path: Path) -> tuple[Distribution, ...]:
    """Load the distributions of a file; raises SpecError with every problem."""
    label = f"{path.parent.name}/{path.stem}"
    return load_model(DistributionsFile, path, label).distribution


def choose(
    known: Sequence[Distribution], names: Iterable[str], formats: Iterable[PackageFormat]
) -> list[Distribution]:
    """Return the distributions ``names``, or else all that install one of ``formats``.

    Raises UsageError for a name that the file lacks.
    """
    chosen = []
    for name in names:
        found = [distribution for distribution in known if distribution.name == name]
        if not found:
            listed = ", ".join(distribution.name for distribution in known)
            raise UsageError(f"no distribution is called '{name}'", hint=f"there are: {listed}")
        chosen += found
    wanted = set(formats)
    return chosen or [
        distribution for distribution in known if distribution.manager.packs in wanted
    ]


def match(known: Sequence[Distribution], image: str, release: Mapping[str, str]) -> Distribution:
    """Return the entry by which to set up ``image``, whose os-release is ``release``.

    That is the same distribution and version, or the same distribution, or one that it is
    like. Raises UsageError if there is none.
    """
    own, version = release.get("ID", ""), release.get("VERSION_ID", "")
    families = [own, *release.get("ID_LIKE", "").split()]
    same = [
        distribution
        for distribution in known
        if distribution.id == own and version.startswith(distribution.version)
    ]
    like = [
        distribution for family in families for distribution in known if distribution.id == family
    ]
    for found in (*same, *like):
        return found.model_copy(update={"image": image, "name": _name(image)})
    raise UsageError(
        f"image {image} is of '{own or 'no distribution'}', which no entry is for",
        hint="add one to a file like pkgspec/distributions.toml and name it by --distributions",
    )


def parse_os_release(text: str) -> dict[str, str]:
    """Parse /etc/os-release into a table."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _name(image: str) -> str:
    return "".join(
        letter if letter.isalnum() or letter in ".-" else "-" for letter in image.lower()
    )
