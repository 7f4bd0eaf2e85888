"""The headers of a file of the repository: its type, and how long it may be cached.

The local server and an object store, which gets them with each upload, use the same. Pure.
"""

from pathlib import PurePosixPath

_TYPES = {
    ".asc": "application/pgp-signature",
    ".buildinfo": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".deb": "application/vnd.debian.binary-package",
    ".gpg": "application/pgp-keys",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".key": "application/pgp-keys",
    ".repo": "text/plain; charset=utf-8",
    ".rpm": "application/x-rpm",
    ".sh": "text/plain; charset=utf-8",
    ".sources": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
    ".xz": "application/x-xz",
    ".zst": "application/zstd",
}
_DEFAULT_TYPE = "application/octet-stream"
_PLAIN_NAMES = ("Release", "InRelease", "Packages")
_FOREVER = "public, max-age=31536000, immutable"
# A proxy must validate again: indexes of two publications side by side are the hash mismatch
# that users of mirrors see.
_REVALIDATE = "no-cache"
_SHA256_DIGITS = 64


def content_type(path: PurePosixPath) -> str:
    """Return the media type; never a Content-Encoding, which would unpack a Packages.gz."""
    if path.name == "Release.gpg":
        return "application/pgp-signature"
    if path.name in _PLAIN_NAMES or (path.name.startswith("Contents-") and not path.suffix):
        return "text/plain; charset=utf-8"
    return _TYPES.get(path.suffix, _DEFAULT_TYPE)


def never_changes(path: PurePosixPath) -> bool:
    """Return whether a file of this name never changes: packages, and names with a hash."""
    return (
        path.suffix in (".deb", ".rpm")
        or "by-hash" in path.parts
        or _is_sha256(path.name.partition("-")[0])
    )


def cache_control(path: PurePosixPath) -> str:
    """Return the Cache-Control header."""
    return _FOREVER if never_changes(path) else _REVALIDATE


def _is_sha256(text: str) -> bool:
    return len(text) == _SHA256_DIGITS and all(char in "0123456789abcdef" for char in text)
