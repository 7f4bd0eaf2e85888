"""Signatures inside packages: who may have made them, also after the keys have changed."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.base.errors import RepoError, SpecError
from builder.repo.check import check_target
from builder.repo.core import Repository, open_repository
from builder.repo.gpg import Gpg, private_home
from builder.repo.indexing import build_tree
from builder.repo.keyfiles import make_key_files
from builder.repo.model import LOCAL
from builder.repo.sign import Signer, open_signer
from tests.helpers.repos import NOW, SMALL, DebPackage, TestKey, add, write_repository


def _use(root: Path, keys: Sequence[str], former: Sequence[str] = ()) -> None:
    """Name these keys in repo.toml, and sign packages."""
    path = root / "repo.toml"
    lines = f"keys = {json.dumps(list(keys))}\nformer-keys = {json.dumps(list(former))}\n"
    text = re.sub(r"(?m)^(keys|former-keys) = .*\n", "", path.read_text())
    text = text.replace("packages = false", "packages = true")
    path.write_text(text.replace("[signing]\n", f"[signing]\n{lines}"))


@contextmanager
def _opened(root: Path, key: TestKey) -> Iterator[tuple[Repository, Signer]]:
    with (
        open_repository(root) as repository,
        open_signer(repository.config.signing.keys, key.source, NOW) as signer,
    ):
        yield repository, signer


def _texts(repository: Repository) -> list[str]:
    return [finding.text for finding in check_target(repository, LOCAL, NOW)]


@pytest.fixture
def root(tmp_path: Path, test_keys: tuple[TestKey, TestKey]) -> Path:
    """A repository that signs its packages with the first key."""
    made = write_repository(tmp_path / "repo", config=SMALL)
    _use(made, [test_keys[0].fingerprint])
    return made


def test_a_package_without_or_with_a_wrong_signature_is_reported(
    root: Path, test_keys: tuple[TestKey, TestKey], tmp_path: Path
) -> None:
    with _opened(root, test_keys[0]) as (repository, signer):
        stranger = test_keys[1]
        add(repository, DebPackage(name="signed").write(tmp_path), signer=signer)
        add(repository, DebPackage(name="bare").write(tmp_path))
        with open_signer([stranger.fingerprint], stranger.source, NOW) as other:
            add(repository, DebPackage(name="strange").write(tmp_path), signer=other)
        build_tree(repository, signer, NOW)
        said = _texts(repository)
    assert len(said) == 2
    assert said[0] == "pool/main/b/bare/bare_1.0-1_amd64.deb: is not signed"
    assert said[1].startswith("pool/main/s/strange/strange_1.0-1_amd64.deb: the signature by")
    assert said[1].endswith("is by a key that the repository does not use")


def test_a_former_key_is_kept_for_rpm_and_for_check_but_not_for_apt(
    root: Path, test_keys: tuple[TestKey, TestKey], tmp_path: Path
) -> None:
    old, new = (key.fingerprint for key in test_keys)
    with _opened(root, test_keys[0]) as (repository, signer):
        add(repository, DebPackage().write(tmp_path), signer=signer)
        build_tree(repository, signer, NOW)
    _use(root, [new])
    with _opened(root, test_keys[1]) as (repository, signer):
        build_tree(repository, signer, NOW)
        (said,) = _texts(repository)
        assert "tool_1.0-1_amd64.deb: the signature by" in said
        # Gone from what is published, it cannot be had from there any more.
    _use(root, [new], former=[old])
    with (
        _opened(root, test_keys[1]) as (repository, signer),
        pytest.raises(RepoError, match="was never published"),
    ):
        build_tree(repository, signer, NOW)
    # As repo.toml explains: both, then the old one as a former one.
    _use(root, [new, old])
    with _opened(root, test_keys[1]) as (repository, signer):
        build_tree(repository, signer, NOW)
    _use(root, [new], former=[old])
    with _opened(root, test_keys[1]) as (repository, signer):
        for _ in range(2):  # the second time from what the first one published
            build_tree(repository, signer, NOW)
            assert _texts(repository) == []
        files = make_key_files(repository, signer)
    assert _keys_in(files.rpm) == {old, new}
    assert _keys_in(files.apt) == {new}


def _keys_in(keyring: bytes) -> set[str]:
    with private_home() as home:
        gpg, path = Gpg(home), home / "keyring"
        path.write_bytes(keyring)
        gpg.call(["--import", path])
        return {key.fingerprint for key in gpg.list_keys()}


def test_a_key_is_either_one_or_the_other(root: Path, test_keys: tuple[TestKey, TestKey]) -> None:
    name = test_keys[0].fingerprint
    _use(root, [name], former=[name])
    with (
        pytest.raises(SpecError, match="keys and former-keys has the same value twice"),
        open_repository(root),
    ):
        pass
