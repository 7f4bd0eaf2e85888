"""Publishing to a folder, by rsync and to S3: the same walk, the same promises."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pytest
from mypy_boto3_s3.client import S3Client

from builder.base.errors import RepoError, StorageError, ToolError
from builder.repo.config import FolderTarget, RepoConfig, RsyncTarget, S3Target
from builder.repo.model import FileFacts, Publisher
from builder.repo.publication import Phase, Published, phase_of, plan_publication
from builder.repo.publish import execute, open_publisher
from builder.repo.publish.execute import Destination, publish
from builder.repo.publish.folder import FolderPublisher
from builder.repo.publish.rsync import RsyncPublisher, is_remote, parse_listing
from builder.repo.publish.s3 import S3Publisher, open_s3
from tests.helpers.repos import BUCKET

_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_GRACE = timedelta(hours=24)
_DEB = PurePosixPath("pool/main/a/a/a_1_all.deb")
_RELEASE = PurePosixPath("dists/stable/Release")
_IN_RELEASE = PurePosixPath("dists/stable/InRelease")
_BY_HASH = PurePosixPath("dists/stable/main/binary-amd64/by-hash/SHA256/" + "ab" * 32)
_PACKAGES = PurePosixPath("dists/stable/main/binary-amd64/Packages")
_PAGE = PurePosixPath("index.html")
_ALL = (_DEB, _BY_HASH, _PACKAGES, _RELEASE, _IN_RELEASE, _PAGE)


def _facts(data: bytes) -> FileFacts:
    return FileFacts(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


class Tree:
    """A tree to be published."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: PurePosixPath, data: bytes) -> FileFacts:
        """Place a file in it."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)
        return _facts(data)

    def fill(self, tag: str) -> dict[PurePosixPath, FileFacts]:
        """All kinds of files; ``tag`` distinguishes one state from another, at the same sizes."""
        return {
            path: self.write(path, f"{path} {'' if _keeps(path) else tag}".encode())
            for path in _ALL
        }


def _keeps(path: PurePosixPath) -> bool:
    return phase_of(path) is Phase.CONTENT


class Notes:
    """What is noted of a target, in memory."""

    def __init__(self) -> None:
        self.files: dict[PurePosixPath, Published] = {}

    def record_put(self, _target: str, files: Iterable[tuple[PurePosixPath, FileFacts]]) -> None:
        self.files |= {path: Published(facts=facts) for path, facts in files}

    def record_retired(self, _target: str, paths: Iterable[PurePosixPath], now: datetime) -> None:
        for path in paths:
            self.files[path] = Published(facts=self.files[path].facts, retired=now)

    def record_deleted(self, _target: str, paths: Iterable[PurePosixPath]) -> None:
        for path in paths:
            del self.files[path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree to be published."""
    return Tree(tmp_path / "public")


def _publish(
    tree: Tree,
    wanted: Mapping[PurePosixPath, FileFacts],
    place: Publisher,
    notes: Notes,
    now: datetime = _NOW,
) -> None:
    publication = plan_publication(wanted, notes.files, now, _GRACE)
    to = Destination(target="www", publisher=place, record=notes)
    publish(publication, to, source=tree.root, now=now)


def _read(place: Publisher, path: PurePosixPath) -> bytes:
    with place.open(path) as file:
        return file.read()


def _content(place: Publisher) -> dict[PurePosixPath, bytes]:
    return {path: _read(place, path) for path, _ in place.list()}


def _expected(tree: Tree) -> dict[PurePosixPath, bytes]:
    return {path: (tree.root / path).read_bytes() for path in _ALL}


def test_an_empty_place_gets_everything(tree: Tree, place: Publisher) -> None:
    assert not dict(place.list())
    notes = Notes()
    wanted = tree.fill("one")
    _publish(tree, wanted, place, notes)
    assert _content(place) == _expected(tree)
    assert dict(place.list()) == {path: facts.size for path, facts in wanted.items()}
    assert notes.files == {path: Published(facts=facts) for path, facts in wanted.items()}


def test_a_change_of_the_same_size_and_second_arrives(tree: Tree, place: Publisher) -> None:
    notes = Notes()
    _publish(tree, tree.fill("one"), place, notes)
    wanted = tree.fill("two")
    for path in _ALL:
        os.utime(tree.root / path, (1_700_000_000, 1_700_000_000))
    _publish(tree, wanted, place, notes)
    assert _content(place) == _expected(tree)


def test_what_nothing_refers_to_goes_after_its_grace(tree: Tree, place: Publisher) -> None:
    notes = Notes()
    wanted = tree.fill("one")
    _publish(tree, wanted, place, notes)
    del wanted[_DEB]
    _publish(tree, wanted, place, notes, _NOW + timedelta(hours=1))
    assert _DEB in dict(place.list())
    _publish(tree, wanted, place, notes, _NOW + timedelta(hours=24))
    assert _DEB in dict(place.list())
    _publish(tree, wanted, place, notes, _NOW + timedelta(hours=25))
    assert _DEB not in dict(place.list())
    assert _DEB not in notes.files


def test_a_file_of_somebody_else_stays(tree: Tree, place: Publisher) -> None:
    facts = tree.write(PurePosixPath("robots.txt"), b"theirs")
    place.put(PurePosixPath("robots.txt"), tree.root / "robots.txt", facts)
    wanted = tree.fill("one")
    notes = Notes()
    for hours in (0, 30, 60):
        _publish(tree, wanted, place, notes, _NOW + timedelta(hours=hours))
    assert _read(place, PurePosixPath("robots.txt")) == b"theirs"


def test_deleting_what_is_gone_is_no_error(tree: Tree, place: Publisher) -> None:
    _publish(tree, tree.fill("one"), place, Notes())
    place.delete([_DEB])
    place.delete([_DEB, _PAGE])
    assert set(dict(place.list())) == set(_ALL) - {_DEB, _PAGE}


def test_what_is_not_there_cannot_be_read(place: Publisher) -> None:
    with pytest.raises(RepoError, match=r"dists/stable/InRelease") as caught:
        _read(place, _IN_RELEASE)
    assert caught.value.hint


@pytest.mark.parametrize("change", [b"pool/main/a/a/a_1_all.deX ", b"short", b""])
def test_a_source_that_changed_is_not_sent(tree: Tree, place: Publisher, change: bytes) -> None:
    wanted = tree.fill("one")
    (tree.root / _DEB).write_bytes(change)
    notes = Notes()
    with pytest.raises(RepoError, match="sha256 that the repository has on record"):
        _publish(tree, wanted, place, notes)
    assert _DEB not in dict(place.list())
    assert _IN_RELEASE not in dict(place.list())
    assert _DEB not in notes.files


def test_a_lost_source_is_named(tree: Tree, place: Publisher) -> None:
    wanted = tree.fill("one")
    (tree.root / _DEB).unlink()
    with pytest.raises(RepoError, match="is missing, but the repository has it on record"):
        _publish(tree, wanted, place, Notes())


def test_any_number_is_put_and_deleted_a_few_at_a_time(
    tree: Tree, place: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "_SENT_TOGETHER", 1)
    monkeypatch.setattr(execute, "_WAITING", 2)
    notes, wanted = Notes(), tree.fill("one")
    more = {PurePosixPath(f"pool/main/m/{n}.deb"): b"%d" % n for n in range(10)}
    _publish(
        tree, wanted | {path: tree.write(path, data) for path, data in more.items()}, place, notes
    )
    assert _content(place) == {**_expected(tree), **more}
    _publish(tree, wanted, place, notes)
    _publish(tree, wanted, place, notes, _NOW + _GRACE)
    assert _content(place) == _expected(tree)
    assert set(notes.files) == set(_ALL)


class ConnectionLostError(Exception):
    """Stands for a lost connection or a kill."""


class Dying:
    """A folder that fails before its n-th file, and remembers the order of files."""

    def __init__(self, folder: FolderPublisher, after: int) -> None:
        self._folder = folder
        self._left = after
        self.placed: list[PurePosixPath] = []

    def list(self) -> Iterator[tuple[PurePosixPath, int]]:
        return self._folder.list()

    def has(self, path: PurePosixPath, facts: FileFacts) -> bool:
        return self._folder.has(path, facts)

    def put(self, path: PurePosixPath, source: Path, facts: FileFacts) -> None:
        if self._left == 0:
            raise ConnectionLostError
        self._left -= 1
        self._folder.put(path, source, facts)
        self.placed.append(path)

    def open(self, path: PurePosixPath) -> BinaryIO:
        return self._folder.open(path)

    def delete(self, paths: Iterable[PurePosixPath]) -> None:
        self._folder.delete(paths)


@pytest.mark.parametrize("after", range(len(_ALL)))
def test_interrupted_anywhere_the_next_run_finishes(tree: Tree, tmp_path: Path, after: int) -> None:
    folder, notes = FolderPublisher(tmp_path / "www"), Notes()
    _publish(tree, tree.fill("one"), folder, notes)
    old = tree.write(PurePosixPath("pool/main/b/b/b_1_all.deb"), b"b")
    wanted = {**tree.fill("two"), PurePosixPath("pool/main/b/b/b_1_all.deb"): old}
    del wanted[_DEB]
    dying = Dying(folder, after)
    if after < 5:  # four files changed, and a new one
        with pytest.raises(ConnectionLostError):
            _publish(tree, wanted, dying, notes)
    else:
        _publish(tree, wanted, dying, notes)
    # Never retired, and never gone, before the entry points stand.
    assert _read(folder, _DEB)
    if after < 4:
        assert _read(folder, _IN_RELEASE).endswith(b"one")
        assert notes.files[_DEB].retired is None
    _publish(tree, wanted, folder, notes)
    assert {path: _read(folder, path) for path in wanted} == {
        path: (tree.root / path).read_bytes() for path in wanted
    }


def test_no_phase_begins_before_the_one_before_it_is_in_place(tree: Tree, tmp_path: Path) -> None:
    dying = Dying(FolderPublisher(tmp_path / "www"), after=99)
    _publish(tree, tree.fill("one"), dying, Notes())
    phases = [phase_of(path) for path in dying.placed]
    assert phases == sorted(phases)
    assert set(phases) == set(Phase)


def test_what_an_interrupted_run_placed_is_not_sent_again(tree: Tree, tmp_path: Path) -> None:
    wanted = tree.fill("one")
    folder = FolderPublisher(tmp_path / "www")
    _publish(tree, wanted, folder, Notes())
    again = Dying(folder, after=99)
    _publish(tree, wanted, again, Notes())  # as if nothing had been noted
    assert {_DEB, _BY_HASH}.isdisjoint(again.placed)
    # A plain name promises nothing: those are put whatever is there.
    assert {_PACKAGES, _RELEASE, _IN_RELEASE, _PAGE} == set(again.placed)


def test_a_truncated_file_in_the_folder_is_replaced(tree: Tree, tmp_path: Path) -> None:
    wanted = tree.fill("one")
    folder = FolderPublisher(tmp_path / "www")
    _publish(tree, wanted, folder, Notes())
    (folder.root / _DEB).write_bytes(b"half")
    _publish(tree, wanted, folder, Notes())
    assert _read(folder, _DEB) == (tree.root / _DEB).read_bytes()


def test_a_half_written_file_is_neither_listed_nor_left(tree: Tree, tmp_path: Path) -> None:
    folder = FolderPublisher(tmp_path / "www")
    wanted = tree.fill("one")
    (tree.root / _DEB).write_bytes(b"other bytes")
    with pytest.raises(RepoError):
        _publish(tree, wanted, folder, Notes())
    assert not list(folder.root.rglob("*.part"))
    (folder.root / "pool").mkdir(exist_ok=True, parents=True)
    (folder.root / "pool/.a.deb.1234.part").write_bytes(b"half")
    assert all(path.suffix != ".part" for path, _ in folder.list())


def test_the_repository_s_own_tree_is_published_in_place(tree: Tree) -> None:
    wanted = tree.fill("one")
    before = (tree.root / _DEB).stat()
    _publish(tree, wanted, FolderPublisher(tree.root), Notes())
    assert (tree.root / _DEB).stat().st_ino == before.st_ino


def test_deleting_removes_folders_left_empty(tree: Tree, tmp_path: Path) -> None:
    folder = FolderPublisher(tmp_path / "www")
    _publish(tree, tree.fill("one"), folder, Notes())
    folder.delete([_DEB])
    assert not (folder.root / "pool").exists()
    assert folder.root.is_dir()


def test_a_folder_in_the_way_is_said(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "www").write_text("a file, not a folder")
    with pytest.raises(StorageError, match="www"):
        _publish(tree, tree.fill("one"), FolderPublisher(tmp_path / "www"), Notes())


def test_s3_objects_have_the_headers_for_browsers_and_proxies(
    tree: Tree, s3: S3Client, tmp_path: Path
) -> None:
    _publish(tree, tree.fill("one"), S3Publisher(s3, BUCKET, f"/{tmp_path.name}/"), Notes())

    def head(path: PurePosixPath) -> tuple[str, str]:
        answer = s3.head_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{path}")
        assert not dict(answer).get("ContentEncoding")
        return answer["ContentType"], answer["CacheControl"]

    assert head(_IN_RELEASE) == ("text/plain; charset=utf-8", "no-cache")
    assert head(_PAGE) == ("text/html; charset=utf-8", "no-cache")
    assert head(_DEB)[0] == "application/vnd.debian.binary-package"
    assert "immutable" in head(_DEB)[1]
    assert "immutable" in head(_BY_HASH)[1]


def test_s3_never_gives_a_package_other_bytes(tree: Tree, s3: S3Client, tmp_path: Path) -> None:
    place = S3Publisher(s3, BUCKET, tmp_path.name)
    key = f"{tmp_path.name}/{_DEB}"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"from another publisher")
    with pytest.raises(RepoError, match="exists with different content") as caught:
        _publish(tree, tree.fill("one"), place, Notes())
    assert f"s3://{BUCKET}/{key}" in caught.value.message
    assert _read(place, _DEB) == b"from another publisher"
    assert _IN_RELEASE not in dict(place.list())


def test_s3_lists_and_deletes_more_than_a_page(
    s3: S3Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.repo.publish.s3._PAGE", 3)
    place = S3Publisher(s3, BUCKET, tmp_path.name)
    paths = [PurePosixPath(f"pool/{number}") for number in range(8)]
    for path in paths:
        s3.put_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{path}", Body=b"")
    s3.put_object(Bucket=BUCKET, Key=f"{tmp_path.name}-other/file", Body=b"")
    assert set(dict(place.list())) == set(paths)
    place.delete(paths)
    assert not dict(place.list())


def test_a_missing_bucket_is_named_with_the_way_out(
    tree: Tree, s3: S3Client, tmp_path: Path
) -> None:
    with pytest.raises(RepoError, match="s3://nowhere/") as caught:
        _publish(tree, tree.fill("one"), S3Publisher(s3, "nowhere", ""), Notes())
    assert caught.value.hint
    assert "bucket" in caught.value.hint


def test_without_credentials_it_is_said_which(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    target = S3Target.model_validate(
        {"kind": "s3", "bucket": BUCKET, "endpoint": s3.meta.endpoint_url, "region": "us-east-1"}
    )
    with pytest.raises(RepoError, match="no credentials found") as caught:
        dict(open_s3(target).list())
    assert caught.value.hint
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_a_store_that_does_not_answer_is_named(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.repo.publish.s3._ATTEMPTS", 1)
    target = S3Target.model_validate(
        {"kind": "s3", "bucket": BUCKET, "endpoint": "http://127.0.0.1:1", "region": "us-east-1"}
    )
    with pytest.raises(RepoError, match=r"127\.0\.0\.1:1") as caught:
        dict(open_s3(target).list())
    assert caught.value.hint


def test_rsync_says_why_it_failed(tmp_path: Path, tree: Tree) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not here: apt-get install rsync")
    (tmp_path / "file").write_text("not a folder")
    place = RsyncPublisher(str(tmp_path / "file" / "www"))
    with pytest.raises(ToolError, match=r"cannot send files to .*rsync exited with"):
        _publish(tree, tree.fill("one"), place, Notes())


@pytest.mark.parametrize(
    ("destination", "remote"),
    [
        ("host:/srv/www", True),
        ("user@host:www", True),
        ("/srv/www", False),
        ("./a:b", False),
        ("rsync://host/module", False),
        ("host::module", False),
    ],
)
def test_only_a_host_s_path_needs_ssh(destination: str, remote: bool) -> None:
    assert is_remote(destination) is remote


def test_a_listing_of_rsync_is_read() -> None:
    text = (
        "drwxr-xr-x          4,096 2026/11/23 16:00:00 .\n"
        "-rw-r--r--      1,234,567 2026/11/23 16:00:00 pool/a b.deb\n"
        "lrwxrwxrwx              3 2026/11/23 16:00:00 link -> a\n"
        "-rw-r--r--              0 2026/11/23 16:00:00 empty\n"
        "-rw-r--r--              5 2026/11/23 16:00:00 a\u2028b\n"
        f"-rw-r--r-- {'9' * 5000} 2026/11/23 16:00:00 no-size\n"
        "-rw-r--r--              , 2026/11/23 16:00:00 no-number\n"
    )
    assert dict(parse_listing(text)) == {
        PurePosixPath("a\u2028b"): 5,
        PurePosixPath("pool/a b.deb"): 1_234_567,
        PurePosixPath("empty"): 0,
    }


def test_every_kind_of_target_opens(tmp_path: Path, s3: S3Client) -> None:
    config = RepoConfig.model_validate(
        {
            "name": "a",
            "origin": "A",
            "label": "A",
            "base-url": "https://a.example",
            "channels": {"stable": {}},
            "targets": {
                "here": {"kind": "folder", "path": "www"},
                "there": {"kind": "rsync", "destination": "host:/srv", "ssh-options": ["-p", "2"]},
                "store": {"kind": "s3", "bucket": BUCKET, "endpoint": s3.meta.endpoint_url},
            },
        }
    )
    here, there, store = (open_publisher(target, tmp_path) for target in config.targets.values())
    assert isinstance(here, FolderPublisher)
    assert here.root == tmp_path / "www"
    assert isinstance(there, RsyncPublisher)
    assert isinstance(store, S3Publisher)
    assert isinstance(config.targets["here"], FolderTarget)
    assert isinstance(config.targets["there"], RsyncTarget)
