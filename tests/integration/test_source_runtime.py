"""The real thing: CPython compiled from its pinned tarball, moved, and put to work.

Takes the runtime from the cache where one is, and four minutes where none is.
"""

import importlib.util
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from builder.base import elf, elf_info, run
from builder.base.cache import open_cache
from builder.base.model import host_arch
from builder.base.paths import cache_root
from builder.runtime import bundle
from builder.runtime.buildhost import find_missing
from builder.runtime.model import Runtime, RuntimeRequest
from builder.runtime.source import SourceProvider

pytestmark = pytest.mark.build

MINOR = "3.13"


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    request = RuntimeRequest(
        minor=MINOR,
        requires_python=f"=={MINOR}.*",
        release="26.9.6",
        arch=host_arch(),
        jobs=os.cpu_count() or 1,
        install_build_deps=False,
    )
    cache = open_cache(cache_root())
    provider = SourceProvider()
    prepared = provider.find_prepared(request, cache)
    if prepared is None and (missing := find_missing()):
        pytest.skip(f"compiling CPython needs {', '.join(package.name for package in missing)}")
    return prepared or provider.provide(request, cache)


@pytest.fixture(scope="module")
def moved(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert runtime.tree is not None
    target = tmp_path_factory.mktemp("moved") / "a place" / "of its own"
    shutil.copytree(runtime.tree, target, symlinks=True)
    return target


def ask(tree: Path, script: str) -> str:
    """Run ``script`` by the tree's Python with nothing in the environment."""
    command: list[str | Path] = ["env", "-i", tree / "bin" / "python3", "-B", "-c", script]
    return run.run(command).stdout.strip()


def test_it_is_the_python_it_says(runtime: Runtime, moved: Path) -> None:
    assert ask(moved, "import platform; print(platform.python_version())") == runtime.version
    assert ask(moved, "import sys; print(sys.prefix)") == os.fspath(moved)


def test_its_paths_are_all_its_own(moved: Path) -> None:
    script = "import sysconfig, json; print(json.dumps(sysconfig.get_paths()))"
    for path in json.loads(ask(moved, script)).values():
        assert path.startswith(f"{moved}/") or path == os.fspath(moved)
    script = "import sysconfig; print([*map(str, sysconfig.get_config_vars().values())])"
    values = ask(moved, script)
    assert "/install" not in values.replace("/usr/bin/install", "").replace("./install", "")
    assert os.fspath(cache_root()) not in values


def test_no_library_comes_from_elsewhere(moved: Path) -> None:
    bundle.check_resolved(moved)
    script = "import ssl, sqlite3, ctypes, readline, curses, uuid, lzma, bz2, zlib\n"
    script += "print(open('/proc/self/maps').read())"
    fields = [line.split(maxsplit=5) for line in ask(moved, script).splitlines()]
    loaded = {Path(field[5]) for field in fields if len(field) > 5 and ".so" in field[5]}
    assert moved / "lib" / "libssl.so.3" in loaded
    outside = {path.name for path in loaded if not path.is_relative_to(moved)}
    assert {re.sub(r"[.-].*", "", name) for name in outside} <= {"ld", "libc", "libm"}


def test_the_recorded_glibc_is_what_the_tree_needs(runtime: Runtime, moved: Path) -> None:
    assert runtime.glibc == elf_info.highest_glibc(info for _, info in elf.scan_tree(moved))
    assert tuple(map(int, runtime.glibc.split("."))) >= (2, 17)


def test_every_bundled_library_has_its_licence(moved: Path) -> None:
    folder = moved / "share" / "licenses"
    rows = (folder / "bundled.txt").read_text().splitlines()[1:]
    assert {row.split("\t")[0] for row in rows} == {
        path.name for path in (moved / "lib").glob("*.so*")
    }
    for row in rows:
        soname, package, version = row.split("\t")
        assert version != "-", f"{soname} is of no package"
        assert any((folder / package).iterdir())
    assert "PYTHON SOFTWARE FOUNDATION" in (folder / "cpython" / "LICENSE").read_text()


def test_every_module_has_bytecode_that_is_used(moved: Path) -> None:
    library = moved / "lib" / f"python{MINOR}"
    sources = set(library.rglob("*.py"))
    compiled = {Path(importlib.util.source_from_cache(path)) for path in library.rglob("*.pyc")}
    assert compiled == sources
    # Unchecked: with other content and another time, the bytecode still decides.
    victim = library / "this.py"
    content = victim.read_bytes()
    victim.write_text("print('from the source')\n")
    try:
        assert "Beautiful is better than ugly" in ask(moved, "import this")
    finally:
        victim.write_bytes(content)


def test_pip_sees_a_sound_environment_and_keeps_out(moved: Path) -> None:
    python = moved / "bin" / "python3"
    assert "No broken requirements" in run.run(["env", "-i", python, "-m", "pip", "check"]).stdout
    refused = run.run(["env", "-i", python, "-m", "pip", "install", "x"], check=False)
    assert refused.status != 0
    assert "belongs to a Backend.AI package" in refused.stderr


def test_tls_finds_the_certificates_of_this_host(moved: Path) -> None:
    script = "import ssl; found = ssl.get_default_verify_paths(); print(found[0] or found[1])"
    assert Path(ask(moved, script)).exists()


def test_nothing_is_made_twice(runtime: Runtime) -> None:
    request = RuntimeRequest(
        minor=MINOR, requires_python=f"=={MINOR}.*", release="26.9.6", arch=host_arch()
    )
    assert SourceProvider().find_prepared(request, open_cache(cache_root())) == runtime
