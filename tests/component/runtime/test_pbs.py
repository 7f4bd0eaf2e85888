"""The pbs provider against a release tree on loopback and in a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import (
    FetchError,
    OfflineError,
    PayloadError,
    RuntimeUnavailableError,
    UsageError,
)
from builder.base.model import RuntimeChoice
from builder.net.download import HashMismatchError
from builder.runtime.pbs import RELEASE_TREE, PbsProvider, release_tree
from tests.helpers.servers import ReleaseServer, release_server
from tests.helpers.trees import (
    FOREIGN,
    HOST,
    MINOR,
    TAG,
    VERSION,
    Release,
    files_of,
    make_release,
    make_request,
    pack_tree,
)


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "BUILDER_PYTHON_MIRROR",
        "BUILDER_MIRROR",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path / "releases")


@pytest.fixture
def server(release: Release) -> Iterator[ReleaseServer]:
    with release_server() as running:
        for arch in (HOST, FOREIGN):
            asset = release.asset(arch)
            running.add(f"/{TAG}/{asset.name}", asset.read_bytes())
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


def test_a_runtime_is_fetched_prepared_and_kept(
    server: ReleaseServer, release: Release, cache: Cache
) -> None:
    request = make_request(mirror=server.url)
    provider = PbsProvider(release.pins)
    assert provider.find_prepared(request, cache) is None
    runtime = provider.provide(request, cache)
    assert (runtime.provider, runtime.version) == (RuntimeChoice.PBS, VERSION)
    assert runtime.tree is not None
    assert runtime.python == runtime.tree / f"bin/python{MINOR}"
    assert (runtime.tree / "bin/python3").resolve() == runtime.python.resolve()
    assert not (runtime.tree / f"lib/python{MINOR}/test").exists()
    assert list(runtime.tree.glob(f"lib/python{MINOR}/__pycache__/os.*.pyc"))
    assert runtime.sha256 == release.pin(HOST).sha256
    assert runtime.options == {"tag": TAG, "flavour": "install_only_stripped"}
    assert provider.provide(request, cache) == runtime
    assert provider.find_prepared(request, cache) == runtime
    assert len(server.requests) == 1


def test_the_origin_is_the_publisher_whatever_the_mirror(
    server: ReleaseServer, release: Release, cache: Cache
) -> None:
    runtime = PbsProvider(release.pins).provide(make_request(mirror=server.url), cache)
    assert runtime.origin.startswith(f"{RELEASE_TREE}/{TAG}/cpython-{VERSION}%2B{TAG}-")
    assert "%2B" in server.raw_paths[0]


def test_a_prepared_runtime_needs_neither_network_nor_blob(release: Release, cache: Cache) -> None:
    provider = PbsProvider(release.pins)
    made = provider.provide(make_request(mirror=str(release.folder)), cache)
    cache.blob(made.sha256).unlink()
    assert provider.provide(make_request(offline=True), cache) == made


def test_a_foreign_runtime_brings_the_host_interpreter(
    server: ReleaseServer, release: Release, cache: Cache
) -> None:
    provider = PbsProvider(release.pins)
    request = make_request(FOREIGN, mirror=server.url)
    runtime = provider.provide(request, cache)
    assert runtime.arch is FOREIGN
    assert runtime.tree is not None
    assert (runtime.tree / "lib/arch.txt").read_text() == FOREIGN
    host_tree = runtime.python.parent.parent
    assert (host_tree / "lib/arch.txt").read_text() == HOST
    assert list(runtime.tree.glob(f"lib/python{MINOR}/__pycache__/os.*.pyc"))
    assert provider.find_prepared(request, cache) == runtime


def test_mirrors_may_be_folders_and_urls(
    release: Release, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDER_PYTHON_MIRROR", release.folder.as_uri() + "/")
    request = make_request(offline=True)  # a folder needs no network
    assert PbsProvider(release.pins).provide(request, cache).version == VERSION


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDER_PYTHON_MIRROR", "https://two.invalid")
    assert release_tree("https://one.invalid/tree/") == "https://one.invalid/tree"
    assert release_tree(None) == "https://two.invalid"


def test_the_mirror_of_all_inputs_has_them_in_a_folder_of_its_own(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = make_release(tmp_path / "site" / "standalone")
    monkeypatch.setenv("BUILDER_MIRROR", str(tmp_path / "site"))
    assert PbsProvider(release.pins).provide(make_request(), cache).version == VERSION
    monkeypatch.setenv("BUILDER_PYTHON_MIRROR", "https://own.invalid")
    assert release_tree(None) == "https://own.invalid"


def test_a_mirror_folder_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mirror in (f"{tmp_path}/none", f"file://{tmp_path}/none"):
        with pytest.raises(UsageError) as caught:
            release_tree(mirror)
        assert str(caught.value) == (
            f"--mirror names the folder '{tmp_path}/none', which does not exist"
        )
    monkeypatch.setenv("BUILDER_PYTHON_MIRROR", f"file://{tmp_path}/none")
    with pytest.raises(UsageError, match="BUILDER_PYTHON_MIRROR names the folder"):
        release_tree(None)


def test_a_mirror_of_an_odd_scheme_is_refused_without_its_password() -> None:
    with pytest.raises(UsageError, match="which is no mirror") as caught:
        release_tree("s3://me:secret@bucket/x")
    assert "secret" not in str(caught.value)


def test_wrong_bytes_are_refused(server: ReleaseServer, release: Release, cache: Cache) -> None:
    server.files[f"/{TAG}/{release.pin(HOST).asset}"] = b"something else"
    with pytest.raises(HashMismatchError, match="is pinned"):
        PbsProvider(release.pins).provide(make_request(mirror=server.url), cache)
    assert not (cache.root / "derived").exists()


def test_an_asset_that_is_not_there_names_the_url(
    server: ReleaseServer, release: Release, cache: Cache
) -> None:
    server.behaviours.clear()
    with pytest.raises(FetchError, match=r"http://127.*%2B.*: answered 404 Not Found") as caught:
        PbsProvider(release.pins).provide(make_request(mirror=server.url), cache)
    assert caught.value.hint is not None
    assert "BUILDER_PYTHON_MIRROR" in caught.value.hint


def test_offline_without_the_asset_says_what_to_do(release: Release, cache: Cache) -> None:
    with pytest.raises(OfflineError, match=f"CPython {VERSION} for {HOST} is not in the cache"):
        PbsProvider(release.pins).provide(make_request(offline=True), cache)


def test_an_unknown_minor_is_named(release: Release, cache: Cache) -> None:
    request = make_request(minor="3.99", requires_python="==3.99.*")
    with pytest.raises(RuntimeUnavailableError, match=rf"Python 3\.99 .* there are: {VERSION}"):
        PbsProvider(release.pins).provide(request, cache)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"no archive at all", "cannot be unpacked"),
        (pack_tree(files_of(), top="other"), "is not below python/"),
        (pack_tree({"../../evil": b""}), r"climbs with '\.\.'"),
        (pack_tree({"bin/python0.1": b""}), "no CPython"),
    ],
    ids=["page", "other-folder", "climbing", "no-python"],
)
def test_hostile_and_odd_assets_are_refused(
    tmp_path: Path, cache: Cache, content: bytes, match: str
) -> None:
    release = make_release(tmp_path / "odd", content=content)
    request = make_request(mirror=str(release.folder))
    with pytest.raises((PayloadError, RuntimeUnavailableError), match=match) as caught:
        PbsProvider(release.pins).provide(request, cache)
    if isinstance(caught.value, PayloadError):
        assert release.pin(HOST).asset in str(caught.value)
    assert not list((cache.root / "derived").rglob("tree"))


def test_an_asset_of_another_version_than_pinned_is_refused(tmp_path: Path, cache: Cache) -> None:
    release = make_release(tmp_path / "odd", version=f"{MINOR}.99")
    request = make_request(mirror=str(release.folder))
    with pytest.raises(PayloadError, match=rf"holds Python {VERSION}, but is pinned as"):
        PbsProvider(release.pins).provide(request, cache)


def test_an_interpreter_that_does_not_run_here_is_named(tmp_path: Path, cache: Cache) -> None:
    files = files_of(interpreter="/no/such/program")
    release = make_release(tmp_path / "odd", content=pack_tree(files))
    request = make_request(mirror=str(release.folder))
    with pytest.raises(RuntimeUnavailableError, match="does not run on this host") as caught:
        PbsProvider(release.pins).provide(request, cache)
    assert caught.value.hint is not None
    assert "--runtime source" in caught.value.hint
