"""Which way is taken, what is said about it, and which failures end the search."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import (
    BuilderError,
    FetchError,
    OfflineError,
    PayloadError,
    RuntimeUnavailableError,
    StorageError,
    ToolError,
    UsageError,
)
from builder.base.model import RuntimeChoice
from builder.net.download import HashMismatchError
from builder.net.http import UnreachableError
from builder.runtime.choose import Providers, fetch_runtime, provide_runtime
from builder.runtime.model import Runtime, RuntimeRequest
from builder.runtime.pbs import PbsProvider
from builder.runtime.pins import Pins
from tests.helpers.trees import HOST, MINOR, VERSION, make_release, make_request


@dataclass
class FakeProvider:
    """Gives a runtime, or fails as it is set up to; records the requests."""

    choice: RuntimeChoice
    error: BuilderError | None = None
    prepared: bool = False
    unpinned: bool = False
    asked: list[str] = field(default_factory=list)

    def provide(self, request: RuntimeRequest, cache: Cache) -> Runtime:  # noqa: ARG002
        self.asked.append("provide")
        if self.error is not None:
            raise self.error
        return self._runtime(request)

    def fetch(
        self,
        request: RuntimeRequest,  # noqa: ARG002
        cache: Cache,  # noqa: ARG002
    ) -> dict[str, Path]:
        self.asked.append("fetch")
        if self.error is not None:
            raise self.error
        return {f"{self.choice}.tar": Path("/blob")}

    def find_prepared(
        self,
        request: RuntimeRequest,
        cache: Cache,  # noqa: ARG002
    ) -> Runtime | None:
        self.asked.append("find")
        if self.unpinned:
            raise RuntimeUnavailableError("nothing pinned")
        return self._runtime(request) if self.prepared else None

    def _runtime(self, request: RuntimeRequest) -> Runtime:
        return Runtime(
            provider=self.choice,
            version=VERSION,
            arch=request.arch,
            origin=f"https://example.invalid/{self.choice}",
            sha256="0" * 64,
            key="key",
            tree=Path("/tree"),
            python=Path("/tree/bin/python3"),
            glibc="2.17",
        )


@dataclass
class Ways:
    """The four fakes."""

    pbs: FakeProvider = field(default_factory=lambda: FakeProvider(RuntimeChoice.PBS))
    source: FakeProvider = field(default_factory=lambda: FakeProvider(RuntimeChoice.SOURCE))
    archive: FakeProvider = field(default_factory=lambda: FakeProvider(RuntimeChoice.ARCHIVE))
    distro: FakeProvider = field(default_factory=lambda: FakeProvider(RuntimeChoice.DISTRO))

    @property
    def providers(self) -> Providers:
        return Providers(pbs=self.pbs, source=self.source, archive=self.archive, distro=self.distro)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What log.step said."""
    messages: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger = logging.getLogger("builder")
    keeper, level = Keeper(), logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.INFO)
    yield messages
    logger.removeHandler(keeper)
    logger.setLevel(level)


def choose(
    ways: Ways, cache: Cache, choice: RuntimeChoice = RuntimeChoice.AUTO, **options: object
) -> Runtime:
    return provide_runtime(make_request(**options), cache, choice, providers=ways.providers)  # type: ignore[arg-type]


def unreachable() -> UnreachableError:
    return UnreachableError("https://builds.invalid/x", reason="no such host")


@pytest.mark.parametrize("choice", [c for c in RuntimeChoice if c is not RuntimeChoice.AUTO])
def test_an_explicit_choice_is_obeyed(cache: Cache, choice: RuntimeChoice) -> None:
    runtime = choose(Ways(), cache, choice)
    assert runtime.provider is choice
    assert runtime.reason == f"chosen with --runtime {choice}"


def test_an_explicit_choice_never_becomes_another(cache: Cache) -> None:
    ways = Ways()
    ways.pbs.error = unreachable()
    ways.source.prepared = True
    with pytest.raises(UnreachableError):
        choose(ways, cache, RuntimeChoice.PBS)
    assert ways.source.asked == []


def test_auto_takes_what_the_cache_has_before_it_fetches(cache: Cache) -> None:
    ways = Ways()
    ways.source.prepared = True
    runtime = choose(ways, cache)
    assert runtime.provider is RuntimeChoice.SOURCE
    assert runtime.reason == "prepared before, taken from the cache"
    assert ways.pbs.asked == ["find"]
    ways.pbs.prepared = True
    assert choose(ways, cache).provider is RuntimeChoice.PBS


def test_a_wrong_mirror_is_an_error_even_if_the_cache_has_it_all(cache: Cache) -> None:
    ways = Ways()
    ways.pbs.prepared = True
    with pytest.raises(UsageError, match="'/no/mirror', which does not exist"):
        choose(ways, cache, mirror="/no/mirror")


def test_auto_prefers_a_standalone_build(cache: Cache, said: list[str]) -> None:
    runtime = choose(Ways(), cache)
    assert runtime.provider is RuntimeChoice.PBS
    assert said == [f"runtime: CPython {VERSION} for {HOST}, standalone build ({runtime.reason})"]


def test_auto_moves_on_to_source_and_says_so(cache: Cache, said: list[str]) -> None:
    ways = Ways()
    ways.pbs.error = unreachable()
    runtime = choose(ways, cache)
    assert runtime.provider is RuntimeChoice.SOURCE
    assert runtime.reason == "standalone builds unreachable (no such host)"
    assert said == [
        f"runtime: {runtime.reason}; building CPython {MINOR} from source",
        f"runtime: CPython {VERSION} for {HOST}, built from source ({runtime.reason})",
    ]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (FetchError("cannot fetch x: answered 404"), "not available (cannot fetch x: answered 404"),
        (OfflineError("x is not in the cache"), "standalone build not in the cache, and this is"),
        (RuntimeUnavailableError("no pin"), "no standalone build fits (no pin)"),
    ],
)
def test_auto_moves_on_from_a_closed_way(cache: Cache, error: BuilderError, why: str) -> None:
    ways = Ways()
    ways.pbs.error = error
    ways.pbs.unpinned = True
    assert why in choose(ways, cache).reason


@pytest.mark.parametrize(
    "error",
    [
        HashMismatchError("sha256 is a, but b is pinned"),
        PayloadError("hostile"),
        UsageError("--mirror names the folder '/none', which does not exist"),
        StorageError("no space left"),
    ],
)
def test_auto_never_covers_up_wrong_bytes_or_a_users_mistake(
    cache: Cache, error: BuilderError
) -> None:
    ways = Ways()
    ways.pbs.error = error
    with pytest.raises(type(error)) as caught:
        choose(ways, cache)
    assert caught.value is error
    assert "provide" not in ways.source.asked


def test_when_every_way_is_closed_all_are_named(cache: Cache) -> None:
    ways = Ways()
    ways.pbs.error = unreachable()
    ways.source.error = RuntimeUnavailableError("no compiler", hint="apt-get install gcc")
    with pytest.raises(RuntimeUnavailableError) as caught:
        choose(ways, cache)
    assert f"no CPython {MINOR} for {HOST} is available" in str(caught.value)
    assert "standalone build: cannot fetch https://builds.invalid/x" in str(caught.value)
    assert "from source: no compiler" in str(caught.value)
    assert caught.value.hint == "apt-get install gcc"


def test_offline_with_nothing_cached_is_an_offline_error(cache: Cache) -> None:
    ways = Ways()
    ways.pbs.error = OfflineError("asset is not in the cache")
    ways.source.error = OfflineError("tarball is not in the cache", hint="run 'builder fetch'")
    with pytest.raises(OfflineError, match="tarball is not in the cache") as caught:
        choose(ways, cache)
    assert caught.value.hint == "run 'builder fetch'"


@pytest.mark.parametrize(
    "error", [ToolError("make exited with 2"), HashMismatchError("sha256 is a, but b is pinned")]
)
def test_a_failed_build_is_reported_as_it_is(cache: Cache, error: BuilderError) -> None:
    ways = Ways()
    ways.pbs.error = unreachable()
    ways.source.error = error
    with pytest.raises(type(error)) as caught:
        choose(ways, cache)
    assert caught.value is error


def test_a_path_that_was_given_decides(cache: Cache) -> None:
    archive = choose(Ways(), cache, archive=Path("/mine.tar.gz"))
    assert (archive.provider, archive.reason) == (RuntimeChoice.ARCHIVE, "given with --archive")
    source = choose(Ways(), cache, source=Path("/Python.tar.xz"))
    assert source.provider is RuntimeChoice.SOURCE


def test_fetching_follows_the_same_order(cache: Cache) -> None:
    ways = Ways()

    def fetch(choice: RuntimeChoice) -> list[str]:
        return list(fetch_runtime(make_request(), cache, choice, providers=ways.providers))

    assert fetch(RuntimeChoice.AUTO) == ["pbs.tar"]
    assert fetch(RuntimeChoice.SOURCE) == ["source.tar"]
    ways.pbs.error = unreachable()
    assert fetch(RuntimeChoice.AUTO) == ["source.tar"]
    with pytest.raises(UnreachableError):
        fetch(RuntimeChoice.PBS)
    ways.pbs.error = HashMismatchError("sha256 is a, but b is pinned")
    with pytest.raises(HashMismatchError):
        fetch(RuntimeChoice.AUTO)
    with pytest.raises(UsageError, match="the distro runtime has nothing to fetch"):
        fetch(RuntimeChoice.DISTRO)


def test_auto_with_the_real_pbs_provider(tmp_path: Path, cache: Cache) -> None:
    release = make_release(tmp_path / "releases")
    ways = Ways()
    providers = Providers(
        pbs=PbsProvider(release.pins),
        source=ways.source,
        archive=ways.archive,
        distro=ways.distro,
    )
    request = make_request(mirror=str(release.folder))
    first = provide_runtime(request, cache, RuntimeChoice.AUTO, providers=providers)
    again = provide_runtime(request, cache, RuntimeChoice.AUTO, providers=providers)
    assert (first.tree, first.key) == (again.tree, again.key)
    assert again.reason == "prepared before, taken from the cache"
    nothing = Providers(
        pbs=PbsProvider(Pins()), source=ways.source, archive=ways.archive, distro=ways.distro
    )
    other = provide_runtime(request, cache, RuntimeChoice.AUTO, providers=nothing)
    assert other.provider is RuntimeChoice.SOURCE
    assert "no such standalone build" in other.reason
