"""Bundles of sigstore in a repository: checked, kept, published, verified."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.base.errors import BuilderError, RepoError
from builder.base.files import hash_file
from builder.repo.bundles import sign_bundle
from builder.repo.check import check_target
from builder.repo.core import Repository, open_repository
from builder.repo.identity_token import parse_token
from builder.repo.indexing import build_tree
from builder.repo.keyless_sign import open_keyless
from builder.repo.model import LOCAL
from builder.repo.prune import dangling_files
from builder.repo.sign import Signer
from tests.helpers.repos import NOW, SMALL, DebPackage, TestKey, add, write_repository, write_rpm
from tests.helpers.sigstore_server import Instance, sigstore_instance
from tests.helpers.statements import statement_on


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with sigstore_instance() as served:
        yield served


@pytest.fixture
def repository(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey], instance: Instance
) -> Iterator[Repository]:
    """Accepts the bundles of the instance's subject, and demands them."""
    root = tmp_path / "repo"
    instance.write(root)
    text = (
        f'{SMALL}[provenance]\nrequire = "sigstore"\n[provenance.sigstore]\n'
        f'identities = ["{instance.subject[:-4]}*"]\nissuer = "{instance.issuer.url}"\n'
        'trusted-root = "trusted-root.json"\n'
    )
    with open_repository(write_repository(root, test_keys[0].fingerprint, config=text)) as opened:
        yield opened


def _with_bundle(package: Path, instance: Instance, subject: str = "") -> Path:
    now = datetime.now(UTC)
    token = parse_token(instance.issuer.token(subject or instance.subject), "token", now)
    config, _ = instance.write(package.parent / "trust")
    with open_keyless(config, token) as signer:
        data = sign_bundle(package, json.dumps(statement_on(package)).encode(), signer)
    package.with_name(f"{package.name}.sigstore.json").write_bytes(data)
    return package


def _said(repository: Repository) -> str:
    return "\n".join(problem.text for problem in check_target(repository, LOCAL, NOW))


def test_bundles_are_published_beside_their_packages(
    repository: Repository, instance: Instance, signer: Signer, tmp_path: Path
) -> None:
    package = _with_bundle(DebPackage().write(tmp_path), instance)
    (added,) = add(repository, package, signer=signer)
    add(repository, _with_bundle(write_rpm(tmp_path), instance))
    build_tree(repository, signer, NOW)
    kept = repository.public / added.package.pool
    assert hash_file(kept) != hash_file(package)  # the repository has signed it
    bundle = kept.with_name(f"{kept.name}.sigstore.json")
    assert bundle.read_bytes() == package.with_name(bundle.name).read_bytes()
    assert _said(repository) == ""
    assert dangling_files(repository) == []


def test_a_bundle_that_is_not_accepted_refuses_the_package(
    repository: Repository, instance: Instance, tmp_path: Path
) -> None:
    bare = DebPackage().write(tmp_path)
    with pytest.raises(RepoError, match="has no bundle of sigstore, which") as error:
        add(repository, bare)
    assert "tool_1.0-1_amd64.deb.sigstore.json" in (error.value.hint or "")
    by_other = _with_bundle(bare, instance, "https://elsewhere.example.org/x")
    with pytest.raises(BuilderError, match=r"is signed by https://elsewhere\.example\.org/x"):
        add(repository, by_other)
    _with_bundle(bare, instance)
    DebPackage(content="other").write(tmp_path)
    with pytest.raises(BuilderError, match="is not the package that the provenance is of"):
        add(repository, bare)
    assert list(repository.state.everything()) == []
    assert dangling_files(repository) == []


def test_check_finds_a_bundle_that_another_root_has_made(
    repository: Repository, instance: Instance, signer: Signer, tmp_path: Path
) -> None:
    package = _with_bundle(DebPackage().write(tmp_path), instance)
    (added,) = add(repository, package)
    build_tree(repository, signer, NOW)
    with sigstore_instance() as foreign:
        foreign.write(repository.root)
    assert f"{added.package.pool}.sigstore.json: the bundle is not good" in _said(repository)
    (repository.root / "trusted-root.json").unlink()
    assert "bundles of sigstore cannot be checked: cannot read" in _said(repository)


def test_without_a_setting_no_bundle_is_taken(
    signed_repository: Repository, instance: Instance, tmp_path: Path
) -> None:
    package = _with_bundle(DebPackage().write(tmp_path), instance)
    with pytest.raises(RepoError, match="does not say whose bundles") as error:
        add(signed_repository, package)
    assert "[provenance.sigstore]" in (error.value.hint or "")
