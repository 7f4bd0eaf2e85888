"""Adding packages, or refusing them; promoting and pruning."""

from pathlib import Path

import pytest

from builder.base.model import PackageFormat
from builder.inspect import Package, inspect_package
from builder.repo.add import _SIGNERS
from builder.repo.core import Repository
from builder.repo.model import RpmRecord
from builder.repo.sign import Signer
from tests.helpers.repos import DebPackage, add, write_rpm


def test_a_signed_package_is_known_by_the_file_that_was_given(
    repository: Repository, tmp_path: Path, signer: Signer
) -> None:
    path = DebPackage().write(tmp_path)
    (first,) = add(repository, path, signer=signer)
    assert (repository.public / first.package.pool).read_bytes() != path.read_bytes()
    (second,) = add(repository, path, signer=signer)
    assert second.known
    (third,) = add(repository, repository.public / first.package.pool, signer=signer)
    assert third.known


def test_the_payload_of_a_signed_rpm_is_read_once(
    repository: Repository, tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []

    def inspect(path: Path) -> Package:
        reads.append(path)
        return inspect_package(path)

    def sign(path: Path, _signer: Signer) -> None:
        path.write_bytes(path.read_bytes() + b"\0" * 8)

    monkeypatch.setattr("builder.repo.repodata.inspect_package", inspect)
    monkeypatch.setitem(_SIGNERS, PackageFormat.RPM, sign)
    path = write_rpm(tmp_path)
    (added,) = add(repository, path, signer=signer)
    assert reads == [path]
    assert isinstance(added.package.record, RpmRecord)
    assert added.package.sha256 in added.package.record.primary
