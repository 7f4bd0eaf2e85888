"""The tree as it is made, kept, signed, published, and aged."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.base.errors import RepoError, UsageError
from builder.repo.check import check_target
from builder.repo.core import Repository, open_repository
from builder.repo.indexing import build_tree, publish_target
from builder.repo.model import LOCAL
from builder.repo.prune import prune_packages
from builder.repo.publication import Publication
from builder.repo.publish.folder import FolderPublisher
from builder.repo.sign import Signer, open_signer
from tests.helpers.repos import NOW, SMALL, DebPackage, TestKey, add, write_repository, write_rpm

_HOUR = timedelta(hours=1)
_WEB = '[targets.web]\nkind = "folder"\npath = "web"\n'


def _files(root: Path) -> dict[str, str]:
    """Every file below ``root`` with its hash."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def _errors(repository: Repository, name: str = LOCAL, now: datetime = NOW) -> list[str]:
    return [finding.text for finding in check_target(repository, name, now) if finding.is_error]


def _put(publication: Publication) -> set[str]:
    return {str(put.path) for put in publication.puts}


@contextmanager
def _opened(root: Path, key: TestKey, channels: str) -> Iterator[tuple[Repository, Signer]]:
    write_repository(root, key.fingerprint, config=SMALL, channels=channels)
    with (
        open_repository(root) as repository,
        open_signer([key.fingerprint], key.source, NOW) as signer,
    ):
        yield repository, signer


def test_an_empty_repository_is_a_tree_too(signed_repository: Repository, signer: Signer) -> None:
    build_tree(signed_repository, signer, NOW)
    assert _errors(signed_repository) == []
    assert (signed_repository.public / "dists/stable/InRelease").is_file()
    assert (signed_repository.public / "keys/example.gpg").is_file()


def test_only_the_channel_that_changed_is_made_again(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    repository = signed_repository
    add(repository, DebPackage().write(tmp_path), write_rpm(tmp_path))
    build_tree(repository, signer, NOW)
    assert _errors(repository) == []
    before = _files(repository.public)
    assert build_tree(repository, signer, NOW + _HOUR).is_empty
    assert _files(repository.public) == before
    add(repository, DebPackage(version="1.1-1").write(tmp_path), channel="testing")
    changed = _put(build_tree(repository, signer, NOW + _HOUR))
    channels = {path.split("/")[1] for path in changed if path.startswith(("dists/", "rpm/"))}
    assert channels == {"testing"}
    assert _errors(repository) == []


def test_refresh_makes_all_again_and_time_never_goes_back(
    signed_repository: Repository, signer: Signer
) -> None:
    release = signed_repository.public / "dists/stable/Release"
    build_tree(signed_repository, signer, NOW)
    build_tree(signed_repository, signer, NOW + _HOUR, refresh=True)
    assert "Date: Mon, 23 Nov 2026 13:00:00 UTC" in release.read_text()
    build_tree(signed_repository, signer, NOW, refresh=True)
    assert "Date: Mon, 23 Nov 2026 13:00:00 UTC" in release.read_text()


def test_a_date_of_validity_moves_on(tmp_path: Path, test_keys: tuple[TestKey, TestKey]) -> None:
    channels = "[channels.stable]\nvalid-until-days = 1\n"
    with _opened(tmp_path / "repo", test_keys[0], channels) as (repository, signer):
        build_tree(repository, signer, NOW)
        assert _errors(repository) == []
        (late,) = _errors(repository, now=NOW + 25 * _HOUR)
        assert "was valid until 2026-11-24: publish again" in late
        build_tree(repository, signer, NOW + 25 * _HOUR)
        assert _errors(repository, now=NOW + 25 * _HOUR) == []


def test_a_lost_index_is_made_again(signed_repository: Repository, signer: Signer) -> None:
    build_tree(signed_repository, signer, NOW)
    (signed_repository.public / "dists/stable/main/binary-amd64/Packages.gz").unlink()
    assert len(_errors(signed_repository)) > 1
    build_tree(signed_repository, signer, NOW + _HOUR)
    assert _errors(signed_repository) == []


def test_a_lost_package_is_reported_before_anything_is_published(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    (added,) = add(signed_repository, DebPackage().write(tmp_path))
    (signed_repository.public / added.package.pool).unlink()
    with pytest.raises(RepoError, match="is lost or damaged"):
        build_tree(signed_repository, signer, NOW)
    assert not (signed_repository.public / "dists").exists()


def test_refresh_repairs_what_was_damaged_here_and_on_a_target(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey]
) -> None:
    with _opened(tmp_path / "repo", test_keys[0], f"[channels.stable]\n{_WEB}") as opened:
        repository, signer = opened
        artifact = DebPackage().write(tmp_path)
        (added,) = add(repository, artifact, signer=signer)
        build_tree(repository, signer, NOW)
        publish_target(repository, "web", NOW)
        index = PurePosixPath("dists/stable/main/binary-amd64/Packages.xz")
        for root in (repository.public, repository.root / "web"):
            (root / index).write_bytes(b"damaged")
        assert _errors(repository)
        assert _errors(repository, "web")
        build_tree(repository, signer, NOW, refresh=True)
        publish_target(repository, "web", NOW, refresh=True)
        assert _errors(repository) == []
        assert _errors(repository, "web") == []
        (repository.public / added.package.pool).write_bytes(b"damaged")
        with pytest.raises(RepoError, match="is lost or damaged"):
            build_tree(repository, signer, NOW, refresh=True)
        (again,) = add(repository, artifact, signer=signer, channel="stable")
        assert not again.known
        assert len(repository.state.select("stable")) == 1
        build_tree(repository, signer, NOW)
        publish_target(repository, "web", NOW)
        assert _errors(repository) == []
        assert _errors(repository, "web") == []


def test_files_out_of_use_go_after_their_grace(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    repository = signed_repository
    old, new = (DebPackage(version=version).write(tmp_path) for version in ("1.0-1", "1.1-1"))
    (first,) = add(repository, old)
    build_tree(repository, signer, NOW)
    by_hash = set(repository.public.glob("dists/stable/main/binary-amd64/by-hash/SHA256/*"))
    add(repository, new)
    repository.state.leave("stable", [first.package.sha256])
    prune_packages(repository, NOW)
    build_tree(repository, signer, NOW)
    place = repository.public / first.package.pool
    assert place.is_file()
    assert all(path.is_file() for path in by_hash)
    build_tree(repository, signer, NOW + _HOUR / 2)
    assert place.is_file()
    build_tree(repository, signer, NOW + _HOUR)
    assert not place.exists()
    assert not any(path.exists() for path in by_hash)
    assert _errors(repository) == []


class _CutOffError(Exception):
    """The power went."""


def test_interrupted_anywhere_readers_have_the_old_state_or_the_new_one(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = f"[channels.stable]\n{_WEB}"
    with _opened(tmp_path / "repo", test_keys[0], channels) as (repository, signer):
        web = repository.root / "web"
        add(repository, DebPackage().write(tmp_path), write_rpm(tmp_path))
        build_tree(repository, signer, NOW)
        publish_target(repository, "web", NOW)
        assert _files(web) == _files(repository.public)
        entry = (web / "dists/stable/InRelease").read_bytes()
        real = FolderPublisher.put
        finished = False
        for stop in range(0, 200, 5):
            add(repository, DebPackage(version=f"2.{stop}-1").write(tmp_path))
            build_tree(repository, signer, NOW + timedelta(seconds=stop + 1))
            left = stop

            def put(self: FolderPublisher, *given: object) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise _CutOffError
                real(self, *given)  # type: ignore[arg-type]

            with monkeypatch.context() as patch:
                patch.setattr(FolderPublisher, "put", put)
                try:
                    publish_target(repository, "web", NOW)
                    finished = True
                except _CutOffError:
                    pass
            _check_readable(web)
            if finished:
                break
        assert finished
        assert (web / "dists/stable/InRelease").read_bytes() != entry
        publish_target(repository, "web", NOW)
        assert _errors(repository, "web") == []


def _check_readable(web: Path) -> None:
    """All that the entry point names by hash is there, and the packages as well."""
    rows = [
        line.split()
        for line in (web / "dists/stable/InRelease").read_text().splitlines()
        if line.startswith(" ") and len(line.split()[0]) == 64
    ]
    assert rows
    for digest, _, name in rows:
        if name == "main/Contents-amd64":  # only its compressed forms are published
            continue
        data = (web / "dists/stable" / name).parent / "by-hash" / "SHA256" / digest
        assert hashlib.sha256(data.read_bytes()).hexdigest() == digest
        if name.endswith("/Packages"):
            for line in data.read_text().splitlines():
                if line.startswith("Filename: "):
                    assert (web / line.removeprefix("Filename: ")).is_file()


def test_the_target_gets_the_same_files_and_keeps_those_of_others(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey]
) -> None:
    with _opened(tmp_path / "repo", test_keys[0], f"[channels.stable]\n{_WEB}") as opened:
        repository, signer = opened
        web = repository.root / "web"
        web.mkdir()
        (web / "robots.txt").write_text("others' own")
        add(repository, DebPackage().write(tmp_path))
        build_tree(repository, signer, NOW)
        publish_target(repository, "web", NOW)
        assert _errors(repository, "web") == []
        strangers = [finding.text for finding in check_target(repository, "web", NOW)]
        assert strangers == ["robots.txt: was not published by this repository"]
        assert publish_target(repository, "web", NOW).is_empty
        with pytest.raises(UsageError, match="no target 'www'"):
            publish_target(repository, "www", NOW)


def test_two_keys_sign_while_one_follows_the_other(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey]
) -> None:
    old, new = (key.fingerprint for key in test_keys)
    source = test_keys[0].source
    root = write_repository(tmp_path / "repo", old, config=SMALL)
    steps: list[tuple[list[str], Mapping[str, bool]]] = [
        ([old], {"InRelease": True}),
        ([old, new], {"InRelease": True}),
        ([new], {"InRelease": True}),
        ([new], {"InRelease": False}),
    ]
    for keys, changes in steps:
        text = (root / "repo.toml").read_text()
        head, _, rest = text.partition("keys = ")
        (root / "repo.toml").write_text(
            f"{head}keys = {str(keys).replace(chr(39), chr(34))}\n{rest.split(chr(10), 1)[1]}"
        )
        with open_repository(root) as repository, open_signer(keys, source, NOW) as signer:
            names = {PurePosixPath(path).name for path in _put(build_tree(repository, signer, NOW))}
            assert {name: name in names for name in changes} == changes
            assert _errors(repository) == []


def _times(root: Path) -> dict[str, int]:
    """The inode of each index: a file that was put again has another one."""
    return {
        str(path.relative_to(root)): path.stat().st_ino
        for folder in ("dists", "rpm")
        for path in (root / folder / "stable").rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("fmt", ["deb", "rpm"])
def test_the_other_format_keeps_its_indexes_and_signatures(
    signed_repository: Repository, signer: Signer, tmp_path: Path, fmt: str
) -> None:
    repository = signed_repository
    add(repository, DebPackage().write(tmp_path), write_rpm(tmp_path))
    build_tree(repository, signer, NOW)
    before = _times(repository.public)
    deb = DebPackage(version="1.1-1").write(tmp_path)
    add(repository, deb if fmt == "deb" else write_rpm(tmp_path, version="1.1"))
    build_tree(repository, signer, NOW + _HOUR)
    after = _times(repository.public)
    changed = {path for path in before if before[path] != after.get(path)} | set(after) - set(
        before
    )
    assert {path.split("/")[0] for path in changed} == {"dists" if fmt == "deb" else "rpm"}
    assert _errors(repository) == []


def test_another_architecture_of_rpm_keeps_its_indexes(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey]
) -> None:
    write_repository(tmp_path / "repo", test_keys[0].fingerprint)
    with (
        open_repository(tmp_path / "repo") as repository,
        open_signer([test_keys[0].fingerprint], test_keys[0].source, NOW) as signer,
    ):
        build_tree(repository, signer, NOW)
        add(repository, write_rpm(tmp_path))
        changed = _put(build_tree(repository, signer, NOW + _HOUR))
        folders = {path.split("/")[3].partition(".")[0] for path in changed if "rpm/" in path}
        assert folders == {"x86_64"}
        assert _errors(repository) == []


def test_new_keys_sign_what_did_not_change(
    tmp_path: Path, test_keys: tuple[TestKey, TestKey]
) -> None:
    root = tmp_path / "repo"
    for number, key in enumerate(test_keys):
        write_repository(root, key.fingerprint, config=SMALL, channels="[channels.stable]\n")
        with (
            open_repository(root) as repository,
            open_signer([key.fingerprint], key.source, NOW) as signer,
        ):
            build_tree(repository, signer, NOW + number * _HOUR)
            assert _errors(repository, now=NOW + number * _HOUR) == []


def test_the_tree_is_made_again_for_whatever_a_reader_sees(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    repository = signed_repository
    add(repository, DebPackage().write(tmp_path))
    build_tree(repository, signer, NOW)
    assert build_tree(repository, signer, NOW + _HOUR).is_empty
    for place in ("index.html", "keys/example.gpg", "dists/stable/Release.gpg"):
        (repository.public / place).unlink()
        assert place in _put(build_tree(repository, signer, NOW + _HOUR))
        assert _errors(repository) == []


def test_a_deleted_or_damaged_store_of_parts_changes_nothing(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    repository = signed_repository
    add(repository, DebPackage().write(tmp_path), write_rpm(tmp_path))
    build_tree(repository, signer, NOW)
    before = _files(repository.public)
    for path in (repository.root / ".state/parts").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    changed = _put(build_tree(repository, signer, NOW, refresh=True))
    signatures = ("InRelease", "Release.gpg", "repomd.xml.asc")
    assert [path for path in changed if not path.endswith(signatures)] == []
    assert _files(repository.public).keys() == before.keys()
