"""The rooms of ``builder/`` lie above each other: nothing imports upwards."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.base.paths import PROJECT

# From the ground up. A room may import its own modules and those of rooms before it.
LAYERS = (
    "base",
    "net",
    "inspect",
    "spec",
    "index",
    "lock",
    "plan",
    "runtime",
    "wheels",
    "sbom",
    "stage",
    "pack",
    "repo",
    "verify",
    "release",
    "bundle",
    "jobs",
    "doctor",
    "cli",
)
_ENTRY = "__main__"
_NAMED = re.compile(r"\bbuilder\.(\w+)")
_BARE = re.compile(r"\b(?:from|import)\s+builder\b(?!\.)|\bclick\b")
_TEST = re.compile(r"\btests\.(?:\w+\.)*test_")


def _imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _height(room: str) -> int:
    return LAYERS.index(room) if room in LAYERS else 0


def find_breaches(root: Path) -> list[str]:
    """What the modules below ``root``/builder import and must not."""
    found: dict[str, None] = {}
    package = root / "builder"
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        text = path.read_text(encoding="utf-8")
        # Parsing takes long: of most modules no word can be a breach.
        names = [room if room in LAYERS else LAYERS[-1], *_NAMED.findall(text)]
        if not _BARE.search(text) and max(map(_height, names)) <= _height(names[0]):
            continue
        for name in _imports(ast.parse(text)):
            top, *below = name.split(".")
            target = below[0] if below else ""
            label = f"{path.relative_to(root)} imports {top}"
            is_upwards = {room, target} <= set(LAYERS) and LAYERS.index(target) > LAYERS.index(room)
            if top == "click" and room != "cli":
                found[label] = None
            elif top == "builder" and is_upwards:
                found[f"{label}.{target}"] = None
    return list(found)


def test_no_room_imports_one_above_it() -> None:
    assert find_breaches(PROJECT) == []


def test_every_module_lies_in_a_room() -> None:
    package = PROJECT / "builder"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms == set(LAYERS)
    assert {path.stem for path in package.glob("*.py")} == {"__init__", _ENTRY}


@pytest.mark.parametrize(
    ("file", "text", "breach"),
    [
        ("plan/make.py", "from builder.repo.add import x\n", "imports builder.repo"),
        ("base/log.py", "def f():\n    from builder import cli\n", "imports builder.cli"),
        ("spec/load.py", "import builder.plan.make\n", "imports builder.plan"),
        ("jobs/build.py", "from click import echo\n", "imports click"),
    ],
)
def test_a_breach_is_found(tmp_path: Path, file: str, text: str, breach: str) -> None:
    path = tmp_path / "builder" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert find_breaches(tmp_path) == [f"builder/{file} {breach}"]


def test_no_test_imports_from_another_test() -> None:
    """Helpers are modules of their own: see tests/helpers and the folders of the tests."""
    found = [
        f"{path.relative_to(PROJECT)}: {node.module}"
        for path in sorted((PROJECT / "tests").rglob("*.py"))
        if _TEST.search(text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("tests.")
        and node.module.rpartition(".")[2].startswith("test_")
    ]
    assert found == []
