"""The licences of a package, from what is in it: its copyright file, its tag, its texts."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from builder.base.files import hash_file
from builder.base.paths import PROJECT
from builder.plan import Metadata
from builder.sbom.licences import join_licences, licence_of, simple_licences
from builder.sbom.model import Inventory, Part, PartKind

_TEMPLATE = "debian/copyright.j2"
_TEXTS = PROJECT / "debian/licences"
# Debian has these for all packages, and its policy (12.5) wants them to be referred to.
_COMMON = {
    "Apache-2.0": "Apache-2.0",
    "GPL-2.0": "GPL-2",
    "GPL-3.0": "GPL-3",
    "LGPL-2.1": "LGPL-2.1",
    "LGPL-3.0": "LGPL-3",
    "MPL-2.0": "MPL-2.0",
}
_VARIANT = re.compile(r"-(only|or-later)$")
_UNKNOWN = "LicenseRef-unknown"
_NO_HOLDER = "the authors, whom neither its metadata nor a text in it names"


@dataclass(frozen=True, kw_only=True)
class LicenceText:
    """A licence that parts of a package have, and its text or where that is."""

    name: str
    lines: tuple[str, ...]


@functools.cache
def texts_digest() -> list[str]:
    """Return what identifies the template and the texts."""
    return [hash_file(path) for path in (PROJECT / _TEMPLATE, *sorted(_TEXTS.iterdir()))]


def package_licence(inventory: Inventory, own: str) -> str:
    """Return the SPDX expression of the package: its own files' licence, and those of all parts."""
    return join_licences([own, *filter(None, map(licence_of, inventory.all_parts()))])


def licence_files(inventory: Inventory, own: str) -> list[Path]:
    """Return the texts of licences that parts name and have no text of, for rpm."""
    needed = {_base(name) for name in _without_text(inventory, own)}
    return [path for path in sorted(_TEXTS.iterdir()) if path.stem in needed]


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(PROJECT),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(_TEMPLATE)


def render_copyright(inventory: Inventory, meta: Metadata) -> bytes:
    """Return the copyright file in Debian's machine-readable format (DEP 5)."""
    parts = [_paragraph(part) for part in inventory.all_parts() if part.places]
    text = _template().render(
        maintainer=meta.maintainer,
        homepage=meta.homepage,
        vendor=meta.vendor,
        own=_dep5(meta.licence),
        whole=_dep5(package_licence(inventory, meta.licence)),
        parts=parts,
        texts=list(_texts(inventory, meta.licence)),
    )
    return text.encode()


def _paragraph(part: Part) -> dict[str, object]:
    return {
        "name": part.name,
        "version": part.version,
        "places": part.places,
        "holders": part.licence.holders or (_NO_HOLDER,),
        "licence": _dep5(licence_of(part)) or _UNKNOWN,
        "files": part.licence.files if part.kind is not PartKind.FILE else (),
    }


def _texts(inventory: Inventory, own: str) -> Iterator[LicenceText]:
    parts = [part for part in inventory.all_parts() if part.places]
    named = {name for part in parts for name in simple_licences(licence_of(part) or _UNKNOWN)}
    without = _without_text(inventory, own)
    for name in sorted(named | set(simple_licences(own))):
        yield LicenceText(name=name, lines=tuple(_lines(name, is_bare=name in without)))


def _without_text(inventory: Inventory, own: str) -> set[str]:
    """Return the licences that a part names without a text of them beside it."""
    bare = [part for part in inventory.all_parts() if part.places and not part.licence.files]
    named = {name for part in bare for name in simple_licences(licence_of(part) or _UNKNOWN)}
    return named | set(simple_licences(own))


def _lines(name: str, *, is_bare: bool) -> Iterator[str]:
    if name == _UNKNOWN:
        yield "Nothing in the part says what its licence is."
        return
    if not is_bare:
        yield "The text is in the files that the comments of its parts name."
    common = _COMMON.get(_base(name))
    if common:
        yield f"On Debian systems its text is in /usr/share/common-licenses/{common}."
    own = _TEXTS / f"{name}.txt"
    if is_bare and not common and own.is_file():
        for line in own.read_text(encoding="utf-8").splitlines():
            yield line or "."
    elif is_bare and not common:
        yield "The metadata of a part names it, and the part contains no text of it."


def _base(name: str) -> str:
    return _VARIANT.sub("", name)


def _dep5(expression: str) -> str:
    """Return an SPDX expression in DEP 5's spelling: small words, and commas for parentheses."""
    spelled = expression.replace(") AND (", ", and ").replace(") AND ", ", and ")
    spelled = spelled.replace(" AND (", ", and ")
    for word in ("AND", "OR", "WITH"):
        spelled = spelled.replace(f" {word} ", f" {word.lower()} ")
    return spelled.replace("(", "").replace(")", "")
