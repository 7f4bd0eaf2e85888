"""Whether a build has its inputs, as `builder doctor` weighs them."""

from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import BuilderError, RuntimeUnavailableError
from builder.base.model import Arch, RuntimeChoice, host_arch
from builder.doctor.check import (
    Check,
    Status,
    found,
    is_ready,
    lacking,
)
from builder.doctor.examine import InputChecks
from builder.lock import Lock, LockedDistribution, LockedFile
from builder.runtime.model import Runtime, RuntimeRequest
from builder.runtime.pbs import PbsProvider
from builder.runtime.pins import Pins, SourcePin, StandalonePin, asset_stem
from builder.runtime.source import SourceProvider

OK = found("x", "here")
NOT = lacking("x", "not here", "get it")


@pytest.fixture(autouse=True)
def no_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BUILDER_MIRROR", "BUILDER_PYTHON_MIRROR"):
        monkeypatch.delenv(name, raising=False)


WHEEL, SDIST, BUILD, ASSET, TARBALL = ("a" * 64, "b" * 64, "c" * 64, "d" * 64, "e" * 64)


def make_lock() -> Lock:
    def locked(name: str, file: str, sha256: str) -> LockedDistribution:
        pinned = LockedFile(file=file, sha256=sha256, size=1, arch=None)
        return LockedDistribution(name=name, version="1", files=(pinned,))

    return Lock.model_validate(
        {
            "release": "26.9",
            "version": "26.9.6",
            "package": "backendai-manager",
            "python": "3.13",
            "requires-python": ">=3.13,<3.14",
            "glibc": "2.28",
            "inputs": "f" * 64,
            "wheel": (
                locked("a", "a-1-py3-none-any.whl", WHEEL).model_dump(by_alias=True),
                locked("b", "b-1.tar.gz", SDIST).model_dump(by_alias=True),
            ),
            "build": (locked("c", "c-1-py3-none-any.whl", BUILD).model_dump(by_alias=True),),
        }
    )


def make_pins() -> Pins:
    arch = host_arch()
    stem = asset_stem("3.13.5", "20260101", arch, "install_only_stripped")
    return Pins(
        standalone=(
            StandalonePin(
                version="3.13.5",
                tag="20260101",
                arch=arch,
                flavour="install_only_stripped",
                asset=f"{stem}.tar.gz",
                sha256=ASSET,
            ),
        ),
        source=(
            SourcePin(
                version="3.13.5",
                sha256=TARBALL,
                file="Python-3.13.5.tar.xz",
                debian_file="python3.13_3.13.5.orig.tar.xz",
                debian_pool="pool/main/p/python3.13/",
            ),
        ),
    )


class FakeShelf(PbsProvider):
    """The standalone provider, with ``found`` in place of what its shelf holds."""

    def __init__(self, found: Runtime | BuilderError | None) -> None:
        super().__init__(make_pins())
        self._found = found

    def find_prepared(self, request: RuntimeRequest, cache: Cache) -> Runtime | None:
        del request, cache
        if isinstance(self._found, BuilderError):
            raise self._found
        return self._found


PREPARED = Runtime(
    provider=RuntimeChoice.PBS,
    version="3.13.5",
    arch=Arch.AMD64,
    origin="",
    sha256=ASSET,
    key="k",
    tree=None,
    python=Path("/python"),
    glibc="2.17",
)


def put(cache: Cache, *hashes: str) -> None:
    for sha256 in hashes:
        path = cache.blob(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def offline_checks(cache: Cache, shelf: Runtime | BuilderError | None = None) -> dict[str, Check]:
    checks = InputChecks(
        cache=cache,
        locks=[make_lock()],
        offline=True,
        pbs=FakeShelf(shelf),
        source=SourceProvider(make_pins()),
        compiler=lambda: NOT,
    )
    return {check.name: check for check in checks.check()}


def test_offline_asks_the_cache_alone(tmp_path: Path) -> None:
    cache = Cache(root=tmp_path / "cache")
    found_now = offline_checks(cache)
    assert "index" not in found_now
    assert not is_ready(found_now.values())
    assert found_now["wheels"].detail == "3 of 3 locked files are not in the cache"
    assert found_now["standalone"].detail == "not in the cache"
    assert "builder fetch" in (found_now["tarball"].remedy or "")
    assert not cache.root.exists()

    put(cache, WHEEL, SDIST, BUILD, ASSET)
    found_now = offline_checks(cache)
    assert is_ready(found_now.values())
    assert found_now["standalone"].is_ok
    assert found_now["tarball"].status is Status.OPTIONAL


def test_a_prepared_runtime_needs_neither_asset_nor_compiler(tmp_path: Path) -> None:
    cache = Cache(root=tmp_path / "cache")
    put(cache, WHEEL, SDIST, BUILD)
    found_now = offline_checks(cache, PREPARED)
    assert is_ready(found_now.values())
    assert found_now["runtime"].detail == "CPython 3.13.5 (pbs) is cached"


def test_a_minor_that_is_not_pinned_is_said_and_not_raised(tmp_path: Path) -> None:
    checks = InputChecks(
        cache=Cache(root=tmp_path),
        locks=[make_lock()],
        offline=True,
        pbs=PbsProvider(Pins()),
        source=SourceProvider(Pins()),
        compiler=lambda: OK,
    ).check()
    by_name = {check.name: check for check in checks}
    for name in ("standalone", "tarball"):
        assert by_name[name].status is Status.MISSING
        assert "wants Python 3.13" in by_name[name].detail


def test_a_mirror_that_cannot_be_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDER_PYTHON_MIRROR", "ftp://host/tree")
    monkeypatch.setenv("BUILDER_MIRROR", str(tmp_path / "gone"))
    cache = Cache(root=tmp_path)
    put(cache, TARBALL)
    checks = InputChecks(
        cache=cache,
        locks=[make_lock()],
        offline=False,
        pbs=FakeShelf(None),
        source=SourceProvider(make_pins()),
        compiler=lambda: NOT,
    ).check()
    by_name = {check.name: check for check in checks}
    assert "which is no mirror" in by_name["standalone"].detail
    assert "gone', which does not exist" in by_name["index"].detail


def test_a_mirror_in_a_folder_is_asked_offline_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("BUILDER_MIRROR", str(mirror))
    cache = Cache(root=tmp_path / "cache")
    empty = offline_checks(cache)
    assert not is_ready(empty.values())
    assert empty["index"].detail == f"{mirror}/wheels: no such file"
    assert empty["standalone"].status is Status.MISSING

    (pin,) = make_pins().standalone
    for file in (
        mirror / "wheels" / "a-1-py3-none-any.whl",
        mirror / "standalone" / pin.tag / pin.asset,
    ):
        file.parent.mkdir(parents=True)
        file.touch()
    full = offline_checks(cache)
    assert is_ready(full.values())
    assert full["index"].is_ok
    assert full["standalone"].is_ok


def test_a_provider_that_refuses_is_no_prepared_runtime(tmp_path: Path) -> None:
    found_now = offline_checks(Cache(root=tmp_path), RuntimeUnavailableError("nothing pinned"))
    assert found_now["runtime"].status is Status.OPTIONAL
