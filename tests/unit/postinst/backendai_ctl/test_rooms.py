"""The rooms of the tool: imports go downwards, and each door has one keeper."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.base.paths import PROJECT

_TOOL = PROJECT / "postinst/backendai_ctl"
# From the ground. Rooms of one floor do not know each other.
_FLOORS = (
    ("base",),
    ("answers",),
    ("services",),
    ("stores",),
    ("registries",),
    ("seed",),
    ("addons", "join", "upgrade", "users"),
    ("backup",),
    ("doctor",),
    ("status",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
_FLOOR = {room: floor for floor, rooms in enumerate(_FLOORS) for room in rooms}
# What only one module may use, and which that is.
_KEEPERS = {
    "systemctl": "base/systemd.py",
    "geteuid": "base/account.py",
    "tomlkit.parse": "base/toml.py",
    "subprocess": "base/programs.py",
    "asyncpg": "stores/postgresql.py",
    "alembic_version": "stores/schema_state.py",
    "usr/lib/backendai": "base/layout.py",
    "opt/backendai": "base/layout.py",
}

# The oldest CPython that a release brings, and what the standard library has only since then.
_OLDEST = (3, 10)
_NEWER = {
    "asyncio": {"Runner", "TaskGroup", "timeout", "timeout_at"},
    "contextlib": {"chdir"},
    "datetime": {"UTC"},
    "enum": {"EnumType", "ReprEnum", "StrEnum", "verify"},
    "hashlib": {"file_digest"},
    "itertools": {"batched"},
    "pathlib": {"UnsupportedOperation"},
    "typing": {"LiteralString", "Never", "NotRequired", "Required", "Self", "assert_never"},
}


def modules() -> list[Path]:
    """Every module of the tool, by its path."""
    return sorted(_TOOL.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room that a module lies in, or the module itself where it lies in none."""
    return path.relative_to(_TOOL).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> Iterator[str]:
    """The rooms that a module imports from, at its head or in a function."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, below = name.partition(".")
            if package == "backendai_ctl" and below:
                yield below.split(".")[0]


def words(tree: ast.Module) -> Iterator[str]:
    """The names and texts of a module's code, without its docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The module as the oldest CPython reads it, parsed once for all rules."""
    return ast.parse(path.read_text(), feature_version=_OLDEST)


@functools.cache
def words_of(path: Path) -> frozenset[str]:
    """The same of a file, which is read once for all doors."""
    return frozenset(words(parsed(path)))


def is_upward(room: str, imported: str) -> bool:
    """Whether a module of ``room`` may not know ``imported``."""
    return imported != room and _FLOOR[imported] >= _FLOOR[room]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(_TOOL)))
def test_a_room_imports_from_the_floors_below(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    found = set(imported_rooms(parsed(path)))
    assert not [name for name in found if is_upward(room, name)]


def test_an_import_in_a_function_counts() -> None:
    source = "def f():\n    from backendai_ctl.doctor.examine import examine\n"
    found = set(imported_rooms(ast.parse(source)))
    assert found == {"doctor"}
    assert is_upward("services", "doctor")
    assert is_upward("addons", "upgrade")
    assert not is_upward("doctor", "services")


@pytest.mark.parametrize("word", _KEEPERS)
def test_a_door_has_one_keeper(word: str) -> None:
    found = {
        str(path.relative_to(_TOOL))
        for path in modules()
        if any(
            word == text or text.startswith((f"{word}.", f"{word}/")) or text.endswith(f".{word}")
            for text in words_of(path)
        )
    }
    assert found == {_KEEPERS[word]}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(_TOOL)))
def test_a_module_needs_nothing_that_the_oldest_cpython_lacks(path: Path) -> None:
    assert not list(newer_names(parsed(path)))


def test_newer_names_are_found_however_they_are_imported() -> None:
    assert list(newer_names(ast.parse("from enum import Enum, StrEnum"))) == ["enum.StrEnum"]
    assert list(newer_names(ast.parse("import datetime\ndatetime.UTC"))) == ["datetime.UTC"]
    with pytest.raises(SyntaxError):
        ast.parse("try:\n  f()\nexcept* OSError:\n  pass\n", feature_version=_OLDEST)


def newer_names(tree: ast.Module) -> Iterator[str]:
    """The names of the standard library that the oldest CPython lacks."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            wanted = _NEWER.get(node.module or "", set())
            yield from (f"{node.module}.{one.name}" for one in node.names if one.name in wanted)
        elif isinstance(node, ast.Attribute):
            module = ast.unparse(node.value)
            if node.attr in _NEWER.get(module, set()):
                yield f"{module}.{node.attr}"
