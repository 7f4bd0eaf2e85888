"""Refuses wheels that would install different files at one place.

uv installs wheels side by side and the last file written wins. RECORD does not settle it:
uv does not check its hashes, and a row may have none.
"""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from builder.base.errors import PayloadError
from builder.wheels.model import WheelFile

_SITE = "site-packages"
# Where the folders of a wheel's .data go, as far as two wheels can meet there.
_SCHEMES = {"purelib": _SITE, "platlib": _SITE, "scripts": "bin", "data": "."}
_HINT = "two distributions of the lock cannot live together: leave one of them out"


class _Claim(NamedTuple):
    wheel: WheelFile
    member: zipfile.ZipInfo


def refuse_double_claims(wheels: Sequence[WheelFile]) -> None:
    """Raise PayloadError if two wheels have different files at one place, or a file and a folder.

    The same content at one place is fine: whichever is written last, the result is the same.
    """
    claims: dict[str, _Claim] = {}
    folders: dict[str, WheelFile] = {}
    for wheel in wheels:
        for place, member in _installed(wheel):
            earlier = claims.setdefault(place, _Claim(wheel, member))
            if earlier.wheel is not wheel and not _is_same(earlier, _Claim(wheel, member)):
                _refuse(
                    wheel, place, "another wheel has with different content or mode", earlier.wheel
                )
            folder = place.rpartition("/")[0]
            while folder and folder not in folders:
                folders[folder] = wheel
                folder = folder.rpartition("/")[0]
    for place in sorted(claims.keys() & folders.keys()):
        _refuse(claims[place].wheel, place, "is a folder in another wheel", folders[place])


def _refuse(wheel: WheelFile, place: str, why: str, other: WheelFile) -> None:
    path = place.removeprefix(f"{_SITE}/")
    raise PayloadError(f"{wheel.file}: installs {path}, which {why} ({other.file})", hint=_HINT)


def _installed(wheel: WheelFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Yield the wheel's files by their places; its own RECORD and the like are in folders of it."""
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except zipfile.BadZipFile:
        return  # uv says what is wrong with it
    for member in members:
        top, _, rest = member.filename.partition("/")
        if not top.endswith(".data"):
            yield f"{_SITE}/{member.filename}", member
            continue
        scheme, _, path = rest.partition("/")
        if scheme in _SCHEMES:
            yield str(PurePosixPath(_SCHEMES[scheme], path)), member


def _is_same(first: _Claim, second: _Claim) -> bool:
    return _facts(first) == _facts(second) and _read(first) == _read(second)


def _facts(claim: _Claim) -> tuple[int, int, bool]:
    member = claim.member
    is_program = bool((member.external_attr >> 16) & 0o111)
    return member.CRC, member.file_size, is_program


def _read(claim: _Claim) -> bytes:
    with zipfile.ZipFile(claim.wheel.path) as archive:
        return archive.read(claim.member)
