"""Credentials of an index reach our own downloads, in each way that uv reads them."""

import base64
from pathlib import Path

import pytest

from builder.base.errors import UsageError
from builder.net.credentials import Account, load_credentials


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
