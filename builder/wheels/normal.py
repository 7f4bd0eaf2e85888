"""Writes a wheel anew, so that its bytes follow from the content of its files alone.

What a build backend writes also depends on the umask (modes in the archive), on the order
of folders on the disk, and on the host's zlib.
"""

import base64
import csv
import hashlib
import io
import stat
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

from builder.base.errors import PayloadError
from builder.base.files import PUBLIC_FILE, PUBLIC_FOLDER

_RECORD = ".dist-info/RECORD"
_UNIX = 3  # the system that the modes in the archive are of
_OLDEST = 315532800  # 1980, the first year of a zip archive


def normalise_wheel(wheel: Path, target: Path, *, epoch: int) -> None:
    """Write the files of ``wheel`` to ``target``: sorted, stored, with settled modes and times.

    RECORD is made anew and comes last. Raises PayloadError if two members have one name.
    """
    with zipfile.ZipFile(wheel) as archive:
        members = _members(archive, wheel)
        content = {name: archive.read(member) for name, member in members.items()}
    record = next((name for name in content if _is_record(name)), None)
    if record is None:
        raise PayloadError(f"{wheel.name}: has no RECORD")
    del content[record]
    moment = time.gmtime(max(epoch, _OLDEST))[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            archive.writestr(_settled(name, members[name], moment), content[name])
        rows = _record_of(content, record)
        archive.writestr(_settled(record, members[record], moment), rows)


def differing_files(first: Path, second: Path) -> list[str]:
    """Return the members of two normalised wheels that are not the same in both, sorted."""
    differing = {fact[0] for fact in _facts(first) ^ _facts(second)}
    return sorted(name for name in differing if not _is_record(name))


def _facts(wheel: Path) -> set[tuple[str, int, int, int]]:
    with zipfile.ZipFile(wheel) as archive:
        return {(i.filename, i.CRC, i.file_size, i.external_attr) for i in archive.infolist()}


def _members(archive: zipfile.ZipFile, wheel: Path) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        if member.is_dir():
            continue
        if member.filename in found:
            raise PayloadError(f"{wheel.name}: has {member.filename} twice")
        found[member.filename] = member
    return found


def _is_record(name: str) -> bool:
    return name.endswith(_RECORD) and name.count("/") == 1


def _settled(
    name: str, member: zipfile.ZipInfo, moment: tuple[int, int, int, int, int, int]
) -> zipfile.ZipInfo:
    settled = zipfile.ZipInfo(name, moment)
    is_program = (member.external_attr >> 16) & 0o111
    mode = stat.S_IFREG | (PUBLIC_FOLDER if is_program else PUBLIC_FILE)
    settled.external_attr = mode << 16
    settled.create_system = _UNIX
    return settled


def _record_of(content: Mapping[str, bytes], record: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name in sorted(content):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content[name]).digest())
        writer.writerow([name, f"sha256={digest.rstrip(b'=').decode()}", len(content[name])])
    writer.writerow([record, "", ""])
    return text.getvalue()
