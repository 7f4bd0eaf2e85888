"""Credentials of an index reach our own downloads, in each way that uv reads them."""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from builder.base.cache import Cache
from builder.base.errors import BuilderError, FetchError, UsageError
from builder.base.files import hash_file
from builder.base.model import Arch
from builder.index.uv import Target
from builder.lock import LockedDistribution, LockedFile
from builder.net.credentials import Account, load_credentials
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


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://a.test/files/x.whl", True),
        ("https://a.test:443/x.whl", True),
        ("https://A.TEST/x.whl", True),
        ("http://a.test/x.whl", False),
        ("https://a.test:8443/x.whl", False),
        ("https://a.test.evil/x.whl", False),
        ("https://evil/?https://a.test/", False),
        ("https://a.test@evil/x.whl", False),
        ("https://a.test:bad/x.whl", False),
        ("file:///a.test/x.whl", False),
    ],
)
def test_an_account_is_for_its_own_origin(url: str, found: bool) -> None:
    known = load_credentials({"UV_DEFAULT_INDEX": "https://me:secret@a.test/simple"})
    assert (known.find(url) is not None) is found


def test_netrc_is_for_https_and_for_an_index_without_it(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine a.test login me password x\ndefault login all password y\n")
    known = load_credentials({"NETRC": str(netrc), "UV_INDEX": "corp=http://a.test:8080/simple"})
    assert known.find("https://a.test/x") == Account(user="me", password="x")
    assert known.find("http://a.test:8080/x") == Account(user="me", password="x")
    assert known.find("http://a.test/x") is None
    assert known.find("https://elsewhere.test/x") is None


def test_the_first_index_of_an_origin_counts_and_lists_are_read() -> None:
    known = load_credentials(
        {
            "UV_INDEX": "one=https://a.test/one https://b:pw@b.test/simple",
            "UV_EXTRA_INDEX_URL": "https://token@c.test/simple",
            "UV_INDEX_ONE_USERNAME": "u",
            "UV_INDEX_ONE_PASSWORD": "p",
        }
    )
    assert known.find("https://a.test/one/x") == Account(user="u", password="p")
    assert known.find("https://b.test/x") == Account(user="b", password="pw")
    assert known.find("https://c.test/x") == Account(user="token", password="")


def test_a_netrc_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine a.test login me password 'open\nsecret-word here\n")
    with pytest.raises(UsageError, match="which NETRC names: not a netrc file") as caught:
        load_credentials({"NETRC": str(netrc)})
    assert "secret-word" not in str(caught.value)
    with pytest.raises(UsageError, match="No such file"):
        load_credentials({"NETRC": str(tmp_path / "absent")})


def test_an_account_shows_no_password() -> None:
    account = Account(user="me", password="secret")
    assert "secret" not in repr(account)
    assert base64.b64decode(account.header.removeprefix("Basic ")) == b"me:secret"
