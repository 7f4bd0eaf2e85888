"""Compiling CPython, with a configure and a make that play their parts."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import RuntimeUnavailableError, ToolError
from builder.runtime.cpython import (
    Cross,
    Recipe,
    check_foreign,
    check_runtime,
    compile_cpython,
)
from tests.helpers.trees import FOREIGN, HOST, MINOR, VERSION, write_tree

TOP = f"Python-{VERSION}"
RELEASED = 1_700_000_000
CONFIGURE = """#!/bin/sh
echo "checking for gcc... yes"
echo "options: $*"
echo "flags: [$CFLAGS] [$CFLAGS_NODIST] epoch: $SOURCE_DATE_EPOCH"
echo "disabled: $(tail -n 1 Modules/Setup.local)"
test -f older_glibc.h
"""
MAKE = """#!/bin/sh
case "$1" in
    -j*) echo "gcc -c x.c jobs $1" ;;
    install)
        root=${2#DESTDIR=}/install
        mkdir -p "$root/bin"
        echo python >"$root/bin/python3"
        ;;
esac
"""


def make_tarball(folder: Path, configure: str = CONFIGURE) -> Path:
    path = folder / "source.tar.gz"
    files = {"configure": configure, "LICENSE": "PSF", "Modules/config.c": ""}
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{TOP}/{name}")
            info.size, info.mode, info.mtime = len(text), 0o755, RELEASED
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    tool = tmp_path / "bin" / "make"
    tool.parent.mkdir()
    tool.write_text(MAKE)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CFLAGS", "-Oops")
    return Cache(root=tmp_path / "cache")


def test_a_build(cache: Cache, tmp_path: Path) -> None:
    recipe = Recipe(version=VERSION)
    target = tmp_path / "raw"
    compile_cpython(make_tarball(tmp_path), target, recipe, cache=cache, jobs=3)
    assert (target / "bin" / "python3").read_text() == "python\n"
    assert (target / "share/licenses/cpython/LICENSE").read_text() == "PSF"
    log = (cache.root / "logs" / f"cpython-{VERSION}.log").read_text()
    assert f"options: {' '.join(recipe.configure)}\n" in log
    assert "flags: [] [-g0 -include older_glibc.h -ffile-prefix-map=" in log
    assert f"epoch: {RELEASED}\n" in log
    assert "disabled: _crypt _dbm _gdbm _tkinter nis\n" in log
    assert "jobs -j3\n" in log
    assert list((cache.root / "tmp").iterdir()) == []


def test_a_failure_names_the_log_and_leaves_nothing(cache: Cache, tmp_path: Path) -> None:
    tarball = make_tarball(tmp_path, "#!/bin/sh\necho no acceptable C compiler\nexit 77\n")
    target = tmp_path / "raw"
    with pytest.raises(ToolError) as caught:
        compile_cpython(tarball, target, Recipe(version=VERSION), cache=cache, jobs=1)
    assert "configure exited with 77" in caught.value.message
    assert "no acceptable C compiler" in caught.value.message
    log = cache.root / "logs" / f"cpython-{VERSION}.log"
    assert str(log) in (caught.value.hint or "")
    assert "no acceptable C compiler" in log.read_text()
    assert not target.exists()
    assert list((cache.root / "tmp").iterdir()) == []


def test_a_build_for_another_architecture(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler is called by its plain name, and no path outside the source is named."""
    compiler = tmp_path / "bin" / f"{FOREIGN.triplet}-gcc"
    compiler.write_text('#!/bin/sh\necho "compiler: $*"\n')
    compiler.chmod(0o755)
    python = tmp_path / "runtime" / f"python{MINOR}"
    python.parent.mkdir()
    python.touch()
    configure = CONFIGURE + (
        f'\n{FOREIGN.triplet}-gcc -x c && echo "packages: $PKG_CONFIG_LIBDIR"'
        "\nfor word; do"
        '\n    case "$word" in --with-build-python=*) readlink "${word#*=}" ;; esac'
        "\ndone\n"
    )
    cross = Cross(arch=FOREIGN, sysroot=tmp_path / "a sysroot", python=python)
    target = tmp_path / "raw"
    compile_cpython(
        make_tarball(tmp_path, configure),
        target,
        Recipe(version=VERSION),
        cache=cache,
        jobs=1,
        cross=cross,
    )
    log = (cache.root / "logs" / f"cpython-{VERSION}-{FOREIGN}.log").read_text()
    assert f"--host={FOREIGN.triplet} --build={HOST.triplet}" in log
    assert "ac_cv_buggy_getaddrinfo=no" in log
    assert f"compiler: --sysroot={cross.sysroot} -x c\n" in log
    assert f"packages: {cross.sysroot}/usr/lib/{FOREIGN.triplet}/pkgconfig:" in log
    assert f"\n{python}\n" in log
    (options,) = [line for line in log.splitlines() if line.startswith("options: ")]
    assert str(cross.sysroot) not in options
    assert str(python) not in options
    plain = Recipe(version=VERSION)
    assert plain.inputs != plain.cross_inputs


def test_a_foreign_runtime_has_every_module_of_this_hosts(tmp_path: Path) -> None:
    own, foreign = (tmp_path / name / f"lib/python{MINOR}/lib-dynload" for name in ("a", "b"))
    for folder, arch, names in ((own, HOST, "_ssl zlib"), (foreign, FOREIGN, "zlib")):
        folder.mkdir(parents=True)
        for name in names.split():
            (folder / f"{name}.cpython-313-{arch.triplet}.so").write_bytes(b"x")
    with pytest.raises(RuntimeUnavailableError, match="it has no module _ssl"):
        check_foreign(tmp_path / "b", tmp_path / "a", traces=())
    (foreign / f"_ssl.cpython-313-{FOREIGN.triplet}.so").write_bytes(b"of /cache/tmp/x")
    check_foreign(tmp_path / "b", tmp_path / "a", traces=())
    with pytest.raises(RuntimeUnavailableError, match="names the build"):
        check_foreign(tmp_path / "b", tmp_path / "a", traces=("/cache/tmp",))


def test_options() -> None:
    plain = Recipe(version=VERSION)
    assert plain.name == VERSION
    assert "--with-readline=editline" in plain.configure
    assert "--disable-test-modules" in plain.configure
    tuned = Recipe(version=VERSION, pgo=True, lto=True)
    assert tuned.name == f"{VERSION}-pgo-lto"
    assert {"--enable-optimizations", "--with-lto"} <= set(tuned.configure)
    assert "--disable-test-modules" not in tuned.configure  # what it trains on
    assert not any("enable-shared" in option for option in plain.configure)
    assert plain.inputs != tuned.inputs


def test_a_runtime_that_depends_on_its_place_is_refused(tmp_path: Path) -> None:
    # The tree's Python hands over to another one, so nothing is where it should be.
    tree = write_tree(tmp_path / "tree")
    with pytest.raises(RuntimeUnavailableError) as caught:
        check_runtime(tree, MINOR, traces=())
    assert "sys.prefix is " in caught.value.message
    assert f"outside {tree}.moved" in caught.value.message
    assert tree.is_dir()


def test_a_runtime_that_does_not_start_is_refused(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    (tree / "bin" / f"python{MINOR}").write_text("#!/bin/sh\necho broken >&2\nexit 127\n")
    with pytest.raises(RuntimeUnavailableError, match="broken; it exited with 127"):
        check_runtime(tree, MINOR, traces=())
    assert tree.is_dir()


def test_a_trace_of_the_build_is_reported(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    (tree / "lib" / "data.bin").write_bytes(b"\0/cache/tmp/abc/source\0")
    with pytest.raises(RuntimeUnavailableError, match=r"lib/data\.bin names the build"):
        check_runtime(tree, MINOR, traces=("/cache/tmp",))
