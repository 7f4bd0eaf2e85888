"""Small repositories, and packages to put into them."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from builder.base.files import hash_file
from builder.pack.manifest import MANIFEST
from builder.repo.add import Added, AddRequest, add_packages
from builder.repo.config import CONFIG_NAME
from builder.repo.core import Repository
from builder.repo.sign import KeySource, Signer
from builder.repo.state import open_state
from tests.helpers.package_files import DebFile, Payload, RpmFile

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BUCKET = "packages"  # of the store on a loopback port
_FILE_DIGESTS = 1035

CONFIG = """
name = "example"
origin = "Example"
label = "Example packages"
base-url = "https://packages.example.org/"
components = ["main", "extra"]
architectures = ["amd64", "arm64"]
grace-hours = 1
"""
# As little as a tree can have, where a test makes many.
SMALL = CONFIG.replace('"main", "extra"', '"main"').replace('"amd64", "arm64"', '"amd64"')
CHANNELS = "[channels.stable]\n[channels.testing]\n"


@dataclass(frozen=True, kw_only=True)
class DebPackage:
    """A deb to be made; ``content`` makes two of the same version differ."""

    name: str = "tool"
    version: str = "1.0-1"
    arch: str = "amd64"
    content: str = "#!/bin/sh\n"
    extra: str = "Section: net\nDepends: libc6\n"
    paths: Sequence[str] = field(default_factory=tuple)
    changelog: str = ""

    @property
    def file(self) -> str:
        """The file's name by convention."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.arch}.deb"

    def write(self, folder: Path) -> Path:
        """Write it below ``folder``."""
        control = (
            f"Package: {self.name}\nVersion: {self.version}\nArchitecture: {self.arch}\n"
            f"Maintainer: T <t@example.org>\n{self.extra}Description: a tool\n for nobody\n"
        )
        paths = self.paths or [f"/usr/bin/{self.name}"]
        payload = [Payload(path=path, content=self.content.encode()) for path in paths]
        if self.changelog:
            packed = gzip.compress(self.changelog.encode(), mtime=0)
            place = f"/usr/share/doc/{self.name}/changelog.Debian.gz"
            payload.append(Payload(path=place, content=packed))
        return _write(folder / self.file, DebFile(control=control, payload=payload).build())


def write_rpm(folder: Path, name: str = "tool", version: str = "1.0") -> Path:
    """Write a small rpm."""
    made = RpmFile(
        name=name,
        version=version,
        payload=[Payload(path=f"/usr/bin/{name}", content=version.encode(), mode=0o100755)],
        extra={_FILE_DIGESTS: (8, ["0" * 64])},
    )
    return _write(folder / f"{name}-{version}-1.x86_64.rpm", made.build())


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_manifest_of(folder: Path, changes: Mapping[str, object] | None = None) -> None:
    """A manifest of the debs in ``folder``, with ``changes`` in every entry."""
    entries = []
    for path in sorted(folder.glob("*.deb")):
        name, version, _ = path.stem.split("_")
        entry: dict[str, object] = {
            "name": name,
            "version": version,
            "format": "deb",
            "arch": "amd64",
            "file": path.name,
            "size": path.stat().st_size,
            "sha256": hash_file(path),
        }
        entries.append({**entry, **(changes or {})})
    (folder / MANIFEST).write_text(json.dumps({"schema": 1, "packages": entries}))


def write_repository(
    root: Path, *keys: str, config: str = CONFIG, channels: str = CHANNELS
) -> Path:
    """An empty repository that signs its indexes with ``keys``."""
    listed = json.dumps(list(keys))
    text = f"{config}\n[signing]\nkeys = {listed}\npackages = false\n{channels}"
    root.mkdir(parents=True, exist_ok=True)
    (root / CONFIG_NAME).write_text(text)
    with open_state(root, create=True):
        pass
    return root


def add(
    repository: Repository,
    *paths: Path,
    channel: str = "stable",
    now: datetime = NOW,
    signer: Signer | None = None,
    component: str = "main",
) -> list[Added]:
    """Add package files that no manifest lists."""
    request = AddRequest(
        channel=channel, component=component, signer=signer, by_manifest=False, now=now
    )
    return add_packages(repository, paths, request)


@dataclass(frozen=True, kw_only=True)
class TestKey:
    """A signing key: its fingerprint, and where it comes from."""

    __test__ = False

    fingerprint: str
    source: KeySource
