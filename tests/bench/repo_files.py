"""Packages as they lie in a repository, made cheaply: of one real file many versions.

The record of a version is that of the real file with another version in it; what lies in the
pool is a name in place of a package. So a repository of many versions is a second's work, and its
indexes are those of real packages.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from builder.repo.core import Repository
from builder.repo.deb_package import read_deb_package
from builder.repo.model import IndexRecord, ParsedPackage, RepoPackage, pool_path
from builder.repo.repodata import read_rpm_package
from tests.helpers.package_files import DebFile, Payload, RpmFile

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OLD = "1.0.0"  # a version as long as those that are made from it
NAME = "backendai-manager"
_FILE_DIGESTS = 1035
_RPM_SIZE = re.compile(r'(<size package=")[0-9]+')
_RPM_HASH = re.compile(r'(pkgid="(?:YES">)?)[0-9a-f]{64}')
_WIDTH = 5


def fill(repository: Repository, count: int, files: int) -> None:
    """Take in ``count`` versions, half of each format, as ``add`` would have."""
    made = write_packages(repository.root / "model", OLD, files)
    readings = [(path, read(path)) for path, read in zip(made, _READERS, strict=True)]
    with repository.state.transaction():
        for number in range(count // 2):
            version = f"1.{number // 1000}.{number % 1000}"
            for path, reading in readings:
                take_in(repository, path, reading, version)


_READERS: tuple[Callable[[Path], ParsedPackage], ...] = (read_deb_package, read_rpm_package)


def take_in(repository: Repository, path: Path, reading: ParsedPackage, version: str) -> None:
    file = path.name.replace(OLD, version)
    content = file.encode()
    sha256 = hashlib.sha256(content).hexdigest()
    identity = replace(reading.identity, version=reading.version.replace(OLD, version))
    package = RepoPackage(
        name=reading.name,
        version=reading.version.replace(OLD, version),
        arch=reading.arch,
        component="main",
        file=file,
        pool=pool_path("main", identity),
        sha256=sha256,
        size=len(content),
        added=START,
        record=_of_version(reading.record, version, sha256, len(content)),
    )
    place = repository.public / package.pool
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    repository.state.add(package, reading.listing.replace(OLD.encode(), version.encode()), sha256)
    repository.state.join("stable", [sha256])


def _of_version(record: IndexRecord, version: str, sha256: str, size: int) -> IndexRecord:
    texts = {name: text.replace(OLD, version) for name, text in asdict(record).items()}
    # An rpm's record states the size and the hash of the file, which 'check' compares.
    for pattern, value in ((_RPM_SIZE, size), (_RPM_HASH, sha256)):
        texts = {name: pattern.sub(rf"\g<1>{value}", text) for name, text in texts.items()}
    return type(record)(**texts)


def write_packages(folder: Path, version: str, files: int) -> list[Path]:
    """A deb and an rpm with so many files, named as those of a wheel."""
    folder.mkdir(parents=True)
    base = f"/opt/backendai/manager/lib/python3.13/site-packages/package-{version}"
    payload = [
        Payload(path=f"{base}/sub{number % 17:02}/module_{number:{_WIDTH}}.py".replace(" ", "0"))
        for number in range(files)
    ]
    control = (
        f"Package: {NAME}\nVersion: {version}-1\nArchitecture: amd64\n"
        "Maintainer: T <t@localhost>\nDescription: a service\n"
    )
    deb = folder / f"{NAME}_{version}-1_amd64.deb"
    deb.write_bytes(DebFile(control=control, payload=payload).build())
    made = RpmFile(name=NAME, version=version, payload=payload)
    made = replace(made, extra={_FILE_DIGESTS: (8, ["0" * 64] * files)})
    rpm = folder / f"{NAME}-{version}-1.x86_64.rpm"
    rpm.write_bytes(made.build())
    return [deb, rpm]
