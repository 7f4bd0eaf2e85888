"""Guides, comments and docstrings name only files and headings that exist."""

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.base.paths import PROJECT

_ROOMS = ("builder", "debian", "docs", "pkgspec", "postinst", "rpm", "systemd", "tests", r"\.ci")
# A path from the project's root: not the end of a longer one, an address or a variable.
_PATH = re.compile(rf"(?<![\w./@~$<>-])(?:\.\./)*(?:{'|'.join(_ROOMS)})/[\w./*{{}}-]*[\w*/}}]")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"[A-Z]{2,}|NNNN|\{\w+\}")
_COMMENT = re.compile(r"^\s*(?:#|\{#)(.*)$", re.MULTILINE)
# What these rooms call their own, in files that exist on hosts or in repositories only.
_NOT_OURS = re.compile(r"rpm/(CHANNEL|scripts\.go)|debian/(dists|pool)")
_SKIPPED = {"__pycache__", "golden", "locks"}
_GUIDES = sorted(
    [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")]
)


def _sources() -> list[Path]:
    """The files that have comments, of every room but golden files and locks."""
    roots = [PROJECT / room.replace("\\", "") for room in _ROOMS]
    found = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]
    return [
        path
        for path in (PROJECT / "Makefile", PROJECT / "pyproject.toml", *found)
        if path.suffix not in (".md", ".json", ".pyc") and not _SKIPPED & set(path.parts)
    ]


def _python_words(text: str) -> Iterator[str]:
    """Comments and docstrings."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def _words(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    if not missing_paths(text):  # nor in a part of it, and finding the comments takes long
        return ""
    if path.suffix == ".py":
        return "\n".join(_python_words(text))
    return "\n".join(match[1] for match in _COMMENT.finditer(text))


@functools.cache
def _exists(pattern: str) -> bool:
    try:
        return any(PROJECT.glob(pattern))
    except ValueError:  # no pattern of Python's, such as a**b
        return False


def missing_paths(text: str) -> list[str]:
    """The paths in ``text`` that the project does not have; placeholders match anything."""
    missing = []
    for match in _PATH.finditer(text):
        name = match[0].replace("../", "").rstrip(".")
        if _NOT_OURS.match(name):
            continue
        if not _exists(_PLACEHOLDER.sub("*", name).rstrip("/")):
            missing.append(name)
    return missing


def headings(path: Path) -> set[str]:
    """The anchors of a guide, as Markdown's renderers name them."""
    plain = _FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = (match[1].lower().replace("`", "") for match in _HEADING.finditer(plain))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def dead_links(path: Path) -> list[str]:
    """The links of a guide that lead to no file or to no heading."""
    dead = []
    for match in _LINK.finditer(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        name, _, anchor = match[1].partition("#")
        if "://" in name:
            continue
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in headings(target)):
            dead.append(match[1])
    return dead


@pytest.mark.parametrize("guide", _GUIDES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_guide_names_what_exists(guide: Path) -> None:
    assert not missing_paths(_FENCE.sub("", guide.read_text(encoding="utf-8")))
    assert not dead_links(guide)


@pytest.mark.parametrize("package", ["builder", "postinst/backendai_ctl"])
def test_every_room_is_described(package: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (PROJECT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    rooms = {path.parent.name for path in (PROJECT / package).glob("*/__init__.py")}
    assert rooms <= set(rows)


def test_comments_and_docstrings_name_what_exists() -> None:
    found = {
        str(path.relative_to(PROJECT)): missing
        for path in _sources()
        if (missing := missing_paths(_words(path)))
    }
    assert not found


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    text = "See postinst/no-such-file.sh, builder/NAME.py, /usr/lib/systemd/system and docs/*.md."
    assert missing_paths(text) == ["postinst/no-such-file.sh"]
    guide = tmp_path / "guide.md"
    guide.write_text("# A title, with `code`\n[a](#a-title-with-code) [b](#b) [c](gone.md)\n")
    assert dead_links(guide) == ["#b", "gone.md"]
