"""Each way a tree can be wrong, and that ``check`` says so."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from builder.base.errors import UsageError
from builder.repo.check import check_target
from builder.repo.core import Repository, open_repository
from builder.repo.gpg import Gpg, private_home
from builder.repo.indexing import build_tree
from builder.repo.model import LOCAL
from builder.repo.sign import KeySource, Signer, open_signer
from tests.helpers.keys import export_secret, make_key
from tests.helpers.repos import NOW, SMALL, DebPackage, TestKey, add, write_repository, write_rpm

_DEB = "pool/main/t/tool/tool_1.0-1_amd64.deb"
_RPM = "pool/main/t/tool/tool-1.0-1.x86_64.rpm"
_PACKAGES = "dists/stable/main/binary-amd64/Packages"


@pytest.fixture
def published(signed_repository: Repository, signer: Signer, tmp_path: Path) -> Repository:
    """A repository with a deb and an rpm, as readers see it."""
    add(signed_repository, DebPackage().write(tmp_path), write_rpm(tmp_path))
    build_tree(signed_repository, signer, NOW)
    assert check_target(signed_repository, LOCAL, NOW) == []
    return signed_repository


def _said(repository: Repository) -> str:
    problems = check_target(repository, LOCAL, NOW)
    assert all(finding.is_error for finding in problems)
    return "\n".join(finding.text for finding in problems)


def _flip(path: Path) -> int:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    return path.write_bytes(data)


def _every_file(repository: Repository) -> list[Path]:
    files = (path for path in repository.public.rglob("*") if path.is_file())
    return sorted(path for path in files if path.stat().st_size)


def test_a_flipped_bit_a_cut_and_a_loss_are_found_in_any_file(published: Repository) -> None:
    for number, path in enumerate(_every_file(published)[::2]):
        name = str(path.relative_to(published.public))
        whole = path.read_bytes()
        match number % 3:
            case 0:
                _flip(path)
                said = f"{name}: is not what was published"
            case 1:
                path.write_bytes(whole[:-1])
                said = f"{name}: has {len(whole) - 1} bytes, {len(whole)} were published"
            case _:
                path.unlink()
                said = f"{name}: is missing"
        assert said in _said(published)
        path.write_bytes(whole)
    assert _said(published) == ""


def _forget_the_record(repository: Repository) -> None:
    """Make the record agree with what lies there: the fault must show in what readers see."""
    recorded = dict(repository.state.published(LOCAL))
    repository.state.record_deleted(LOCAL, recorded)
    key = next(path for path in recorded if path.name == "example.asc")
    repository.state.record_put(LOCAL, [(key, recorded[key].facts)])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda public: _flip(public / _DEB), f"{_DEB}: does not have the sha256 and size"),
        (lambda public: _flip(public / _RPM), f"{_RPM}: does not have the sha256 and size"),
        (lambda public: (public / _DEB).unlink(), f"{_DEB}: is missing, and {_PACKAGES} names"),
        (lambda public: (public / _RPM).unlink(), f"{_RPM}: is missing"),
        (lambda public: _flip(public / _PACKAGES), f"{_PACKAGES}: does not have the sha512"),
        (lambda public: _flip(public / "dists/stable/InRelease"), "InRelease: "),
        (lambda public: _flip(public / "dists/stable/Release"), "is not what InRelease signs"),
        (
            lambda public: _flip(public / "dists/stable/Release"),
            "Release.gpg: the signature by",
        ),
        (
            lambda public: (public / "dists/stable/Release.gpg").unlink(),
            "Release.gpg: is missing",
        ),
        (
            lambda public: (public / "dists/stable/InRelease").unlink(),
            "has no InRelease and Release",
        ),
        (
            lambda public: _flip(public / "rpm/stable/main/x86_64/repodata/repomd.xml"),
            "repomd.xml.asc: the signature by",
        ),
        (
            lambda public: (public / "rpm/stable/main/x86_64/repodata/repomd.xml").unlink(),
            "repodata/repomd.xml: is missing",
        ),
        (
            lambda public: [_flip(p) for p in public.glob("rpm/stable/main/x86_64.*/*/*primary*")],
            "primary.xml.gz: does not have the sha256",
        ),
        (
            lambda public: [p.unlink() for p in public.glob("rpm/stable/*/x86_64/*/*other*")],
            "other.xml.gz: is missing",
        ),
        (
            lambda public: shutil.rmtree(next(public.glob("rpm/stable/main/x86_64.*"))),
            "repomd.xml: is missing",
        ),
        (
            lambda public: [p.unlink() for p in public.glob("dists/stable/main/*/by-hash/*/*")],
            "and dists/stable/InRelease names it",
        ),
    ],
)
def test_what_readers_would_refuse_is_reported_without_the_record(
    published: Repository, damage: Callable[[Path], object], said: str
) -> None:
    _forget_the_record(published)
    assert [finding for finding in check_target(published, LOCAL, NOW) if finding.is_error] == []
    damage(published.public)
    errors = [finding.text for finding in check_target(published, LOCAL, NOW) if finding.is_error]
    assert said in "\n".join(errors)


def test_an_index_that_is_signed_and_says_what_is_not_so(
    published: Repository, signer: Signer
) -> None:
    """Even our own signature does not make a wrong index right."""
    release = published.public / "dists/stable/Release"
    text = release.read_bytes().replace(b"SHA256:\n ", b"SHA256:\n 0", 1)
    release.write_bytes(text)
    release.with_name("Release.gpg").write_bytes(signer.detach(text))
    release.with_name("InRelease").write_bytes(signer.clearsign(text))
    _forget_the_record(published)
    errors = [finding.text for finding in check_target(published, LOCAL, NOW) if finding.is_error]
    place = "dists/stable/main/Contents-amd64"
    assert f"{place}: does not have the sha256 that dists/stable/InRelease states" in errors


def test_an_older_index_put_back_is_reported(
    published: Repository, signer: Signer, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(published.public, old)
    # Of both formats: one in which nothing changes keeps its indexes.
    add(published, DebPackage(version="1.1-1").write(tmp_path), write_rpm(tmp_path, version="1.1"))
    build_tree(published, signer, NOW + timedelta(hours=1))
    shutil.copytree(old, published.public, dirs_exist_ok=True)
    said = "\n".join(
        finding.text for finding in check_target(published, LOCAL, NOW + timedelta(hours=1))
    )
    assert "dists/stable/InRelease: is of 2026-11-23 12:00:00, the last publication of" in said
    assert "it was rolled back" in said
    assert "rpm/stable/main/x86_64/mirrorlist: is not what was published" in said


def test_keys_that_are_not_those_of_the_configuration(
    published: Repository, test_keys: tuple[TestKey, TestKey]
) -> None:
    """An intruder signs everything again and replaces the key beside it."""
    other = test_keys[1]
    with open_signer([other.fingerprint], other.source, NOW) as intruder:
        build_tree(published, intruder, NOW + timedelta(hours=1))
    said = _said(published)
    assert f"keys/example.asc: has key {other.fingerprint}, which repo.toml does not" in said
    assert f"keys/example.asc: lacks key {test_keys[0].fingerprint}" in said
    (published.public / "keys/example.asc").write_text("no key at all")
    assert "keys/example.asc: is no keyring" in _said(published)


def test_a_signature_that_is_lacking_or_of_a_stranger(
    published: Repository, test_keys: tuple[TestKey, TestKey]
) -> None:
    stranger = test_keys[1]
    folder = published.public / "dists/stable"
    with open_signer([stranger.fingerprint], stranger.source, NOW) as signer:
        (folder / "InRelease").write_bytes(signer.clearsign((folder / "Release").read_bytes()))
    (folder / "Release.gpg").write_bytes(b"nothing")
    _forget_the_record(published)
    said = [finding.text for finding in check_target(published, LOCAL, NOW) if finding.is_error]
    assert any("is by a key that the repository does not use" in text for text in said)
    assert any("Release.gpg: has no signature that can be read" in text for text in said)


def test_a_key_near_its_end_and_past_it(tmp_path: Path, test_keys: object) -> None:
    with private_home() as home:
        gpg = Gpg(home)
        name = make_key(gpg, "Short <short@example.org>", expires="59d")
        source = KeySource(key=export_secret(gpg, [name]))
        made = next(key.created for key in gpg.list_keys())
    root = write_repository(tmp_path / "repo", name)
    with open_repository(root) as repository, open_signer([name], source, made) as signer:
        build_tree(repository, signer, made)
        (soon,) = check_target(repository, LOCAL, made)
        assert not soon.is_error
        assert f"key {name} (Short <short@example.org>) expires on" in soon.text
        said = [
            finding.text for finding in check_target(repository, LOCAL, made + timedelta(days=60))
        ]
        assert any(f"key {name}" in text and "expired on" in text for text in said)


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_lists_of_every_compression_are_read(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey], signer: Signer, form: str
) -> None:
    text = f'{SMALL}\n[rpm]\ncompression = "{form}"\n[apt]\ncompressions = ["{form}"]\n'
    root = write_repository(tmp_path / "repo", test_keys[0].fingerprint, config=text)
    with open_repository(root) as repository:
        rpm = add(repository, write_rpm(tmp_path))[0].package
        add(repository, DebPackage().write(tmp_path))
        build_tree(repository, signer, NOW)
        assert check_target(repository, LOCAL, NOW) == []
        (repository.public / rpm.pool).write_bytes(b"x")
        said = [problem.text for problem in check_target(repository, LOCAL, NOW)]
        assert [text.partition(":")[0] for text in said] == [str(rpm.pool)] * 3


def test_strays_and_unpublished_targets_are_only_mentioned(
    published: Repository, signed_repository: Repository
) -> None:
    (published.public / "pool" / "stray.deb").write_bytes(b"?")
    (problem,) = check_target(published, LOCAL, NOW)
    assert problem.text == "pool/stray.deb: was not published by this repository"
    assert not problem.is_error
    with pytest.raises(UsageError, match="no target 'web'"):
        check_target(published, "web", NOW)


def test_an_index_of_dnf_that_cannot_be_read(published: Repository, signer: Signer) -> None:
    path = published.public / "rpm/stable/main/x86_64/repodata/repomd.xml"
    path.write_bytes(b"<repomd")
    path.with_name("repomd.xml.asc").write_bytes(signer.detach(b"<repomd"))
    _forget_the_record(published)
    said = [finding.text for finding in check_target(published, LOCAL, NOW) if finding.is_error]
    assert any("repomd.xml: cannot be read: " in text for text in said)
