"""Signing with keys made for the test: which key, which form, and what is said of a bad one."""

import stat
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builder.base.errors import RepoError
from builder.repo.gpg import Gpg, private_home
from builder.repo.gpg_output import parse_verdicts
from builder.repo.sign import KeySource, find_source, open_signer
from tests.helpers.keys import export_secret, make_key, needs_gpg

pytestmark = needs_gpg

_NOW = datetime.now(UTC)
_DATA = b"Origin: tests\nSuite: stable\n"


@pytest.fixture(scope="module")
def keys(gpg: Gpg) -> tuple[str, str]:
    """Two keys without passphrase."""
    return make_key(gpg, "Old <old@example.org>"), make_key(gpg, "New <new@example.org>")


def _verdicts(gpg: Gpg, tmp_path: Path, signature: bytes, data: bytes | None) -> list[str | None]:
    signed, plain = tmp_path / "signed", tmp_path / "plain"
    signed.write_bytes(signature)
    if data is None:
        return [signature.problem for signature in gpg.verify(signed)]
    plain.write_bytes(data)
    return [signature.problem for signature in gpg.verify(signed, plain)]


def _signer_of(gpg: Gpg, *fingerprints: str, passphrase: str | None = None) -> KeySource:
    return KeySource(key=export_secret(gpg, fingerprints, passphrase or ""), passphrase=passphrase)


def test_every_key_signs_in_both_forms(gpg: Gpg, keys: tuple[str, str], tmp_path: Path) -> None:
    with open_signer(keys, _signer_of(gpg, *keys), _NOW) as signer:
        detached, inline = signer.detach(_DATA), signer.clearsign(_DATA)
        single = signer.detach(_DATA, armor=False, only_first=True)
        assert signer.public_keys(armor=True).startswith(b"-----BEGIN PGP PUBLIC KEY")
        binary = signer.public_keys(armor=False)
    assert _verdicts(gpg, tmp_path, detached, _DATA) == [None, None]
    assert _verdicts(gpg, tmp_path, inline, None) == [None, None]
    assert _verdicts(gpg, tmp_path, single, _DATA) == [None]
    assert gpg.content(tmp_path / "signed", tmp_path / "out") == b""  # detached: says nothing
    (tmp_path / "signed").write_bytes(inline)
    assert gpg.content(tmp_path / "signed", tmp_path / "out") == _DATA
    assert b"Hash: SHA512" in inline
    with private_home() as home:
        other = Gpg(home)
        (home / "public.gpg").write_bytes(binary)
        other.call(["--import", home / "public.gpg"])
        assert {key.fingerprint for key in other.list_keys()} == set(keys)
        assert other.list_keys(secret=True) == []


def test_changed_data_and_strange_keys_are_reported(
    gpg: Gpg, keys: tuple[str, str], tmp_path: Path
) -> None:
    with open_signer(keys[:1], _signer_of(gpg, keys[0]), _NOW) as signer:
        detached = signer.detach(_DATA)
    assert _verdicts(gpg, tmp_path, detached, _DATA + b"!") == ["does not fit what it signs"]
    with private_home() as home:
        assert _verdicts(Gpg(home), tmp_path, detached, _DATA) == [
            "is by a key that the repository does not use"
        ]


def test_weak_hash_and_expired_key_in_a_verdict() -> None:
    valid = "[GNUPG:] VALIDSIG AAAA 2026-01-01 1 0 4 0 1 2 00 BBBB"
    good = ["[GNUPG:] NEWSIG", "[GNUPG:] GOODSIG AAAA me", valid]
    (weak,) = parse_verdicts("\n".join(good))
    assert weak.problem == "uses a hash that apt and rpm refuse"
    assert weak.key == "BBBB"
    (expired,) = parse_verdicts(f"[GNUPG:] EXPKEYSIG AA me\n{valid}")
    assert expired.problem == "is by a key that has expired"


def test_the_passphrase_is_needed_and_never_an_argument(
    gpg: Gpg, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "correct horse battery"
    name = make_key(gpg, "Locked <locked@example.org>", passphrase=secret)
    source = _signer_of(gpg, name, passphrase=secret)
    caplog.set_level("DEBUG", "builder")
    with open_signer((name,), source, _NOW) as signer:
        home = signer.home
        assert home is not None
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert _verdicts(gpg, tmp_path, signer.detach(_DATA), _DATA) == [None]
    assert not home.exists()
    assert secret not in caplog.text
    wrong = KeySource(key=source.key, passphrase="guess")
    with pytest.raises(RepoError) as error, open_signer((name,), wrong, _NOW) as signer:
        signer.detach(_DATA)
    assert "passphrase" in (error.value.hint or "")


def test_a_subkey_that_is_named_signs(gpg: Gpg, tmp_path: Path) -> None:
    name = make_key(gpg, "Primary <primary@example.org>")
    for _ in range(2):
        gpg.call(
            [
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
                "--quick-add-key",
                name,
                "ed25519",
                "sign",
                "1y",
            ]
        )
    key = next(listed for listed in gpg.list_keys() if listed.fingerprint == name)
    first, second = key.subkeys
    with open_signer((first,), _signer_of(gpg, name), _NOW) as signer:
        path = tmp_path / "signature"
        path.write_bytes(signer.detach(_DATA))
        assert signer.users == (f"{first}!",)
    key = next(listed for listed in gpg.list_keys() if listed.fingerprint == name)
    assert key.expires_as(first) != key.expires_as(name)  # one year, and two
    later = _NOW + timedelta(days=400)
    with (
        pytest.raises(RepoError, match=f"key {first} .* expired on"),
        open_signer((first,), _signer_of(gpg, name), later),
    ):
        pass
    listing = gpg.call(["--list-packets", path])
    assert first[-16:] in listing
    assert second[-16:] not in listing


def test_keys_that_cannot_be_used(gpg: Gpg, keys: tuple[str, str]) -> None:
    name = make_key(gpg, "Short <short@example.org>", expires="2d")
    source = _signer_of(gpg, name)
    with (
        pytest.raises(RepoError, match=r"expired on \d{4}-\d\d-\d\d"),
        open_signer((name,), source, _NOW + timedelta(days=3)),
    ):
        pass
    with (
        pytest.raises(RepoError, match=f"no secret key {keys[0]}"),
        open_signer(keys, source, _NOW),
    ):
        pass
    weak = make_key(gpg, "Weak <weak@example.org>", algorithm="rsa1024")
    with (
        pytest.raises(RepoError, match="RSA of 1024 bits"),
        open_signer((weak,), _signer_of(gpg, weak), _NOW),
    ):
        pass
    with (
        pytest.raises(RepoError, match="no signing key is configured"),
        open_signer((), source, _NOW),
    ):
        pass


def test_an_expiry_soon_is_a_warning(gpg: Gpg, caplog: pytest.LogCaptureFixture) -> None:
    name = make_key(gpg, "Soon <soon@example.org>", expires="30d")
    with open_signer((name,), _signer_of(gpg, name), _NOW):
        pass
    assert "add its successor" in caplog.text


@pytest.fixture
def shallow() -> Iterator[Path]:
    """A folder in which the socket of an agent has room, which pytest's own may not give."""
    with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp") as folder:
        yield Path(folder)


def test_a_folder_too_deep_for_a_socket_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with private_home() as home:
        assert not home.is_relative_to(deep)
        assert len(f"{home}/S.gpg-agent.browser") < 108
        assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_keys_that_a_killed_run_left_are_removed_by_the_next(
    shallow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(shallow))
    monkeypatch.setattr("builder.repo.gpg._SWEEP_AGE_S", 0)
    left, other = shallow / "builder-gpg-left", shallow / "something-else"
    for folder in (left, other):
        folder.mkdir()
        (folder / "secret").write_text("key")
    with private_home() as first, private_home() as second:
        assert not left.exists()
        assert other.exists()
        assert first.exists()  # held by its owner
        assert stat.S_IMODE(second.stat().st_mode) == 0o700
    assert list(shallow.iterdir()) == [other]


def test_an_interrupt_leaves_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = threading.Event()
    monkeypatch.setattr("builder.base.run._stopping", stopping)

    def interrupted() -> Path:
        with private_home() as home:
            (home / "secret").write_text("key")
            stopping.set()  # as the handler of the signal does
        return home

    assert not interrupted().exists()


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    source = find_source(environment={"BUILDER_SIGNING_KEY": "not a key"})
    with (
        pytest.raises(RepoError, match="cannot import a key"),
        open_signer(("A" * 40,), source, _NOW),
    ):
        pass
    with pytest.raises(RepoError, match="no-such"):
        find_source(tmp_path / "no-such")


def test_options_come_before_the_environment(tmp_path: Path) -> None:
    key, secret = tmp_path / "key", tmp_path / "secret"
    key.write_text("from the file")
    secret.write_text("hush\n")
    environment = {
        "BUILDER_SIGNING_KEY": "from the environment",
        "BUILDER_SIGNING_PASSPHRASE_FILE": str(secret),
    }
    assert find_source(key, environment=environment) == KeySource(
        key="from the file", passphrase="hush"
    )
    assert find_source(environment=environment).key == "from the environment"
    assert find_source(environment={}) == KeySource()
