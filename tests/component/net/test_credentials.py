"""Credentials of an index reach our own downloads, in each way that uv reads them."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from builder.base.cache import Cache
from builder.base.errors import BuilderError, FetchError
from builder.base.files import hash_file
from builder.base.model import Arch
from builder.index.uv import Target
from builder.lock import LockedDistribution, LockedFile
from builder.wheels.files import fetch_files
from builder.wheels.model import WheelRequest
from tests.helpers.index_server import ProtectedIndex, protected_index
from tests.helpers.wheelhouse import Recipe

PASSWORD = "p@ss/w%rd"
ACCOUNT = f"ci:{PASSWORD}"
TARGET = Target(minor="3.13", arch=Arch.AMD64, glibc="2.28")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProtectedIndex]:
    folder = tmp_path / "wheels"
    folder.mkdir()
    Recipe(name="some-lib").write(folder)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_NO_CACHE", "1")
    with protected_index(folder, ACCOUNT) as served:
        yield served


def fetch(index: ProtectedIndex, cache: Cache) -> list[Path]:
    """Fetch the one wheel as a build does: uv says where it is, our client brings it."""
    wheel = next(index.folder.glob("*.whl"))
    name, version = wheel.name.split("-")[:2]
    file = LockedFile(file=wheel.name, sha256=hash_file(wheel), size=wheel.stat().st_size)
    locked = LockedDistribution(name=name.replace("_", "-"), version=version, files=(file,))
    needed = WheelRequest(distributions=(locked,), build=(), target=TARGET)
    return list(fetch_files(needed, cache, offline=False).values())


def with_userinfo(index: ProtectedIndex) -> str:
    """The index's URL with the account in it, quoted as a URL wants it."""
    return index.url.replace("://", f"://ci:{quote(PASSWORD, safe='')}@")


def test_an_account_in_the_url(
    index: ProtectedIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", with_userinfo(index))
    assert fetch(index, cache)


def test_an_account_in_netrc(
    index: ProtectedIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login ci password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    assert fetch(index, cache)


def test_an_account_in_variables_of_a_named_index(
    index: ProtectedIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"corp={index.url}")
    monkeypatch.setenv("UV_INDEX_CORP_USERNAME", "ci")
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", PASSWORD)
    assert fetch(index, cache)


def test_another_server_gets_no_password(
    index: ProtectedIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", with_userinfo(index))
    with protected_index(index.folder, "other:account") as other:
        index.files_redirect_to = f"http://127.0.0.1:{other.port}"
        with pytest.raises(FetchError, match="answered 401") as caught:
            fetch(index, cache)
        assert [given for _, given in other.seen] == [""]
    assert PASSWORD not in str(caught.value)
    assert quote(PASSWORD, safe="") not in str(caught.value)


def test_a_wrong_password_is_in_no_message(
    index: ProtectedIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", with_userinfo(index).replace("ci:", "ci:hunter2"))
    with pytest.raises(BuilderError) as caught:
        fetch(index, cache)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
