"""Verifies a whole published tree: recorded files, the indexes that readers see, the keys."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from builder.base import log
from builder.base.errors import RepoError, UsageError
from builder.base.files import digest_stream, hash_file
from builder.base.model import PackageFormat
from builder.repo.check_documents import check_documents
from builder.repo.check_index import IndexCheck
from builder.repo.check_package import PackageCheck
from builder.repo.check_signature import SignatureCheck
from builder.repo.core import Repository
from builder.repo.dated import list_snapshots
from builder.repo.gpg import Gpg, private_home
from builder.repo.gpg_output import Key
from builder.repo.keyfiles import armored_path
from builder.repo.model import LOCAL, FileFacts, Publisher
from builder.repo.publication import Published
from builder.repo.publish import open_publisher
from builder.repo.publish.folder import FolderPublisher
from builder.repo.sign import EXPIRY_WARNING
from builder.repo.spill import Spill, key_path, path_key

_TABLE = "CREATE TABLE file (key BLOB PRIMARY KEY, size INTEGER, sha256 TEXT) WITHOUT ROWID;"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A fault of a published tree."""

    text: str
    is_error: bool = True  # readers will refuse something; otherwise a warning

    def as_dict(self) -> dict[str, object]:
        """Return the problem for JSON."""
        return asdict(self)


class Tree:
    """A published tree, read file by file; each file is hashed once."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._spill = Spill(_TABLE)
        rows = ((path_key(path), size) for path, size in publisher.list())
        self._spill.db.executemany("INSERT OR REPLACE INTO file (key, size) VALUES (?, ?)", rows)

    def below(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        """Yield every file in a folder, sorted."""
        key = path_key(folder)
        rows = self._spill.db.execute(
            "SELECT key FROM file WHERE key > ? AND key < ? ORDER BY key",
            (key + b"\0", key + b"\1"),
        )
        return (key_path(found) for (found,) in rows)

    def unread(self) -> Iterator[PurePosixPath]:
        """Yield every file that :meth:`facts` was not asked for yet, sorted."""
        rows = self._spill.db.execute("SELECT key FROM file WHERE sha256 IS NULL ORDER BY key")
        return (key_path(key) for (key,) in rows)

    @contextmanager
    def open(self, path: PurePosixPath) -> Iterator[BinaryIO | None]:
        """Open a file to read it; None if it does not exist."""
        file = None
        if self._known(path):
            with suppress(RepoError):  # listed, and gone or unreadable since
                file = self._publisher.open(path)
        with file or nullcontext():
            yield file

    def get(self, path: PurePosixPath) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        with self.open(path) as file, suppress(OSError):
            return file.read() if file else None
        return None

    def facts(self, path: PurePosixPath) -> FileFacts | None:
        """Return the hash and size of a file; None if it does not exist."""
        known = self._known(path)
        if known is None:
            return None
        size, sha256 = known
        if sha256 is None:
            sha256 = self._hash(path)
            self._spill.db.execute(
                "UPDATE file SET sha256 = ? WHERE key = ?", (sha256, path_key(path))
            )
        return FileFacts(sha256=sha256, size=size)

    def local(self, path: PurePosixPath) -> Path | None:
        """Return the file itself if the tree is a folder of this machine."""
        if isinstance(self._publisher, FolderPublisher) and self._known(path):
            return self._publisher.root / path
        return None

    def _known(self, path: PurePosixPath) -> tuple[int, str | None] | None:
        statement = "SELECT size, sha256 FROM file WHERE key = ?"
        row: tuple[int, str | None] | None
        row = self._spill.db.execute(statement, (path_key(path),)).fetchone()
        return row

    def _hash(self, path: PurePosixPath) -> str:
        if isinstance(self._publisher, FolderPublisher):
            return hash_file(self._publisher.root / path)
        with self._publisher.open(path) as file:
            return digest_stream(file, "sha256")[0]


def check_target(repository: Repository, name: str, now: datetime) -> list[Problem]:
    """Return every problem of a target of ``repo.toml``, or of ``public/``."""
    log.step(f"checking {repository.public if name == LOCAL else name}")
    publisher = _publisher(repository, name)
    if not any(True for _ in repository.state.recorded(name)):
        return [Problem(text=f"nothing was published to {name} yet", is_error=False)]
    tree = Tree(publisher)
    problems = list(_check_record(tree, repository.state.published(name)))
    with private_home() as home:
        gpg = Gpg(home)
        problems += _check_keys(repository, tree, gpg, now)
        problems += _check_indexes(repository, tree, gpg, now)
        if repository.config.signing.packages:
            problems += _check_packages(repository, tree, gpg)
    problems += [Problem(text=text) for text in check_documents(repository, tree)]
    # A damaged file is reported by its record and again by each index that names it.
    return list(dict.fromkeys(problems))


def _publisher(repository: Repository, name: str) -> Publisher:
    if name == LOCAL:
        return FolderPublisher(repository.public)
    targets = repository.config.targets
    if name not in targets:
        raise UsageError(
            f"repo.toml has no target '{name}'", hint=f"it has: {', '.join(targets) or 'none'}"
        )
    return open_publisher(targets[name], repository.root)


def _check_record(
    tree: Tree, recorded: Iterable[tuple[PurePosixPath, Published]]
) -> Iterator[Problem]:
    for path, published in recorded:
        found = tree.facts(path)
        if found is None:
            if published.retired is None:
                yield Problem(text=f"{path}: is missing")
        elif found.size != published.facts.size:
            yield Problem(
                text=f"{path}: has {found.size} bytes, {published.facts.size} were published"
            )
        elif found.sha256 != published.facts.sha256:
            yield Problem(text=f"{path}: is not what was published: it was damaged or replaced")
    for path in tree.unread():
        yield Problem(text=f"{path}: was not published by this repository", is_error=False)


def _check_keys(repository: Repository, tree: Tree, gpg: Gpg, now: datetime) -> Iterator[Problem]:
    """Import the published keys into ``gpg`` if they are the keys that repo.toml names."""
    path = armored_path(repository.config.name)
    armored = tree.get(path)
    if armored is None:
        return  # reported as missing
    try:
        gpg.import_keys(armored.decode("ascii", "replace"))
    except RepoError:
        yield Problem(text=f"{path}: is no keyring")
        return
    keys = gpg.list_keys()
    signing = repository.config.signing
    wanted = (*signing.keys, *signing.former_keys)
    for name in wanted:
        if not any(key.is_called(name) for key in keys):
            yield Problem(text=f"{path}: lacks key {name}, which repo.toml names")
    for key in keys:
        called = [name for name in wanted if key.is_called(name)]
        if not called:
            yield Problem(text=f"{path}: has key {key.fingerprint}, which repo.toml does not name")
        for name in called:
            yield from _check_expiry(key, name, now)


def _check_expiry(key: Key, name: str, now: datetime) -> Iterator[Problem]:
    expires = key.expires_as(name)
    if expires and expires <= now:
        yield Problem(text=f"key {name} ({key.user}) expired on {expires:%Y-%m-%d}")
    elif expires and expires - now < EXPIRY_WARNING:
        text = f"key {name} ({key.user}) expires on {expires:%Y-%m-%d}"
        yield Problem(text=text, is_error=False)


def _is_called(key: Key, names: Sequence[str]) -> bool:
    return any(key.is_called(name) for name in names)


def _check_indexes(
    repository: Repository, tree: Tree, gpg: Gpg, now: datetime
) -> Iterator[Problem]:
    wanted = repository.config.signing.keys
    signatures = SignatureCheck(gpg, [key for key in gpg.list_keys() if _is_called(key, wanted)])
    check = IndexCheck(tree=tree, signatures=signatures, now=now)
    snapshots = list_snapshots(repository.state.channels())
    for channel in (*repository.config.channels, *(snapshot.channel for snapshot in snapshots)):
        indexed = repository.state.indexed(channel)
        for text in check.channel(channel, indexed[1] if indexed else None):
            yield Problem(text=text)
    for snapshot in snapshots if repository.config.snapshots.apt_option else ():
        for text in check.apt(snapshot.dists, None):
            yield Problem(text=text)


def _check_packages(repository: Repository, tree: Tree, gpg: Gpg) -> Iterator[Problem]:
    armored = tree.get(armored_path(repository.config.name))
    if armored is None or not gpg.list_keys():
        return  # reported already
    packages = repository.state.everything()
    with PackageCheck(tree, SignatureCheck(gpg, gpg.list_keys()), armored) as check:
        if not check.can_judge_rpm and len(packages.where(fmt=PackageFormat.RPM)):
            text = "rpmkeys is not installed, so no signature in an rpm was checked: install rpm"
            yield Problem(text=text, is_error=False)
        for package in packages:
            for text in check.judge(package.pool):
                yield Problem(text=text)
