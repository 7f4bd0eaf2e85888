"""The text before the payload of a bundle: the installer, and the manifest with its signature.

The manifest has the sum of the payload, of each part and of SHA256SUMS: who has verified it has
verified all. Pure.
"""

import base64
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from builder.base.model import Arch
from builder.bundle.model import Image
from builder.bundle.payload import Payload
from builder.repo.model import RepoPackage

_COLUMNS = 76


@dataclass(frozen=True, kw_only=True)
class ManifestInput:
    """What the manifest states."""

    id: str
    label: str
    channel: str
    arch: Arch
    fingerprint: str
    names: Sequence[str]  # the packages that install installs
    packages: Sequence[RepoPackage]
    suites: Sequence[str]
    images: Sequence[Image]
    unpacked: int
    sums: str  # sha256 of SHA256SUMS
    payload: Payload
    is_split: bool


def render_manifest(given: ManifestInput) -> bytes:
    """Render the manifest: lines of "Key: value"."""
    rows = [
        ("Bundle", given.id),
        ("Label", given.label),
        ("Channel", given.channel),
        ("Architecture", given.arch.value),
        ("Fingerprint", given.fingerprint),
        ("Packages", " ".join(given.names)),
        ("Payload-Size", str(given.payload.size)),
        ("Payload-SHA256", given.payload.sha256),
        ("Unpacked-Size", str(given.unpacked)),
        ("Sums-SHA256", given.sums),
        *_lists(given),
    ]
    return "".join(f"{key}: {value}\n" for key, value in rows).encode()


def _lists(given: ManifestInput) -> Iterator[tuple[str, str]]:
    for suite in given.suites:
        yield "Dependencies", suite
    for package in given.packages:
        yield "Package", f"{package.fmt} {package.name} {package.version} {package.size}"
    for image in given.images:
        yield "Image", f"{image.name}, {image.size} bytes"
    for part in given.payload.parts if given.is_split else ():
        yield "Part", f"{part.size} {part.sha256} {part.name}"


def render_head(script: bytes, manifest: bytes, signature: bytes, keys: bytes) -> bytes:
    """Join the parts of a head; the script reads its sections by their names."""
    return b"".join(
        (
            script,
            b"__MANIFEST__\n",
            manifest,
            b"__SIGNATURE__\n",
            _wrapped(signature),
            b"__KEYS__\n",
            _wrapped(keys),
            b"__PAYLOAD__\n",
        )
    )


def _wrapped(data: bytes) -> bytes:
    lines = textwrap.wrap(base64.b64encode(data).decode(), _COLUMNS)
    return "".join(f"{line}\n" for line in lines).encode()
