"""Identities of packages, accepted or refused."""

from builder.base.errors import PayloadError
from builder.base.model import PackageFormat
from builder.inspect.identity import Identity

DEB, RPM = PackageFormat.DEB, PackageFormat.RPM


def is_accepted(fmt: PackageFormat, **fields: str) -> bool:
    given = {"name": "app", "version": "1.0-1", "arch": "x86_64" if fmt is RPM else "amd64"}
    try:
        Identity(fmt=fmt, **{**given, **fields})
    except PayloadError:
        return False
    return True
