"""Chooses the packages of a bundle: those named, and those of the channel that they need. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from builder.base.errors import PayloadError, UsageError
from builder.base.model import Arch, PackageFormat
from builder.inspect.deb822 import parse_fields
from builder.repo.model import DebRecord, RepoPackage
from builder.repo.version import version_key
from builder.verify.requirements import Alternative, find_satisfied, parse_requirement

_REQUIRES = re.compile(r"<rpm:requires>(.*?)</rpm:requires>", re.DOTALL)
_ENTRY = re.compile(r"<rpm:entry ([^>]*)/>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_SIGNS = {"EQ": "=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_XML = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}


def choose_packages(
    present: Iterable[RepoPackage], words: Sequence[str], fmt: PackageFormat, arch: Arch
) -> list[RepoPackage]:
    """Return what ``words`` name and what of ``present`` that needs, sorted by name and version.

    A word is NAME, its newest version, or NAME=VERSION. Of alternatives the first counts, unless
    another one is chosen. Raises UsageError, with every word that fits no package.
    """
    index: defaultdict[str, list[RepoPackage]] = defaultdict(list)
    for package in present:
        if package.fmt is fmt and package.fits(arch):
            index[package.name].append(package)
    for versions in index.values():
        versions.sort(key=lambda package: version_key(fmt, package.version), reverse=True)
    todo = [_named(index, word, fmt) for word in words]
    found = {package.sha256: package for package in todo}
    while todo:
        package = todo.pop()
        names = {chosen.name for chosen in found.values()}
        for needed in _needed(package, index, names):
            if needed.sha256 not in found:
                found[needed.sha256] = needed
                todo.append(needed)
    return sorted(
        found.values(),
        key=lambda package: (package.name, version_key(fmt, package.version)),
    )


def _named(index: dict[str, list[RepoPackage]], word: str, fmt: PackageFormat) -> RepoPackage:
    name, equals, version = word.partition("=")
    if name not in index:
        listed = ", ".join(sorted(index)) or "nothing"
        raise UsageError(f"the channel has no {fmt} of '{name}'", hint=f"its {fmt}s are: {listed}")
    for package in index[name]:
        if not equals or package.version == version:
            return package
    listed = ", ".join(package.version for package in index[name])
    raise UsageError(
        f"the channel has no version '{version}' of {name} as {fmt}", hint=f"it has: {listed}"
    )


def _needed(
    package: RepoPackage, index: dict[str, list[RepoPackage]], chosen: set[str]
) -> Iterator[RepoPackage]:
    """Yield the newest packages of the index that satisfy what a package depends on.

    Several relations to one name are bounds of the same version.
    """
    bounds: defaultdict[str, list[Alternative]] = defaultdict(list)
    for text in relations(package):
        try:
            alternatives = parse_requirement(package.fmt, text)
        except PayloadError:  # a library or a condition, which no package here is called
            continue
        if any(alternative.name in chosen for alternative in alternatives[1:]):
            continue
        first = alternatives[0]
        if first.name in index:
            bounds[first.name].append(first)
    for name, wanted in bounds.items():
        for candidate in index[name]:
            has = {name: (candidate.version,)}
            if all(find_satisfied(package.fmt, [one], has) for one in wanted):
                yield candidate
                break
        else:
            listed = ", ".join(f"{one.sign} {one.version}" for one in wanted)
            raise UsageError(
                f"{package.label} needs {name} {listed}, which the channel lacks",
                hint="add it to the channel, or choose a newer version",
            )


def relations(package: RepoPackage) -> list[str]:
    """Return what a package depends on, each relation in its format's own words."""
    if isinstance(package.record, DebRecord):
        fields = parse_fields(package.record.control)
        joined = [fields.get("pre-depends", ""), fields.get("depends", "")]
        parts = ",".join(joined).replace("\n", " ").split(",")
        return [part.strip() for part in parts if part.strip()]
    block = _REQUIRES.search(package.record.primary)
    return [_rpm_relation(entry[1]) for entry in _ENTRY.finditer(block[1])] if block else []


def _rpm_relation(text: str) -> str:
    table = {key: _plain(value) for key, value in _ATTRIBUTE.findall(text)}
    if "flags" not in table:
        return table["name"]
    epoch = f"{table['epoch']}:" if table.get("epoch", "0") != "0" else ""
    release = f"-{table['rel']}" if "rel" in table else ""
    return f"{table['name']} {_SIGNS[table['flags']]} {epoch}{table.get('ver', '')}{release}"


def _plain(text: str) -> str:
    for escaped, sign in _XML.items():
        text = text.replace(escaped, sign)
    return text
