"""One file with all that makes a cluster: databases, etcd's namespace, secrets, configuration.

Whoever can read it has every password, so it is root's alone.
"""

import json
import os
import shutil
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.session import Filled
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.upgrade.dump import Dumper

SUFFIX = ".tar"
_FORMAT = 1
_MANIFEST = "manifest.json"
_ETCD = "etcd.json"
_DATABASES = "databases"
_FILES = "files"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An unpacked archive; its folder goes with the block that opened it."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def dumps(self) -> dict[str, Path]:
        """The dump of each service that has one."""
        return {path.stem: path for path in sorted((self.folder / _DATABASES).glob("*.dump"))}

    @property
    def etcd(self) -> dict[str, str]:
        """The keys of etcd's namespace."""
        path = self.folder / _ETCD
        if not path.exists():
            return {}
        found: dict[str, str] = json.loads(path.read_text(encoding="ascii"))
        return found

    def put_files(self, layout: Layout) -> list[Path]:
        """Put secrets and configuration back over what is there; returns what was put."""
        kept = self.folder / _FILES
        put: list[Path] = []
        for source in sorted(path for path in kept.rglob("*") if path.is_file()):
            target = layout.root / source.relative_to(kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.backendai-tmp")
            shutil.copy2(source, beside)
            before = source.stat()
            os.chown(beside, before.st_uid, before.st_gid)
            beside.rename(target)
            put.append(target)
        return put


def make_archive(
    layout: Layout, path: Path, filled: Sequence[Filled], etcd: Etcd | None, dumper: Dumper
) -> None:
    """Write the archive to ``path``, which appears once it is whole.

    Raises HostError or NotReadyError where a store does not answer or the disk is full.
    """
    with _scratch(dumper.folder) as folder:
        (folder / _DATABASES).mkdir(mode=0o700)
        for one in filled:
            dumper.make(one, folder / _DATABASES / f"{one.data.service}.dump")
        if etcd is not None:
            private_writer().replace(folder / _ETCD, json.dumps(etcd.all(), indent=1))
        manifest = {
            "format": _FORMAT,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": {one.data.service: one.version for one in filled},
        }
        private_writer().replace(folder / _MANIFEST, json.dumps(manifest, indent=1) + "\n")
        partial = path.with_name(f"{path.name}.partial")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                with tarfile.open(fileobj=stream, mode="w") as tar:
                    for name in (_MANIFEST, _DATABASES, _ETCD):
                        if (folder / name).exists():
                            tar.add(folder / name, name)
                    for kept in (layout.etc, layout.secrets, layout.credentials):
                        if kept.is_dir():
                            tar.add(kept, f"{_FILES}/{kept.relative_to(layout.root)}")
                stream.flush()
                os.fsync(stream.fileno())
            partial.rename(path)
        except OSError as error:
            raise HostError(f"cannot write {path}: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def open_archive(path: Path, scratch: Path) -> Iterator[Archive]:
    """Unpack ``path`` below ``scratch``; HostError where it is not one of ours."""
    with _scratch(scratch) as folder:
        try:
            with tarfile.open(path) as tar:
                tar.extractall(folder, filter=_as_stored)
            manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        except (OSError, tarfile.TarError, ValueError) as error:
            raise HostError(f"{path}: is no backup of this tool: {error}") from error
        if manifest.get("format") != _FORMAT:
            raise HostError(f"{path}: has format {manifest.get('format')}, not {_FORMAT}")
        yield Archive(folder=folder, manifest=manifest)


def _as_stored(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Nothing but files and folders inside; owners and modes as they were."""
    safe = tarfile.data_filter(member, folder)
    if not (member.isfile() or member.isdir()):
        return None
    return safe.replace(
        uid=member.uid, gid=member.gid, uname=member.uname, gname=member.gname, mode=member.mode
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    private_writer().ensure_folder(folder, mode=0o700)
    made = folder / ".at-work"
    shutil.rmtree(made, ignore_errors=True)  # of a killed run
    made.mkdir(mode=0o700)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
