"""Bytecode is complete, reproducible, and names no build path."""

import importlib.util
import logging
import marshal
import os
import sys
from pathlib import Path

import pytest

from builder.base import run
from builder.base.bytecode import compile_tree

PYTHON = Path(sys.executable)
SOURCES = {
    "a.py": "NAMES = {'x', 'y', 'zz'}\ndef f(self, key='x'):\n    return key in {'q', 'r', 's'}\n",
    "pkg/__init__.py": "",
    "pkg/b.py": "import os\nclass B:\n    '''Doc.'''\n    def path(self): return os.sep, 1000\n",
    "pkg/c.py": "# -*- coding: latin-1 -*-\nWORD = 'caf\xe9'\n",
    "pkg/deep/d.py": "def outer():\n    def inner(): raise ValueError(outer)\n    return inner\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_sources(tmp_path / "tree")


def write_sources(root: Path, names: list[str] | None = None) -> Path:
    for name in names or SOURCES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SOURCES[name], "latin-1")
    return root


def bytecode_of(root: Path) -> dict[str, bytes]:
    return {os.fspath(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.pyc")}


def test_every_source_has_bytecode(tree: Path) -> None:
    assert compile_tree(PYTHON, tree, jobs=2) == len(SOURCES)
    expected = {
        os.fspath(Path(importlib.util.cache_from_source(os.fspath(tree / name))).relative_to(tree))
        for name in SOURCES
    }
    assert set(bytecode_of(tree)) == expected


def test_the_source_is_never_looked_at(tree: Path) -> None:
    compile_tree(PYTHON, tree, jobs=1)
    (tree / "pkg" / "c.py").write_text("WORD = 'changed'\n")
    answer = run.run([PYTHON, "-c", "import pkg.c; print(pkg.c.WORD)"], cwd=tree)
    assert answer.stdout == "caf\xe9\n"


def test_the_bytes_do_not_depend_on_place_jobs_or_order(tmp_path: Path) -> None:
    results = []
    for index, jobs in enumerate((1, 2, 3, 8)):
        names = sorted(SOURCES, reverse=bool(index % 2))
        root = write_sources(tmp_path / f"place{index}", names)
        compile_tree(PYTHON, root, jobs=jobs)
        results.append(bytecode_of(root))
    assert all(result == results[0] for result in results)


def test_no_build_path_is_recorded_and_tracebacks_have_the_real_one(tree: Path) -> None:
    compile_tree(PYTHON, tree, jobs=1)
    for content in bytecode_of(tree).values():
        assert os.fsencode(tree) not in content
        assert not marshal.loads(content[16:]).co_filename.startswith("/")
    command = "import pkg.deep.d as d; print(d.outer().__code__.co_filename)"
    answer = run.run([PYTHON, "-c", command], cwd=tree, env={"PYTHONPATH": os.fspath(tree)})
    assert answer.stdout.strip() == os.fspath(tree / "pkg" / "deep" / "d.py")


def test_what_is_no_python_is_skipped_and_reported(
    tree: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("builder"), "propagate", True)
    (tree / "old.py").write_text("print 'two'\n")
    (tree / "template.py").write_text("name = {{ name }\n")
    (tree / "nul.py").write_bytes(b"x = 1\0\n")
    (tree / "odd.py").write_bytes(b"# coding: no-such-codec\n")
    (tree / "bad.py").write_bytes(b"x = '\xff'\n")
    with caplog.at_level(logging.DEBUG, "builder"):
        assert compile_tree(PYTHON, tree, jobs=2) == len(SOURCES)
    assert not list((tree / "__pycache__").glob("old.*"))
    messages = "\n".join(caplog.messages)
    for name in ("old.py", "template.py", "nul.py", "odd.py", "bad.py"):
        assert f"no bytecode for {name}: " in messages


def test_nothing_of_the_tree_is_imported(tree: Path) -> None:
    for name in ("json.py", "marshal.py", "os.py", "sitecustomize.py", "importlib/__init__.py"):
        path = tree / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('imported')\n")
    assert compile_tree(PYTHON, tree, jobs=1) == len(SOURCES) + 5


def test_warnings_are_not_shown_and_links_to_folders_not_followed(tree: Path) -> None:
    (tree / "warns.py").write_text("if 1 is 1: x = '\\d'\n")
    (tree / "loop").symlink_to(".")
    (tree / "gone.py").symlink_to("nowhere.py")
    assert compile_tree(PYTHON, tree, jobs=1) == len(SOURCES) + 1


def test_an_empty_tree(tmp_path: Path) -> None:
    assert compile_tree(PYTHON, tmp_path, jobs=4) == 0
