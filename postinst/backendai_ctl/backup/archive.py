"""One file with all that makes a cluster: databases, etcd's namespace, secrets, configuration.

Its reader gets every password, so it is root's alone.
"""

import glob
import hashlib
import json
import os
import shutil
import socket
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backendai_ctl.backup.content import FILES, KeptFile, add_files, read_member
from backendai_ctl.backup.place import put_back
from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.upgrade.dump import CREATE_PRIVATE, Dumper, private_name, sweep_partials

SUFFIX = ".tar"
_FORMAT = 1
_MANIFEST = "manifest.json"
_ETCD = "etcd.json"
_DATABASES = "databases"
_DUMP = ".dump"
_AT_WORK = ".at-work-"
_BLOCK = 1024 * 1024

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An unpacked archive; its folder is removed with the block that opened it."""

    folder: Path
    manifest: dict[str, Any]
    kept: Mapping[str, KeptFile] = field(default_factory=dict)  # by its content's file name

    @property
    def dumps(self) -> dict[str, Path]:
        """The dump of each service that has a database."""
        return {path.stem: path for path in sorted((self.folder / _DATABASES).glob(f"*{_DUMP}"))}

    @property
    def etcd(self) -> dict[str, str]:
        """The keys of etcd's namespace."""
        path = self.folder / _ETCD
        if not path.exists():
            return {}
        found: dict[str, str] = json.loads(path.read_text(encoding="ascii"))
        return found

    def put_files(self, layout: Layout, say: Say) -> list[Path]:
        """Restore secrets and configuration over the present files; return the restored files.

        A file that cannot be restored is reported, and the others are restored.
        """
        put: list[Path] = []
        for content, kept in self.kept.items():
            try:
                target = put_back(layout, kept, self.folder / FILES / content)
                if kept.kind != "folder":
                    put.append(target)
            except HostError as error:
                say(f"warning: {error.message}")
        return put


@dataclass(frozen=True, kw_only=True)
class Backup:
    """The content of one archive."""

    layout: Layout
    databases: Sequence[SeededDatabase]
    etcd: Etcd | None
    dumper: Dumper
    say: Say

    def write(self, path: Path) -> None:
        """Write the archive to ``path``, which appears only once the archive was read back.

        Raises HostError or NotReadyError if a store does not answer or the disk is full.
        """
        with _scratch(self.dumper.folder) as folder:
            (folder / _DATABASES).mkdir(mode=0o700)
            # pg_restore lists each dump before the dump gets its name.
            for database in self.databases:
                self.dumper.make(database, folder / _DATABASES / f"{database.data.service}{_DUMP}")
            if self.etcd is not None:
                private_writer().replace(folder / _ETCD, json.dumps(self.etcd.all(), indent=1))
            hashes = {
                str(found.relative_to(folder)): _hash(found)
                for found in sorted(folder.rglob("*"))
                if found.is_file()
            }
            private_writer().replace(folder / _MANIFEST, self._manifest(hashes))
            sweep_partials(path.parent, glob.escape(path.name))
            partial = private_name(path)
            try:
                descriptor = os.open(partial, CREATE_PRIVATE, 0o600)
                with os.fdopen(descriptor, "wb") as stream:
                    self._pack(stream, folder)
                    stream.flush()
                    os.fsync(stream.fileno())
                verify_archive(partial)
                partial.rename(path)
            except OSError as error:
                raise HostError(f"cannot write {path}: {error.strerror}") from error
            finally:
                partial.unlink(missing_ok=True)

    def _pack(self, stream: Any, folder: Path) -> None:
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name in (_MANIFEST, _DATABASES, _ETCD):
                if (folder / name).exists():
                    tar.add(folder / name, name)
            add_files(tar, self.layout, self.say)

    def _manifest(self, hashes: Mapping[str, str]) -> str:
        manifest = {
            "format": _FORMAT,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": {database.data.service: database.version for database in self.databases},
            "sha256": hashes,
        }
        return json.dumps(manifest, indent=1) + "\n"


def verify_archive(path: Path) -> None:
    """Read the whole archive; HostError if it is truncated, or a member has changed."""
    found: dict[str, str] = {}
    wanted: dict[str, str] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                if member.name == _MANIFEST:
                    wanted = json.load(content)["sha256"]
                    continue
                found[member.name] = _hash_stream(content)
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise HostError(f"{path}: cannot be read again: {error}") from error
    wrong = [name for name, value in wanted.items() if found.get(name) != value]
    if wrong or not wanted.keys() <= found.keys():
        raise HostError(f"{path}: is not as it was written: {', '.join(wrong)}")


@contextmanager
def open_archive(path: Path, scratch: Path, layout: Layout, say: Say) -> Iterator[Archive]:
    """Unpack ``path`` below ``scratch``; HostError if it is not one of this tool's.

    Members that no backup contains are reported and left out.
    """
    with _scratch(scratch) as folder:
        try:
            with tarfile.open(path) as tar:
                kept = _unpack(tar, folder, layout, say)
            manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
            if manifest.get("format") != _FORMAT:
                raise HostError(f"{path}: has format {manifest.get('format')}, not {_FORMAT}")
            hashes = dict(manifest.get("sha256", {}))  # older backups have none
        except (OSError, tarfile.TarError, ValueError, TypeError, AttributeError) as error:
            raise HostError(f"{path}: is no backup of this tool: {error}") from error
        for name, value in hashes.items():
            if not (folder / name).is_file() or _hash(folder / name) != value:
                raise HostError(f"{path}: {name} is not as it was written")
        yield Archive(folder=folder, manifest=manifest, kept=kept)


def _unpack(tar: tarfile.TarFile, folder: Path, layout: Layout, say: Say) -> dict[str, KeptFile]:
    """Write the members below ``folder`` under new names; return the host's files."""
    (folder / _DATABASES).mkdir(mode=0o700)
    (folder / FILES).mkdir(mode=0o700)
    kept: dict[str, KeptFile] = {}
    for number, member in enumerate(tar):
        try:
            if member.name in (_MANIFEST, _ETCD) or _is_dump(member):
                _extract(tar, member, folder / member.name)
            elif member.name.startswith(f"{FILES}/"):
                found = read_member(member, layout)
                if found.kind == "file":
                    _extract(tar, member, folder / FILES / str(number))
                kept[str(number)] = found
            elif member.name != _DATABASES:
                say(f"warning: left out {member.name}: not what a backup contains")
        except HostError as error:
            say(f"warning: left out {error.message}")
    return kept


def _is_dump(member: tarfile.TarInfo) -> bool:
    folder, _, name = member.name.partition("/")
    return folder == _DATABASES and name.endswith(_DUMP) and "/" not in name


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise HostError(f"{member.name}: is no file")
    try:
        descriptor = os.open(target, CREATE_PRIVATE, 0o600)
    except FileExistsError as error:
        raise HostError(f"{member.name}: is there twice") from error
    with os.fdopen(descriptor, "wb") as stream:
        shutil.copyfileobj(content, stream)


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return _hash_stream(stream)


def _hash_stream(stream: Any) -> str:
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Create a private folder, after removing those of killed runs; the caller holds the lock."""
    private_writer().ensure_folder(folder, mode=0o700)
    mine = f"{_AT_WORK}{socket.gethostname()}-"
    for left in folder.glob(f"{mine}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=mine, dir=folder, ignore_cleanup_errors=True) as made:
        yield Path(made)
