"""What the tests of repositories share: an open repository."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.repo.core import Repository, open_repository
from tests.helpers.repos import write_repository


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here outlives the test, and a tree has many files."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """An empty repository, open, that names no key."""
    with open_repository(write_repository(tmp_path / "repo")) as opened:
        yield opened
