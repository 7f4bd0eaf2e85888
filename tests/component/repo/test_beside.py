"""Provenance and SBOMs that come with packages: checked, kept, signed, published, verified."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from builder.base.errors import BuilderError, RepoError
from builder.repo.attest import load_provenance, sign_statement
from builder.repo.check import check_target
from builder.repo.config import CONFIG_NAME, load_config
from builder.repo.core import (
    Repository,
    open_repository,
    promote_packages,
)
from builder.repo.indexing import build_tree
from builder.repo.model import LOCAL
from builder.repo.prune import dangling_files, prune_packages
from builder.repo.sign import Signer
from builder.repo.state import open_state
from tests.helpers.package_files import DebFile, Payload
from tests.helpers.repos import NOW, SMALL, DebPackage, TestKey, add, write_repository, write_rpm
from tests.helpers.statements import statement_on

_DEB = "pool/main/t/tool/tool_1.0-1_amd64.deb"


def _with_statement(package: Path, changes: Mapping[str, object] | None = None) -> Path:
    text = json.dumps({**statement_on(package), **(changes or {})})
    package.with_name(f"{package.name}.provenance.json").write_text(text)
    return package


def _with_envelope(package: Path, signer: Signer) -> Path:
    data = sign_statement(package, json.dumps(statement_on(package)).encode(), signer)
    package.with_name(f"{package.name}.intoto.json").write_bytes(data)
    return package


def _said(repository: Repository) -> str:
    return "\n".join(problem.text for problem in check_target(repository, LOCAL, NOW))


def _set(repository: Repository, text: str) -> None:
    path = repository.root / CONFIG_NAME
    path.write_text(path.read_text() + text)


def test_a_publication_signs_what_nobody_has_signed(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    add(signed_repository, _with_statement(DebPackage().write(tmp_path)))
    add(signed_repository, _with_statement(write_rpm(tmp_path)))
    build_tree(signed_repository, signer, NOW)
    keyring = signed_repository.public / "keys/example.asc"
    for path in sorted(signed_repository.public.glob("pool/main/t/tool/tool*[bm]")):
        found = load_provenance(path, None, keyring)
        assert found.signers == signer.fingerprints
        assert (path.with_name(f"{path.name}.provenance.json")).is_file()
    assert _said(signed_repository) == ""
    assert dangling_files(signed_repository) == []
    again = build_tree(signed_repository, signer, NOW + timedelta(days=1))
    assert again.is_empty


def test_a_repository_that_signs_a_package_signs_its_statement_again(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    package = _with_envelope(DebPackage().write(tmp_path), signer)
    add(signed_repository, package, signer=signer)
    build_tree(signed_repository, signer, NOW)
    kept = signed_repository.public / _DEB
    assert kept.read_bytes() != package.read_bytes()
    load_provenance(kept, None, signed_repository.public / "keys/example.asc")
    assert _said(signed_repository) == ""
    # Added once more, it stays as it is.
    envelope = kept.with_name(f"{kept.name}.intoto.json").read_bytes()
    add(signed_repository, package, signer=signer)
    assert kept.with_name(f"{kept.name}.intoto.json").read_bytes() == envelope


def test_the_documents_go_with_the_package(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    text = '[retention]\nkeep = 1\n[provenance]\nrequire = "statement"\n'
    root = signed_repository.root
    config = (root / CONFIG_NAME).read_text().replace("[signing]", f"{text}[signing]")
    (root / CONFIG_NAME).write_text(config)
    repository = Repository(root=root, config=load_config(root), state=signed_repository.state)
    for version in ("1.0-1", "1.1-1"):
        add(repository, _with_statement(DebPackage(version=version).write(tmp_path)))
    promote_packages(repository, ["tool"], "stable", "testing")
    build_tree(repository, signer, NOW)
    envelope = repository.public / f"{_DEB}.intoto.json"
    assert envelope.is_file()
    pruned = prune_packages(repository, NOW)
    assert [package.version for package in pruned.removed] == ["1.0-1"]
    for hours in (1, 3):
        build_tree(repository, signer, NOW + timedelta(hours=hours))
    assert not list(envelope.parent.glob("tool_1.0-1*"))
    assert len(list(envelope.parent.glob("tool_1.1-1*"))) == 3
    assert _said(repository) == ""


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        ("statement", "has no provenance, which [provenance] require = 'statement' demands"),
        ("signature", "has no signed provenance, which [provenance] require = 'signature'"),
    ],
)
def test_a_package_without_what_is_demanded_is_refused(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey], signer: Signer, demand: str, said: str
) -> None:
    config = f'{SMALL}[provenance]\nrequire = "{demand}"\n'
    root = write_repository(tmp_path / "repo", test_keys[0].fingerprint, config=config)
    with open_repository(root) as repository:
        bare = DebPackage().write(tmp_path)
        good = _with_envelope(DebPackage(name="good").write(tmp_path), signer)
        with pytest.raises(RepoError) as error:
            add(repository, good, bare, signer=signer)
        assert said in error.value.message
        assert list(repository.state.everything()) == []
        assert dangling_files(repository) == []
        add(repository, good, signer=signer)


def test_check_reports_what_a_stricter_demand_does_not_find(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    add(signed_repository, DebPackage().write(tmp_path))
    build_tree(signed_repository, signer, NOW)
    _set(signed_repository, '[provenance]\nrequire = "signature"\n')
    root, state = signed_repository.root, signed_repository.state
    stricter = Repository(root=root, config=load_config(root), state=state)
    assert "has no signed provenance" in _said(stricter)


def test_what_is_false_is_refused_and_nothing_is_taken(
    signed_repository: Repository, signer: Signer, stranger: Signer, tmp_path: Path
) -> None:
    build_tree(signed_repository, signer, NOW)
    other = DebPackage(name="other").write(tmp_path)
    package = DebPackage().write(tmp_path)
    statement = package.with_name(f"{package.name}.provenance.json")
    envelope = package.with_name(f"{package.name}.intoto.json")
    sbom = package.with_name(f"{package.name}.cdx.json")
    foreign = json.dumps(statement_on(other)).encode()
    good = json.loads(_with_envelope(package, signer).with_name(envelope.name).read_text())
    payload = base64.b64decode(good["payload"]).replace(b"fast", b"slow")
    tampered = json.dumps({**good, "payload": base64.b64encode(payload).decode()})
    unknown = sign_statement(package, json.dumps(statement_on(package)).encode(), stranger)
    envelope.unlink()
    for path, data, said in (
        (statement, foreign, "is not the package that the provenance is of"),
        (statement, b'{"_type": ', "not JSON"),
        (statement, json.dumps(good).encode(), "is no provenance of a package"),
        (statement, b"[]", "not a JSON object"),
        (envelope, tampered.encode(), "the signature by"),
        (envelope, unknown, "no key of the repository has signed it"),
        (envelope, json.dumps(good).encode()[:-9], "not JSON"),
        (envelope, json.dumps(statement_on(package)).encode(), "is no in-toto statement"),
        (sbom, b"{}", "is not the SBOM that is in the package"),
        (sbom, b"{", "not JSON"),
    ):
        path.write_bytes(data)
        with pytest.raises(BuilderError) as error:
            add(signed_repository, other, package)
        assert said in error.value.message
        assert "\n" not in error.value.message
        assert list(signed_repository.state.everything()) == []
        assert dangling_files(signed_repository) == []
        path.unlink()


def test_the_sbom_is_the_one_within(signed_repository: Repository, tmp_path: Path) -> None:
    control = "Package: aa\nVersion: 1-1\nArchitecture: all\nMaintainer: A\nDescription: a\n"
    document = b'{"bomFormat": "CycloneDX"}'
    path = tmp_path / "aa_1-1_all.deb"
    payload = [Payload(path="/usr/share/doc/aa/sbom.cdx.json", content=document)]
    path.write_bytes(DebFile(control=control, payload=payload).build())
    path.with_name(f"{path.name}.cdx.json").write_bytes(b'{\n "bomFormat": "CycloneDX"\n}\n')
    (added,) = add(signed_repository, path)
    kept = signed_repository.public / f"{added.package.pool}.cdx.json"
    assert json.loads(kept.read_text()) == json.loads(document)


def test_a_key_of_the_builders_own_may_sign(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey], signer: Signer, stranger: Signer
) -> None:
    config = f'{SMALL}[provenance]\nkeyring = "builders.asc"\nsign = false\n'
    root = write_repository(tmp_path / "repo", test_keys[0].fingerprint, config=config)
    with open_repository(root) as repository:
        package = _with_envelope(DebPackage().write(tmp_path), stranger)
        with pytest.raises(BuilderError, match=r"cannot read .*builders\.asc"):
            add(repository, package, signer=signer)
        (root / "builders.asc").write_bytes(stranger.public_keys(armor=True))
        add(repository, package, signer=signer)
        build_tree(repository, signer, NOW)
        assert _said(repository) == ""
        envelope = repository.public / f"{_DEB}.intoto.json"
        assert envelope.read_bytes() == package.with_name(envelope.name).read_bytes()
        # One that is on another file, though its record agrees, is found.
        other = _with_envelope(DebPackage(content="other").write(tmp_path / "x"), stranger)
        envelope.write_bytes(other.with_name(envelope.name).read_bytes())
        assert "is not the package that the provenance is of" in _said(repository)


def test_a_statement_that_was_damaged_in_the_pool_is_not_signed(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    package = _with_statement(DebPackage().write(tmp_path))
    add(signed_repository, package)
    statement = signed_repository.public / f"{_DEB}.provenance.json"
    statement.write_bytes(b"{")
    with pytest.raises(RepoError, match=r"cannot be signed: .*not JSON"):
        build_tree(signed_repository, signer, NOW)
    add(signed_repository, package)
    build_tree(signed_repository, signer, NOW)
    assert _said(signed_repository) == ""


def test_a_state_of_an_older_builder_is_brought_up(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "repo")
    with open_state(root) as state:
        state._db.executescript("DROP TABLE document; DROP TABLE rollout; PRAGMA user_version = 1;")
    with open_repository(root) as repository:
        add(repository, _with_statement(DebPackage().write(tmp_path)))
        assert len(dict(repository.state.missing(LOCAL))) == 2
