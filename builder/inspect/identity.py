"""The grammar of a package's name, version and architecture, and its file's name. Pure.

A package's fields come from outside. Only values that its format's own programs accept
become part of a path, of an index or of a page: deb-control(5), deb-version(7),
``dpkg --validate-pkgname|--validate-version``, and rpm's rpmCharCheck.
"""

import re
from dataclasses import dataclass

from builder.base.errors import PayloadError
from builder.base.model import PackageFormat

# dpkg-deb builds lower-case names only, and policy 5.6.1 asks for two characters.
_DEB_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_DEB_ARCH = re.compile(r"[a-z0-9][a-z0-9-]*")
_DEB_UPSTREAM = re.compile(r"[0-9][A-Za-z0-9.+~:-]*")
_DEB_REVISION = re.compile(r"[A-Za-z0-9.+~]+")
_RPM_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_RPM_ARCH = re.compile(r"[A-Za-z0-9_]+")
_RPM_PART = re.compile(r"[A-Za-z0-9._+~^]+")
_EPOCH = re.compile(r"[0-9]{1,10}")
_MAX_EPOCH = {PackageFormat.DEB: 2**31 - 1, PackageFormat.RPM: 2**32 - 1}
# A name in a folder; some bytes are reserved for the mark of an unfinished file.
_MAX_FILE_NAME = 240


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The identity of a package: format, name, version with epoch, and architecture.

    Raises PayloadError, with every problem, if one of them breaks the format's grammar.
    """

    fmt: PackageFormat
    name: str
    version: str
    arch: str

    def __post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise PayloadError(
                "; ".join(problems), hint="build the package with the format's own tools"
            )

    def _problems(self) -> list[str]:
        deb = self.fmt is PackageFormat.DEB
        named = (_DEB_NAME if deb else _RPM_NAME).fullmatch(self.name)
        fits = (_DEB_ARCH if deb else _RPM_ARCH).fullmatch(self.arch)
        problems = [] if named else [f"its name {self.name[:80]!r} is not allowed in a {self.fmt}"]
        if not self._is_version():
            problems.append(f"its version {self.version[:80]!r} is not allowed in a {self.fmt}")
        if not fits:
            problems.append(f"its architecture {self.arch[:80]!r} is not allowed in a {self.fmt}")
        if not problems and len(self.file_name) > _MAX_FILE_NAME:
            problems.append(
                f"its name and version make a file name of {len(self.file_name)} characters, "
                f"where {_MAX_FILE_NAME} are the limit"
            )
        return problems

    def _is_version(self) -> bool:
        epoch, colon, rest = self.version.partition(":")
        if colon and not (_EPOCH.fullmatch(epoch) and int(epoch) <= _MAX_EPOCH[self.fmt]):
            return False
        upstream, dash, revision = (rest if colon else self.version).rpartition("-")
        if self.fmt is PackageFormat.RPM:
            return bool(dash and _RPM_PART.fullmatch(upstream) and _RPM_PART.fullmatch(revision))
        if not dash:
            upstream, revision = revision, ""
        if ":" in upstream and not colon:
            return False
        named = not dash or _DEB_REVISION.fullmatch(revision)
        return bool(_DEB_UPSTREAM.fullmatch(upstream) and named)

    @property
    def epoch(self) -> int:
        """The epoch; 0 if the version has none."""
        epoch, colon, _ = self.version.partition(":")
        return int(epoch) if colon else 0

    @property
    def file_name(self) -> str:
        """The file's name as the format's own tools form it: without the epoch."""
        version = self.version.partition(":")[2] if ":" in self.version else self.version
        return self.fmt.file_name(self.name, version, self.arch)
