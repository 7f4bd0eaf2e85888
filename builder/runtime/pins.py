"""The pinned CPythons of ``pkgspec/runtimes.toml``, and the choice of one for a release."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field, model_validator

from builder.base.errors import RuntimeUnavailableError, SpecError
from builder.base.model import Arch
from builder.base.parse import TextError, parse_toml
from builder.base.paths import PROJECT, RUNTIMES_FILE
from builder.runtime.model import RuntimeRequest
from builder.spec.validate import read_toml, validate

FullVersion = Annotated[str, Field(pattern=r"^3\.\d+\.\d+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]


class _Pin(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: FullVersion
    sha256: Sha256

    @property
    def minor(self) -> str:
        """The minor version, e.g. "3.13"."""
        return self.version.rpartition(".")[0]


PinT = TypeVar("PinT", bound=_Pin)


class StandalonePin(_Pin):
    """One asset of the standalone builds' release ``tag``."""

    tag: Annotated[str, Field(pattern=r"^\d{8}$")]
    arch: Arch
    # Other flavours hold build artefacts in a different layout.
    flavour: Literal["install_only", "install_only_stripped"]
    asset: FileName

    @model_validator(mode="after")
    def _asset_agrees(self) -> Self:
        stem = asset_stem(self.version, self.tag, self.arch, self.flavour)
        if self.asset != f"{stem}.tar.gz":
            raise ValueError(f"asset {self.asset!r} should be {stem + '.tar.gz'!r}")
        return self


class SourcePin(_Pin):
    """One upstream tarball, and where Debian's mirrors keep the same bytes."""

    file: FileName
    debian_file: FileName
    debian_pool: Annotated[str, Field(pattern=r"^pool/([a-z0-9.+-]+/)+$")]
    debian_suite: str = ""


class Pins(BaseModel):
    """Every pin, as the file has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    standalone: tuple[StandalonePin, ...] = ()
    source: tuple[SourcePin, ...] = ()

    @model_validator(mode="after")
    def _no_twins(self) -> Self:
        seen: set[tuple[str, ...]] = set()
        builds = [(p.version, p.tag, p.arch.value, p.flavour) for p in self.standalone]
        for identity in [*builds, *((p.version,) for p in self.source)]:
            if identity in seen:
                raise ValueError(f"{' '.join(identity)} is pinned twice")
            seen.add(identity)
        return self


def asset_stem(version: str, tag: str, arch: Arch, flavour: str) -> str:
    """Return the name of a standalone asset without its ``.tar.gz``."""
    return f"cpython-{version}+{tag}-{arch.machine}-unknown-linux-gnu-{flavour}"


def load_pins(path: Path = RUNTIMES_FILE) -> Pins:
    """Read the pins; raises SpecError with every problem the file has."""
    label = str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
    table, problems = read_toml(path, label)
    return _pins_of(table, label, problems)


def parse_pins(text: str, label: str) -> Pins:
    """Return the pins in ``text``; ``label`` stands for the file in messages."""
    try:
        return _pins_of(parse_toml(text), label, [])
    except TextError as error:
        raise SpecError([f"{label}: {error}"]) from error


def _pins_of(table: dict[str, Any], label: str, problems: list[str]) -> Pins:
    if not problems:
        pins, problems = validate(Pins, table, label)
        if pins is not None:
            return pins
    raise SpecError(problems)


def choose_standalone(
    pins: Pins, request: RuntimeRequest, arch: Arch | None = None
) -> StandalonePin:
    """Return the newest standalone build of the minor that the release allows.

    ``arch`` replaces the request's: a foreign build needs this host's asset too.
    """
    arch = arch or request.arch
    built = [pin for pin in pins.standalone if pin.arch is arch]
    fitting = _fitting(built, request, f"standalone build for {arch}")
    # A rebuild of one version under a later tag has a newer OpenSSL and other libraries.
    return max(fitting, key=lambda pin: (Version(pin.version), pin.tag))


def choose_sources(pins: Pins, request: RuntimeRequest) -> list[SourcePin]:
    """Return every source tarball of the minor that the release allows, newest first."""
    fitting = _fitting(pins.source, request, "source tarball")
    return sorted(fitting, key=lambda pin: Version(pin.version), reverse=True)


def check_version(version: str, request: RuntimeRequest, origin: str) -> None:
    """Raise unless the release accepts the Python found at ``origin``."""
    if not _allowed(request).contains(version, prereleases=True):
        raise RuntimeUnavailableError(
            f"{origin} is Python {version}, but {_who(request)} {request.requires_python}",
            hint=f"give a CPython {request.minor} instead, or let --runtime auto choose",
        )
    if version.rpartition(".")[0] != request.minor:
        raise RuntimeUnavailableError(
            f"{origin} is Python {version}, but {_who(request)} {request.minor}: its wheels are"
            " locked for that",
            hint=f"give a CPython {request.minor} instead, or lock the release again",
        )


def _who(request: RuntimeRequest) -> str:
    return f"release {request.release} wants" if request.release else "this wants"


def _allowed(request: RuntimeRequest) -> SpecifierSet:
    try:
        return SpecifierSet(request.requires_python)
    except InvalidSpecifier as error:
        raise SpecError(
            [f"release {request.release}: Requires-Python {request.requires_python!r} is not valid"]
        ) from error


def _fitting(pins: Sequence[PinT], request: RuntimeRequest, what: str) -> list[PinT]:
    allowed = _allowed(request)
    of_minor = [pin for pin in pins if pin.minor == request.minor]
    fitting = [pin for pin in of_minor if allowed.contains(pin.version)]
    if fitting:
        return fitting
    there = ", ".join(sorted({pin.version for pin in pins}, key=Version)) or "none"
    raise RuntimeUnavailableError(
        f"{_who(request)} Python {request.minor} ({request.requires_python}), but no such {what}"
        f" is pinned in {RUNTIMES_FILE.relative_to(PROJECT)}; there are: {there}",
        hint=f"add one with 'builder runtime list --latest --refresh --minor {request.minor}',"
        " or use --runtime archive with a Python of your own",
    )


class Pinned:
    """The base of the providers that choose by pins."""

    def __init__(self, pins: Pins | None = None) -> None:
        self._pins = pins

    @property
    def pins(self) -> Pins:
        """The pins to choose from; read from the repository unless given."""
        if self._pins is None:
            self._pins = load_pins()
        return self._pins
