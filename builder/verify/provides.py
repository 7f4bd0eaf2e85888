"""What a distribution provides, as far as packages ask for it: ``pkgspec/provides/``."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from builder.base.errors import UsageError
from builder.base.paths import PKGSPEC
from builder.spec.types import Strict, Text
from builder.spec.validate import load_model

PROVIDES_FOLDER = PKGSPEC / "provides"
SYMBOLS_FILE = PROVIDES_FOLDER / "symbols.toml"

# Versions of each name; "" is a provide without a version.
Capabilities = Mapping[str, tuple[str, ...]]

_PLAIN = "()(64bit)"
# What every rpm since el8 unpacks; the payload's compression is a matter of the record.
_RPMLIB = {
    "CompressedFileNames": "3.0.4-1",
    "FileDigests": "4.6.0-1",
    "PayloadFilesHavePrefix": "4.0-1",
}
_RPMLIB_PAYLOADS = {
    "bzip2": ("PayloadIsBzip2", "3.0.5-1"),
    "xz": ("PayloadIsXz", "5.2-1"),
    "zstd": ("PayloadIsZstd", "5.4.18-1"),
}


class Record(Strict):
    """The recorded provides of one distribution."""

    recorded: date = Field(description="the day")
    source: Text = Field(description="where the names and versions are from")
    payloads: tuple[Text, ...] = Field(description="compressions that its package manager unpacks")
    packages: dict[str, str] = Field(description="versions by name; only of names that are asked")
    virtual: tuple[Text, ...] = Field((), description="provides that have no version")
    paths: tuple[Text, ...] = ()
    symbols: dict[str, str] = Field({}, description="the last symbol version of each series")


class Series(Strict):
    """The symbol versions that a library has had, oldest first."""

    versions: tuple[Text, ...] = ()
    counted: str = Field("", description="those after them: this, and a number from 0 on")

    def until(self, last: str) -> Iterator[str]:
        """Yield all versions up to ``last``; raises UsageError if it is none of the series."""
        if last in self.versions:
            yield from self.versions[: self.versions.index(last) + 1]
            return
        number = last.removeprefix(self.counted)
        if not self.counted or number == last or not number.isdecimal():
            raise UsageError(f"{last} is no version of this series of symbols")
        yield from self.versions
        yield from (f"{self.counted}{count}" for count in range(int(number) + 1))


class Symbols(Strict):
    """The libraries of every distribution whose packages are rpms."""

    libraries: tuple[Text, ...] = Field(description="whose versions never decide")
    versioned: dict[str, tuple[str, ...]] = Field(description="series of each other library")
    series: dict[str, Series]

    @model_validator(mode="after")
    def _series_exist(self) -> Self:
        for library, names in self.versioned.items():
            unknown = set(names) - set(self.series)
            if unknown:
                raise ValueError(f"{library} has a series that is not described: {unknown.pop()}")
        return self

    def provides(self, last: Mapping[str, str]) -> Iterator[str]:
        """Yield the provides of all libraries whose series end at ``last``."""
        yield from (f"{name}" for name in self.libraries)
        for library, names in self.versioned.items():
            yield f"{library}{_PLAIN}"
            for name in names:
                versions = self.series[name].until(last[name])
                yield from (f"{library}({name}_{version})(64bit)" for version in versions)


def record_path(name: str, folder: Path = PROVIDES_FOLDER) -> Path:
    """Return the path of a distribution's record."""
    return folder / f"{name}.toml"


def load_record(name: str, folder: Path = PROVIDES_FOLDER) -> Record:
    """Load the record of a distribution; raises UsageError if there is none."""
    path = record_path(name, folder)
    if not path.is_file():
        known = sorted(found.stem for found in folder.glob("*.toml") if found != SYMBOLS_FILE)
        raise UsageError(
            f"nothing is recorded of what {name} provides",
            hint=f"give its package list: --lists {name}=FILE; recorded: {', '.join(known)}",
        )
    return load_model(Record, path, f"{folder.name}/{name}")


def load_symbols(path: Path = SYMBOLS_FILE) -> Symbols:
    """Load the symbols of libraries; raises SpecError."""
    return load_model(Symbols, path, f"{path.parent.name}/{path.stem}")


def deb_capabilities(record: Record) -> Capabilities:
    """Return what packages of a deb distribution may depend on."""
    return {
        **dict.fromkeys(record.virtual, ("",)),
        **{name: (version,) for name, version in record.packages.items()},
    }


def rpm_capabilities(record: Record, symbols: Symbols) -> Capabilities:
    """Return what packages of an rpm distribution may require, rpm's own features included."""
    return {
        **dict.fromkeys(rpm_unversioned(record, symbols), ("",)),
        **{name: (version,) for name, version in record.packages.items()},
        **{f"rpmlib({name})": (version,) for name, version in _rpmlib(record)},
    }


def rpm_unversioned(record: Record, symbols: Symbols) -> Iterator[str]:
    """Yield the provides of an rpm distribution that have no version."""
    yield from (*record.virtual, *record.paths)
    if record.symbols:
        yield from symbols.provides(record.symbols)


def _rpmlib(record: Record) -> Iterator[tuple[str, str]]:
    yield from _RPMLIB.items()
    yield from (found for name, found in _RPMLIB_PAYLOADS.items() if name in record.payloads)
