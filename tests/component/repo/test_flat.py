"""However many packages there are, making the indexes holds few of them."""

import gc
import hashlib
from pathlib import PurePosixPath

import pytest

from builder.repo.core import Repository
from builder.repo.indexing import build_tree
from builder.repo.model import DebRecord, RepoPackage
from builder.repo.sign import Signer
from builder.repo.spool import Spool
from tests.helpers.repos import NOW

_MANY = 6000
_FEW = 3000  # the longest run of a part, and what is read together


def test_a_tree_is_made_of_packages_that_nobody_holds(
    signed_repository: Repository, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    stream = Spool.stream

    def counting(spool: Spool, path: PurePosixPath) -> object:
        held.append(sum(isinstance(thing, RepoPackage) for thing in gc.get_objects()))
        return stream(spool, path)

    with signed_repository.state.transaction():
        for number in range(_MANY):
            _take_in(signed_repository, number)
    monkeypatch.setattr(Spool, "stream", counting)
    build_tree(signed_repository, signer, NOW)
    packages = signed_repository.public / "dists/stable/main/binary-amd64/Packages"
    assert packages.read_text().count("Package: ") == _MANY
    assert len(held) > 20
    assert max(held) < _FEW


def _take_in(repository: Repository, number: int) -> None:
    file = f"tool_1.{number:05}_amd64.deb"
    package = RepoPackage(
        name="tool",
        version=f"1.{number:05}",
        arch="amd64",
        component="main",
        file=file,
        pool=PurePosixPath(f"pool/main/t/tool/{file}"),
        sha256=hashlib.sha256(file.encode()).hexdigest(),
        size=len(file),
        added=NOW,
        record=DebRecord(control=f"Package: tool\nVersion: 1.{number:05}\nArchitecture: amd64\n"),
    )
    place = repository.public / package.pool
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(file.encode())
    repository.state.add(package, b"usr/bin/tool\n", package.sha256)
    repository.state.join("stable", [package.sha256])
