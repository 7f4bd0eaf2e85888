"""Bytecode in one archive: found by a real Python, the same bytes again, never in the way."""

import os
import sys
from pathlib import Path

import pytest

from builder.base import run as programs
from builder.base.bytecode import compile_tree
from builder.stage import _bytecode_loader as loader
from builder.stage.bytecode_archive import archive_bytecode, place_loader

_EPOCH = 1_700_000_000
_PACKAGE = "example-service"
_SOURCES = {
    "alone.py": "PLACE = 'source'\n",
    "pack/__init__.py": "PLACE = 'source'\n",
    "pack/deep/__init__.py": "",
    "pack/deep/leaf.py": "PLACE = 'source'\n\n\ndef fail():\n    raise ValueError\n",
    "pack/deep/data.txt": "data",
    "space/one.py": "PLACE = 'source'\n",  # of a namespace (PEP 420)
    "template.py": "{{ no Python }}",
}


def make_site(site: Path, sources: dict[str, str] = _SOURCES, package: str = _PACKAGE) -> Path:
    """Make a folder of distributions whose bytecode differs from its sources, in an archive."""
    for name, text in sources.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("'source'", "'archive'"), encoding="utf-8")
    compile_tree(Path(sys.executable), site, jobs=1)
    archive_bytecode(site, package)
    for name, text in sources.items():
        (site / name).write_text(text, encoding="utf-8")
    place_loader(site, Path(sys.executable))
    for path in site.rglob("*"):
        os.utime(path, (_EPOCH, _EPOCH))
    return site


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "lib/python3/site-packages")


def run(site: Path, code: str, *options: str, **variables: str) -> str:
    """Run a program that sees the distributions; what it prints."""
    text = f"import site; site.addsitedir({str(site)!r})\n{code}"
    command = [sys.executable, "-s", "-B", *options, "-c", text]
    done = programs.run(command, env={"PYTHONSAFEPATH": "1", **variables})
    assert not done.stderr
    return done.stdout.strip()


def test_all_bytecode_is_in_one_file(site: Path) -> None:
    (own,) = [*site.rglob("*.pyc"), *site.rglob("*/__pycache__")]
    assert own.name.startswith("_backendai_bytecode.")  # what finds the others
    assert [path.name for path in site.glob(f"*{loader.SUFFIX}")] == [f"{_PACKAGE}.bytecode"]


def test_modules_are_loaded_from_it(site: Path) -> None:
    code = "import alone, pack.deep.leaf, space.one\n"
    code += "print(alone.PLACE, pack.PLACE, pack.deep.leaf.PLACE, space.one.PLACE)"
    assert run(site, code) == "archive archive archive archive"


def test_programs_are_loaded_from_it(site: Path) -> None:
    code = "import runpy; print(runpy.run_module('pack.deep.leaf')['PLACE'])"
    assert run(site, code) == "archive"


def test_what_an_admin_changes_counts(site: Path) -> None:
    (site / "alone.py").write_text("PLACE = 'patched'\n", encoding="utf-8")
    assert run(site, "import alone, pack; print(alone.PLACE, pack.PLACE)") == "patched archive"


def test_a_module_behaves_as_one_from_a_file(site: Path) -> None:
    code = """
import importlib.resources, inspect, pkgutil, traceback
import pack.deep.leaf as leaf
print(leaf.__file__.startswith(pack.__path__[0]), leaf.fail.__code__.co_filename == leaf.__file__)
print("raise ValueError" in inspect.getsource(leaf.fail))
try:
    leaf.fail()
except ValueError:
    print("raise ValueError" in traceback.format_exc())
print(importlib.resources.files("pack.deep").joinpath("data.txt").read_text())
print(sorted(found.name for found in pkgutil.walk_packages(pack.__path__, "pack.")))
"""
    assert run(site, f"import pack{code}").splitlines() == [
        *("True True", "True", "True", "data"),
        "['pack.deep', 'pack.deep.leaf']",
    ]


def test_two_packages_share_a_folder_and_a_namespace(site: Path, tmp_path: Path) -> None:
    source = {"addon.py": "PLACE = 'source'\n"}
    addon = make_site(tmp_path / "addon/site-packages", source, package="example-addon")
    for name in (*source, "example-addon.bytecode"):
        (addon / name).rename(site / name)
    base = make_site(tmp_path / "base/site-packages", {"space/two.py": "PLACE = 'source'\n"})
    code = f"""
import sys
hooks = len(sys.path_hooks)
site.addsitedir({str(base)!r})
import addon, alone, space.one, space.two
print(addon.PLACE, alone.PLACE, space.one.PLACE, space.two.PLACE, len(sys.path_hooks) - hooks)
"""
    assert run(site, code) == "archive archive archive archive 0"


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"no archive at all",
        loader.MAGIC,
        loader.MAGIC.replace(b"1", b"2") + bytes(200),
        loader.MAGIC + b"\xff" * 200,
        loader.MAGIC + (5).to_bytes(8, "little") + b"i\1\0\0\0",  # an index that is a number
    ],
)
def test_a_damaged_archive_costs_time_alone(site: Path, damage: bytes) -> None:
    (site / f"{_PACKAGE}.bytecode").write_bytes(damage)
    assert run(site, "import alone, space.one; print(alone.PLACE)") == "source"


def test_what_a_cut_archive_lacks_is_loaded_from_its_source(site: Path) -> None:
    archive = site / f"{_PACKAGE}.bytecode"
    archive.write_bytes(archive.read_bytes()[:-1])
    os.utime(archive, (_EPOCH, _EPOCH))
    code = "import alone, space.one; print(alone.PLACE, space.one.PLACE)"
    assert run(site, code) == "archive source"


def test_without_the_archive(site: Path) -> None:
    (site / f"{_PACKAGE}.bytecode").unlink()
    assert run(site, "import alone; print(alone.PLACE)") == "source"


def test_other_bytecode_than_the_archives(site: Path, tmp_path: Path) -> None:
    """An optimising Python, or one that keeps bytecode elsewhere, uses its own."""
    assert run(site, "import alone; print(alone.PLACE)", "-O") == "source"
    elsewhere = str(tmp_path / "elsewhere")
    assert run(site, "import alone; print(alone.PLACE)", PYTHONPYCACHEPREFIX=elsewhere) == "source"


def test_threads_import_at_once(site: Path) -> None:
    code = """
import importlib, threading
names = ["alone", "pack", "pack.deep.leaf", "space.one"] * 8
found = []
def load(name):
    found.append(importlib.import_module(name).PLACE)
threads = [threading.Thread(target=load, args=(name,)) for name in names]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(set(found), len(found))
"""
    assert run(site, code) == "{'archive'} 32"


def test_other_modules_are_left_to_python(site: Path, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("PLACE = 'beside'\n", encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    code += "import beside, ipaddress\nprint(beside.PLACE, type(beside.__loader__).__name__)"
    assert run(site, code) == "beside SourceFileLoader"


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for name in ("first", "second"):
        site = make_site(tmp_path / name / "site-packages")
        archives.append((site / f"{_PACKAGE}.bytecode").read_bytes())
    assert archives[0] == archives[1]


def test_no_bytecode_makes_no_archive(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("data", encoding="utf-8")
    archive_bytecode(tmp_path, _PACKAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["data.txt"]
