"""Modules and functions stay small enough to be read at a sitting."""

import ast
import statistics
from pathlib import Path

import pytest

from builder.base.paths import PROJECT

_LONGEST_MODULE = 350
_LONGEST_FUNCTION = 45
_MEDIAN_MODULE = 110
_MODULES = sorted(
    path for folder in ("builder", "postinst") for path in (PROJECT / folder).rglob("*.py")
)


def _length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_modules_are_short() -> None:
    long = {str(path.relative_to(PROJECT)): _length(path) for path in _MODULES}
    assert {name: lines for name, lines in long.items() if lines > _LONGEST_MODULE} == {}
    assert statistics.median(long.values()) <= _MEDIAN_MODULE


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_functions_fit_a_screen(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > _LONGEST_FUNCTION} == {}
