"""The part of a package that signing does not change, and its hash.

A repository adds a signature to a deb as a further member at its end, and to an rpm in the
header that precedes the main one: the package that was built stays in it byte for byte.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from builder.base.errors import PayloadError, UsageError
from builder.inspect import debfile, header
from builder.inspect.debfile import ar_members
from builder.inspect.header import skip_signature
from builder.inspect.streams import DamagedError, sections

_DEB_MEMBERS = 3  # debian-binary, control, data; what follows is a signature
_BEGIN = 8


def content_digest(path: Path) -> str:
    """Return the sha256 of a package without its signatures; of a deb, the sha256 as built.

    Raises UsageError if it is not a package, PayloadError if it is damaged.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            for block in _content(file, path):
                digest.update(block)
            return digest.hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except DamagedError as error:
        raise PayloadError(f"{path}: {error}") from error


def _content(file: BinaryIO, path: Path) -> Iterator[bytes]:
    begin = file.read(_BEGIN)
    file.seek(0)
    size = path.stat().st_size
    if begin == debfile.MAGIC:
        members = list(ar_members(file, size))
        if len(members) < _DEB_MEMBERS:
            raise DamagedError("it has too few members for a deb")
        last = members[_DEB_MEMBERS - 1]
        yield from sections(file, 0, min(size, last.start + last.size + last.size % 2))
        return
    if begin[:4] == header.LEAD_MAGIC:
        start = skip_signature(file)
        yield from sections(file, start, size - start)
        return
    raise UsageError(f"{path} is not a deb or rpm", hint="give a .deb or .rpm file")
