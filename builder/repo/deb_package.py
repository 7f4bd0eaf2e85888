"""The deb side of a repository: reads each deb once, and signs it."""

import os
from collections.abc import Iterable
from pathlib import Path

from builder.base.errors import PayloadError
from builder.base.storage import storage_guard
from builder.inspect import inspect_package
from builder.inspect.deb822 import encode, split_control
from builder.inspect.debfile import ar_members
from builder.repo.model import DebRecord, ParsedPackage
from builder.repo.sign import Signer

# The name that dpkg and debsig-verify give to the signature of a package's origin.
ORIGIN_SIGNATURE = "_gpgorigin"
SIGNED_MEMBERS = ("debian-binary", "control.tar", "data.tar")
_BLANKS = " \t"
# The index sets these fields, whatever a package claims.
_INDEX_FIELDS = frozenset({"filename", "size", "sha256", "sha512", "md5sum", "sha1"})


def read_deb_package(path: Path) -> ParsedPackage:
    """Read the deb at ``path``, payload included, so that a damaged one is refused.

    Raises UsageError if it is not a deb, PayloadError if it is damaged.
    """
    package = inspect_package(path)
    contents = package.contents
    return ParsedPackage(
        name=contents.metadata.name,
        version=contents.metadata.version,
        arch=contents.metadata.arch,
        record=DebRecord(control=control_paragraph(contents.control)),
        listing=list_paths(file.path for file in contents.files if not file.is_dir),
        sbom=package.sbom,
    )


def control_paragraph(control: str) -> str:
    """Return the paragraph of a control file for Packages, without the fields of the index.

    There is no empty line. Each line is as in the package, without blanks at its end. Pure.
    """
    return "".join(
        f"{line.rstrip(_BLANKS)}\n"
        for field in split_control(control)
        if field.key not in _INDEX_FIELDS
        for line in field.lines
    )


def list_paths(paths: Iterable[str]) -> bytes:
    """Return sorted lines of paths for Contents; a newline in a path becomes ``\\\\n``. Pure."""
    rows = [path.lstrip("/").replace("\n", "\\n") for path in paths]
    return b"\n".join(sorted(map(encode, rows)))


def sign_deb(path: Path, signer: Signer) -> None:
    """Sign the deb at ``path`` with the first key, in place of any signature it has.

    The signature covers the three members that dpkg reads, concatenated, as debsigs makes
    it; dpkg itself ignores it, debsig-verify checks it.
    """
    with path.open("rb") as file:
        members = list(ar_members(file, path.stat().st_size))
        if [
            member.name.startswith(stem)
            for member, stem in zip(members, SIGNED_MEMBERS, strict=False)
        ] != [True] * len(SIGNED_MEMBERS):
            names = ", ".join(member.name for member in members)
            raise PayloadError(
                f"{path} has the members {names}, not just {', '.join(SIGNED_MEMBERS)}",
                hint="build the package again",
            )
        content = []
        for member in members[: len(SIGNED_MEMBERS)]:
            file.seek(member.start)
            content.append(file.read(member.size))
    last = members[len(SIGNED_MEMBERS) - 1]
    signature = signer.detach(b"".join(content), armor=False, only_first=True)
    header = f"{ORIGIN_SIGNATURE:16}{0:<12}{0:<6}{0:<6}{'100644':8}{len(signature):<10}`\n"
    with storage_guard(path), path.open("r+b") as file:
        file.seek(last.start + last.size)
        file.truncate()
        file.write(b"\n" * (last.size % 2))
        file.write(header.encode() + signature + b"\n" * (len(signature) % 2))
        file.flush()
        os.fsync(file.fileno())
