"""Chooses the provider of a CPython: the requested one, or the first that has one."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import (
    BuilderError,
    FetchError,
    OfflineError,
    RuntimeUnavailableError,
    UsageError,
)
from builder.base.model import RuntimeChoice
from builder.net.download import HashMismatchError
from builder.net.http import UnreachableError
from builder.runtime.archive import ArchiveProvider
from builder.runtime.distro import DistroProvider
from builder.runtime.model import Runtime, RuntimeProvider, RuntimeRequest
from builder.runtime.pbs import PbsProvider, release_tree
from builder.runtime.source import SourceProvider

# After these errors another provider may succeed, but never after a HashMismatchError.
_CLOSED = (FetchError, OfflineError, RuntimeUnavailableError)


class PreparingProvider(RuntimeProvider, Protocol):
    """A provider that downloads, and whose runtimes the cache keeps."""

    def fetch(self, request: RuntimeRequest, cache: Cache) -> dict[str, Path]:
        """Bring every download of ``provide`` into the cache; returns files by name."""
        ...

    def find_prepared(self, request: RuntimeRequest, cache: Cache) -> Runtime | None:
        """Return the runtime if it needs neither fetching nor preparing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Providers:
    """The four providers."""

    pbs: PreparingProvider
    source: PreparingProvider
    archive: RuntimeProvider
    distro: RuntimeProvider

    def of(self, choice: RuntimeChoice) -> RuntimeProvider:
        """Return the provider that ``choice`` names."""
        return {
            RuntimeChoice.PBS: self.pbs,
            RuntimeChoice.SOURCE: self.source,
            RuntimeChoice.ARCHIVE: self.archive,
            RuntimeChoice.DISTRO: self.distro,
        }[choice]


def default_providers() -> Providers:
    """Return the real providers, with the pins of this repository."""
    return Providers(
        pbs=PbsProvider(),
        source=SourceProvider(),
        archive=ArchiveProvider(),
        distro=DistroProvider(),
    )


def provide_runtime(
    request: RuntimeRequest,
    cache: Cache,
    choice: RuntimeChoice,
    *,
    providers: Providers | None = None,
    announce: bool = True,
) -> Runtime:
    """Provide the CPython of ``request``, and report which one it is and why.

    An explicit choice is never replaced. ``auto`` moves from an unavailable provider to
    the next, but wrong bytes are always an error.
    """
    providers = providers or default_providers()
    named = _named(request, choice)
    if named is None:
        runtime = _provide_auto(request, cache, providers)
    else:
        how, reason = named
        runtime = replace(providers.of(how).provide(request, cache), reason=reason)
    if announce:
        log.step(f"runtime: {describe(runtime)}")
    return runtime


def fetch_runtime(
    request: RuntimeRequest,
    cache: Cache,
    choice: RuntimeChoice,
    *,
    providers: Providers | None = None,
) -> dict[str, Path]:
    """Bring the inputs of a runtime into the cache, without preparing it."""
    providers = providers or default_providers()
    if choice is RuntimeChoice.SOURCE:
        return providers.source.fetch(request, cache)
    if choice not in (RuntimeChoice.AUTO, RuntimeChoice.PBS):
        raise UsageError(
            f"the {choice} runtime has nothing to fetch", hint="--runtime pbs and source have"
        )
    try:
        return providers.pbs.fetch(request, cache)
    except HashMismatchError:
        raise
    except _CLOSED as error:
        if choice is RuntimeChoice.PBS:
            raise
        log.step(f"runtime: {_briefly(error)}; fetching the source of CPython {request.minor}")
        return providers.source.fetch(request, cache)


def describe(runtime: Runtime) -> str:
    """Describe a runtime in one line for people: version, origin, reason."""
    origins = {
        RuntimeChoice.PBS: "standalone build",
        RuntimeChoice.SOURCE: "built from source",
        RuntimeChoice.ARCHIVE: f"from {runtime.origin}",
        RuntimeChoice.DISTRO: "the distribution's own",
    }
    what = f"CPython {runtime.version} for {runtime.arch}, {origins[runtime.provider]}"
    return f"{what} ({runtime.reason})"


def _named(request: RuntimeRequest, choice: RuntimeChoice) -> tuple[RuntimeChoice, str] | None:
    """Return the provider that the user chose, and how; None if ``auto`` decides."""
    if choice is not RuntimeChoice.AUTO:
        return choice, f"chosen with --runtime {choice}"
    if request.archive is not None:
        return RuntimeChoice.ARCHIVE, "given with --archive"
    if request.source is not None:
        return RuntimeChoice.SOURCE, "its tarball was given with --python-source"
    return None


def _provide_auto(request: RuntimeRequest, cache: Cache, providers: Providers) -> Runtime:
    if request.mirror is not None:
        release_tree(request.mirror)  # a wrong mirror is an error even if the cache has every file
    for provider in (providers.pbs, providers.source):
        try:
            prepared = provider.find_prepared(request, cache)
        except RuntimeUnavailableError:  # nothing pinned, or nothing for this architecture
            continue
        if prepared is not None:
            return replace(prepared, reason="prepared before, taken from the cache")
    try:
        return replace(
            providers.pbs.provide(request, cache), reason="the first choice, and available"
        )
    except HashMismatchError:
        raise
    except _CLOSED as error:
        why = _briefly(error)
        log.step(f"runtime: {why}; building CPython {request.minor} from source")
        log.detail(error.message)
        return _from_source(request, cache, providers, closed=error, why=why)


def _from_source(
    request: RuntimeRequest, cache: Cache, providers: Providers, *, closed: BuilderError, why: str
) -> Runtime:
    try:
        return replace(providers.source.provide(request, cache), reason=why)
    except HashMismatchError:
        raise
    except _CLOSED as error:
        both_offline = isinstance(closed, OfflineError) and isinstance(error, OfflineError)
        kind = OfflineError if both_offline else RuntimeUnavailableError
        raise kind(
            f"no CPython {request.minor} for {request.arch} is available\n"
            f"  standalone build: {closed.message}\n"
            f"  from source: {error.message}",
            hint=error.hint,
        ) from error


def _briefly(error: BuilderError) -> str:
    """Return in a few words why the standalone builds were skipped."""
    if isinstance(error, UnreachableError):
        return f"standalone builds unreachable ({error.reason})"
    if isinstance(error, OfflineError):
        return "standalone build not in the cache, and this is offline"
    if isinstance(error, FetchError):
        return f"standalone build not available ({error.message})"
    return f"no standalone build fits ({error.message})"
