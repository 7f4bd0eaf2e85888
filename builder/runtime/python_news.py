"""The security fixes of CPython's releases, as the news in a tarball lists them."""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from builder.base.errors import PayloadError
from builder.net.tarstream import open_stream, open_tar, read_members

_NEWS = "Misc/NEWS"
_LIMIT = 32 << 20
_RELEASE = re.compile(r"What's New in Python (?P<version>\S+?)(?: (?P<state>[a-z ]+\d*))?\?")
_SECTION = "Security"
_ENTRY = re.compile(r"- (?:(?P<issue>(?:gh|bpo)-\d+): )?(?P<text>.*)")
_CVE = re.compile(r"(?:\bCVE-|:cve:`)(\d{4}-\d+)")
_MARKUP = re.compile(r":[\w:]+:`[~!]*([^`]*)`|``([^`]*)``|`([^`<]*?) *(?:<[^>`]*>)?`_*")


@dataclass(frozen=True, kw_only=True)
class SecurityFix:
    """One entry below "Security" of one release."""

    version: str
    issue: str  # "gh-135462", or empty
    cves: tuple[str, ...]
    text: str  # one line


def read_news(tarball: Path) -> str:
    """Return Misc/NEWS of a tarball; raises PayloadError if it is damaged or has none."""
    try:
        with open_stream(tarball) as stream, open_tar(stream) as tar:
            for member in read_members(tar, stream):
                if member.name.partition("/")[2] == _NEWS and member.isfile():
                    if member.size > _LIMIT:
                        break
                    stream.allow(member.size + (1 << 20))
                    file = tar.extractfile(member)
                    return file.read().decode("utf-8", "replace") if file is not None else ""
    except (tarfile.TarError, OSError, EOFError) as error:
        raise PayloadError(f"{tarball}: cannot be read: {error}") from error
    raise PayloadError(f"{tarball} has no {_NEWS}")


def security_fixes(news: str, *, after: str) -> list[SecurityFix]:
    """Return the security fixes of all releases newer than ``after``, newest first.

    Pre-releases of a minor version count as older than its first release.
    """
    found = []
    for version, body in _releases(news):
        if version <= Version(after):
            break
        base = str(version.base_version)
        found += [_fix(base, entry) for entry in _entries(body)]
    return found


def _releases(news: str) -> Iterator[tuple[Version, list[str]]]:
    """Yield each release and the lines below its title."""
    current: tuple[Version, list[str]] | None = None
    for line in news.splitlines():
        title = _RELEASE.fullmatch(line.strip())
        if title is None:
            if current is not None:
                current[1].append(line)
            continue
        if current is not None:
            yield current
        current = (_version(title), [])
    if current is not None:
        yield current


def _version(title: re.Match[str]) -> Version:
    state = title["state"] or "final"
    words = {"alpha": "a", "beta": "b", "release candidate": "rc", "candidate": "rc"}
    name, _, number = state.rpartition(" ") if state != "final" else ("", "", "")
    try:
        return Version(title["version"] + (f"{words[name]}{number}" if name in words else ""))
    except InvalidVersion as error:
        raise PayloadError(f"{_NEWS} has a title that is not understood: {title[0]}") from error


def _entries(lines: list[str]) -> Iterator[list[str]]:
    """Yield the lines of each entry in the section."""
    inside, entry = False, list[str]()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line and set(below) == {"-"} and len(below) == len(line):
            inside = line == _SECTION
        elif inside and line.startswith("- "):
            if entry:
                yield entry
            entry = [line]
            continue
        if inside and entry and line.startswith("  "):
            entry.append(line)
        elif not inside and entry:
            yield entry
            entry = []
    if entry:
        yield entry


def _fix(version: str, lines: list[str]) -> SecurityFix:
    match = _ENTRY.match(lines[0])
    text = " ".join([match["text"] if match else "", *(line.strip() for line in lines[1:])])
    return SecurityFix(
        version=version,
        issue=(match["issue"] if match else "") or "",
        cves=tuple(dict.fromkeys(f"CVE-{number}" for number in _CVE.findall(text))),
        text=_MARKUP.sub(lambda found: found[1] or found[2] or found[3], " ".join(text.split())),
    )
