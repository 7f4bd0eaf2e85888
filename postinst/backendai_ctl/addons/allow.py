"""Reads and changes the lists of allowed and blocked plug-ins, and no other byte of the file.

The service's loader treats an entry as an import package with everything below it. Without
an allow list it loads all installed plug-ins, and it refuses to start if a name is in both
lists.
"""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

import tomlkit
from tomlkit.items import Array

from backendai_ctl.addons.model import Place
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.toml import NotTomlError, parse_document, parse_table


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The two lists of a file; ``allow`` is None if the file has none."""

    allow: tuple[str, ...] | None
    block: tuple[str, ...]

    def blocks(self, module: str) -> bool:
        """Whether the block list has the module or a package around it."""
        return any(module == entry or module.startswith(f"{entry}.") for entry in self.block)

    def has(self, modules: tuple[str, ...]) -> bool:
        """Whether the service loads all of these modules."""
        return all(
            not self.blocks(module)
            and (
                self.allow is None
                or any(module == entry or module.startswith(f"{entry}.") for entry in self.allow)
            )
            for module in modules
        )


def read_lists(text: str, place: Place, label: str) -> Lists:
    """Return the lists in the file's text; SiteError if it is not TOML or has no proper lists."""
    try:
        table = parse_table(text)
    except NotTomlError as error:
        raise SiteError([f"{label}: {error}"], hint="fix the file first") from error
    return Lists(
        allow=_list(table, place.allow_key, label), block=_list(table, place.block_key, label) or ()
    )


def _list(table: Mapping[str, object], dotted: str, label: str) -> tuple[str, ...] | None:
    found: object = table
    for name in dotted.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise SiteError([f"{label}: {dotted} = {found!r}: must be a list of texts"])
    return tuple(found)


def with_lists(text: str, place: Place, lists: Lists) -> str:
    """Return the text with these lists; entries in the present ones stay as written."""
    if lists.allow is not None:
        text = _with_list(text, place.allow_key, lists.allow)
    if lists.block or _exists(parse_document(text), place.block_key):
        text = _with_list(text, place.block_key, lists.block)
    return text


def _exists(document: Mapping[str, object], dotted: str) -> bool:
    return _list(document, dotted, "") is not None


def _with_list(text: str, dotted: str, wanted: tuple[str, ...]) -> str:
    document = parse_document(text)
    *parents, key = dotted.split(".")
    table: MutableMapping[str, object] = document
    for name in parents:
        if name not in table:
            table[name] = tomlkit.table()
        below = table[name]
        assert isinstance(below, MutableMapping)
        table = below
    present = table.get(key)
    if not isinstance(present, Array):
        placed = _after_sample(text, parents, key, wanted)
        if placed is not None:
            return placed
        table[key] = _array(wanted)
        return tomlkit.dumps(document)
    for at in reversed(range(len(present))):
        if str(present[at]) not in wanted:
            del present[at]
    for module in wanted:
        if module not in present:
            present.append(module)
    return tomlkit.dumps(document)


def _array(wanted: tuple[str, ...]) -> Array:
    array = tomlkit.array()
    array.extend(wanted)
    return array


def _after_sample(text: str, parents: list[str], key: str, wanted: tuple[str, ...]) -> str | None:
    """Return the list as a line after the sample's ``# KEY = []``; None if that is impossible.

    tomlkit would put a new key below the blank lines that end its table.
    """
    line = f"{key} = {_array(wanted).as_string()}"
    commented = re.compile(rf"^#\s*{re.escape(key)}\s*=.*$", re.MULTILINE)
    header = re.compile(rf"^\[{re.escape('.'.join(parents))}\][^\n]*$", re.MULTILINE)
    for pattern in (commented, header):
        for found in pattern.finditer(text):
            carriage = "\r" if found[0].endswith("\r") else ""
            candidate = f"{text[: found.end()]}\n{line}{carriage}{text[found.end() :]}"
            if _adds_only(text, candidate, parents, key, wanted):
                return candidate
    return None


def _adds_only(
    before: str, after: str, parents: list[str], key: str, wanted: tuple[str, ...]
) -> bool:
    """Whether the texts differ by that list alone: the comment may be in a string or elsewhere."""
    try:
        expected, got = parse_table(before), parse_table(after)
    except NotTomlError:
        return False
    table = expected
    for name in parents:
        table = table.setdefault(name, {})
    table[key] = list(wanted)
    return expected == got
