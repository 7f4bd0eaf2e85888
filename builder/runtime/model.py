"""The request that every runtime provider gets, and the runtime that it returns.

A **runtime** is a relocatable CPython tree in the layout of a standalone asset
without its leading ``python/``: ``bin/python3.13``, ``lib/python3.13/…``.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol

from builder.base.cache import Cache
from builder.base.model import Arch, RuntimeChoice


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """The means that a provider may use to get a CPython."""

    offline: bool = False
    jobs: int = 1
    mirror: str | None = None  # of the standalone release tree; http(s):// or file://
    archive: Path | None = None  # for the archive provider: tarball or folder
    source: Path | None = None  # for the source provider: a tarball already here
    pgo: bool = False
    lto: bool = False
    install_build_deps: bool = False  # may run apt-get or dnf as root


@dataclass(frozen=True, kw_only=True)
class RuntimeRequest(RuntimeOptions):
    """The requested CPython, and the means that a provider may use to get it."""

    minor: str  # "3.13"
    requires_python: str  # the release's specifier, e.g. ">=3.13,<3.14"
    release: str  # "26.9.6", for error messages
    arch: Arch
    # False: of a runtime in the cache only the record is read, and its tree must not be used.
    whole: bool = True

    @classmethod
    def with_options(
        cls, options: RuntimeOptions, *, minor: str, requires_python: str, release: str, arch: Arch
    ) -> "RuntimeRequest":
        """Return a request for one CPython by ``options``."""
        given = {field.name: getattr(options, field.name) for field in fields(RuntimeOptions)}
        return cls(
            minor=minor, requires_python=requires_python, release=release, arch=arch, **given
        )


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A CPython ready to be staged; ``tree`` is read-only to everyone else.

    ``tree`` is None for the distribution's own Python, which the package depends on
    rather than bundles; ``python`` then is this host's interpreter of that minor.
    """

    provider: RuntimeChoice
    version: str  # "3.13.15"
    arch: Arch
    origin: str  # URL or path the bytes came from
    sha256: str  # of the asset or source tarball
    key: str  # identifies the tree's content: its key in the cache
    tree: Path | None
    python: Path  # an interpreter of the same minor that runs on this host
    glibc: str  # highest GLIBC symbol version the tree needs, e.g. "2.17"
    reason: str = ""  # why this provider, for people
    options: dict[str, str] = field(default_factory=dict)  # e.g. {"pgo": "no"}

    @property
    def minor(self) -> str:
        """The minor version, e.g. "3.13"."""
        return ".".join(self.version.split(".")[:2])


class RuntimeProvider(Protocol):
    """One way to get a CPython."""

    choice: RuntimeChoice

    def provide(self, request: RuntimeRequest, cache: Cache) -> Runtime:
        """Return the requested runtime; raises BuilderError if this provider has none."""
        ...


def runtime_info(runtime: Runtime | None) -> dict[str, object] | None:
    """Return a package's record of its runtime: provider, version, origin, hash.

    It lacks the reason of the choice: that depends on the day, and the package should not.
    """
    if runtime is None:
        return None
    return {
        "provider": runtime.provider.value,
        "version": runtime.version,
        "origin": runtime.origin,
        "sha256": runtime.sha256,
        "glibc": runtime.glibc,
        "options": dict(runtime.options),
    }
