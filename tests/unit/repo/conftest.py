"""What the tests of repositories share: a key, a signer, an open repository."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.repo.core import Repository, open_repository
from builder.repo.gpg import Gpg, private_home
from builder.repo.sign import KeySource, Signer, open_signer
from tests.helpers.keys import export_secret, has_gpg, make_key
from tests.helpers.repos import NOW, SMALL, TestKey, write_repository


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here outlives the test, and a tree has many files."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture(scope="session")
def test_keys() -> Iterator[tuple[TestKey, TestKey]]:
    """Two signing keys; the test is skipped where there is no gpg."""
    if not has_gpg():
        pytest.skip("gpg is not here: apt-get install gpg gpg-agent")
    with private_home() as home:
        gpg = Gpg(home)
        names = [make_key(gpg, f"Key {n} <{n}@example.org>", expires="10y") for n in (1, 2)]
        source = KeySource(key=export_secret(gpg, names))
        first, second = (TestKey(fingerprint=name, source=source) for name in names)
        yield first, second


@pytest.fixture(scope="session")
def signer(test_keys: tuple[TestKey, TestKey]) -> Iterator[Signer]:
    """Signs with the first key."""
    first, _ = test_keys
    with open_signer([first.fingerprint], first.source, NOW) as opened:
        yield opened


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """An empty repository, open, that names no key."""
    with open_repository(write_repository(tmp_path / "repo")) as opened:
        yield opened


@pytest.fixture
def signed_repository(tmp_path: Path, test_keys: tuple[TestKey, TestKey]) -> Iterator[Repository]:
    """An empty repository, open, that names the first key."""
    root = write_repository(tmp_path / "repo", test_keys[0].fingerprint, config=SMALL)
    with open_repository(root) as opened:
        yield opened
