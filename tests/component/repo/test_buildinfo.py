"""The .buildinfo of debs: checked, signed as Debian does, published beside the package."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from debian.deb822 import BuildInfo

from builder.base.errors import BuilderError, ExitCode
from builder.base.files import hash_file
from builder.cli import main
from builder.repo.buildinfo import is_signed, sign_buildinfo
from builder.repo.check import check_target
from builder.repo.core import Repository, open_repository
from builder.repo.gpg import Gpg, private_home
from builder.repo.indexing import build_tree
from builder.repo.model import LOCAL
from builder.repo.prune import dangling_files
from builder.repo.sign import Signer
from tests.helpers.repos import NOW, SMALL, DebPackage, TestKey, add, write_repository
from tests.helpers.statements import statement_on

_BUILDINFO = "pool/main/t/tool/tool_1.0-1_amd64.buildinfo"


def _text(package: Path, **changes: str) -> bytes:
    fields = {
        "Format": "1.0",
        "Source": "tool",
        "Binary": "tool",
        "Architecture": "amd64",
        "Version": "1.0-1",
        "Checksums-Sha256": f"\n {hash_file(package)} {package.stat().st_size} {package.name}",
        "Build-Architecture": "amd64",
        "Installed-Build-Depends": "\n python3 (= 3.13.5-1)",
        **changes,
    }
    lines = [f"{name}: {value}".replace(": \n", ":\n") for name, value in fields.items()]
    return ("\n".join(lines) + "\n").encode()


def _beside(package: Path) -> Path:
    return package.with_suffix(".buildinfo")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A deb, with its .buildinfo beside it."""
    path = DebPackage().write(tmp_path)
    _beside(path).write_bytes(_text(path))
    return path


def _said(repository: Repository) -> str:
    return "\n".join(problem.text for problem in check_target(repository, LOCAL, NOW))


def _reads_as(path: Path, package: Path, key: Path) -> None:
    """Check a published .buildinfo with two readers that are not this project's."""
    with path.open("rb") as file:
        info = BuildInfo(file)
    assert info["Checksums-Sha256"][0]["sha256"] == hash_file(package)
    with private_home() as home:
        gpg = Gpg(home)
        gpg.import_keys(key.read_text())
        assert [verdict.problem for verdict in gpg.verify(path)] == [None]


def test_a_publication_signs_it_and_check_verifies_it(
    signed_repository: Repository, signer: Signer, package: Path
) -> None:
    add(signed_repository, package)
    build_tree(signed_repository, signer, NOW)
    kept = signed_repository.public / _BUILDINFO
    _reads_as(kept, package, signed_repository.public / "keys/example.asc")
    assert _said(signed_repository) == ""
    assert dangling_files(signed_repository) == []
    assert build_tree(signed_repository, signer, NOW + timedelta(days=1)).is_empty
    before = kept.read_bytes()
    add(signed_repository, package, signer=signer)
    assert kept.read_bytes() == before
    page = (signed_repository.public / "packages/tool.html").read_text()
    assert "tool_1.0-1_amd64.buildinfo" in page


def test_it_is_of_the_deb_as_it_was_built(
    signed_repository: Repository, signer: Signer, package: Path
) -> None:
    (added,) = add(signed_repository, package, signer=signer)
    build_tree(signed_repository, signer, NOW)
    published = signed_repository.public / added.package.pool
    assert hash_file(published) != hash_file(package)
    _reads_as(
        published.with_suffix(".buildinfo"), package, published.parents[4] / "keys/example.asc"
    )
    assert _said(signed_repository) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Version": "1.0-2"}, "its version is 1.0-2, the package beside it says 1.0-1"),
        ({"Binary": "other"}, "its binary is other, the package beside it says tool"),
        ({"Architecture": ""}, "its architecture is missing, the package beside it says amd64"),
        ({"Checksums-Sha256": f"\n {'0' * 64} 1 x"}, "no Checksums-Sha256 is that of the package"),
        ({"Format": "1.0\nFormat: 1.0"}, "is no .buildinfo"),
    ],
)
def test_one_of_another_package_is_refused(
    signed_repository: Repository, package: Path, changes: dict[str, str], said: str
) -> None:
    _beside(package).write_bytes(_text(package, **changes))
    with pytest.raises(BuilderError) as error:
        add(signed_repository, package)
    assert said in error.value.message
    assert list(signed_repository.state.everything()) == []
    assert dangling_files(signed_repository) == []


def test_a_signature_by_nobody_known_is_refused(
    signed_repository: Repository, signer: Signer, stranger: Signer, package: Path
) -> None:
    build_tree(signed_repository, signer, NOW)
    text = _beside(package).read_bytes()
    good = sign_buildinfo(text, signer)
    for data, said in (
        (sign_buildinfo(text, stranger), "no key of the repository has signed it"),
        (good.replace(b"Build-Architecture: amd64", b"Build-Architecture: arm64"), "does not fit"),
        (good.partition(b"-----BEGIN PGP SIGNATURE")[0], "no key of the repository has signed it"),
    ):
        _beside(package).write_bytes(data)
        with pytest.raises(BuilderError) as error:
            add(signed_repository, package)
        assert said in error.value.message
    _beside(package).write_bytes(good)
    add(signed_repository, package)
    kept = signed_repository.public / _BUILDINFO
    assert kept.read_bytes() == good
    # The record agrees with a file that was signed by somebody else.
    kept.write_bytes(sign_buildinfo(text, stranger))
    assert f"{_BUILDINFO}: no key of the repository has signed it" in _said(signed_repository)


def test_without_signing_it_stays_as_it_was_given(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey], signer: Signer, package: Path
) -> None:
    config = f"{SMALL}[provenance]\nsign = false\n"
    root = write_repository(tmp_path / "repo", test_keys[0].fingerprint, config=config)
    with open_repository(root) as repository:
        add(repository, package, signer=signer)
        build_tree(repository, signer, NOW)
        assert (repository.public / _BUILDINFO).read_bytes() == _text(package)
        assert _said(repository) == ""


def test_attest_signs_it_in_its_place(
    test_keys: tuple[TestKey, TestKey], package: Path, tmp_path: Path
) -> None:
    text = json.dumps(statement_on(package))
    package.with_name(f"{package.name}.provenance.json").write_text(text)
    secret = tmp_path / "secret.asc"
    secret.write_text(test_keys[0].source.key or "")
    words = ["attest", str(package), "--key", test_keys[0].fingerprint, "--key-file", str(secret)]
    for _ in range(2):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == ExitCode.OK, result.output
        signed = _beside(package).read_bytes()
        assert is_signed(signed)
        assert signed.count(b"BEGIN PGP SIGNATURE") == 1
