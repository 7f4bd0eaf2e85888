"""Compiles CPython from its tarball, and checks the result."""

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.base import log, run
from builder.base.cache import Cache
from builder.base.errors import RuntimeUnavailableError
from builder.base.files import hash_file
from builder.base.model import Arch, host_arch
from builder.net.extract import extract_tar

_OLDER_GLIBC = Path(__file__).with_name("older_glibc.h")
_CHECK = Path(__file__).with_name("_check_runtime.py")
# A folder that no host has: nothing can be found there, so nothing may need it.
_PREFIX = "/install"
# Not the makefile's CFLAGS: sysconfig would pass those on to every extension.
_FLAGS = ("-g0", "-include", _OLDER_GLIBC.name)
# What only a program of the target could find out, and is so on Linux with glibc.
_ANSWERS = (
    "ac_cv_file__dev_ptmx=yes",
    "ac_cv_file__dev_ptc=no",
    "ac_cv_buggy_getaddrinfo=no",
)
# Databases and windows that no service uses; libcrypt, which not every target has.
_DISABLED = "*disabled*\n_crypt _dbm _gdbm _tkinter nis\n"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The version to compile, and how."""

    version: str
    pgo: bool = False
    lto: bool = False

    @property
    def name(self) -> str:
        """The version and the special options: "3.13.15-pgo-lto"."""
        return self.version + "-pgo" * self.pgo + "-lto" * self.lto

    @property
    def configure(self) -> tuple[str, ...]:
        """The options of ``configure``."""
        options = [
            f"--prefix={_PREFIX}",
            "--with-ensurepip=install",
            # libedit, because readline's licence is the GPL.
            "--with-readline=editline",
            "--with-dbmliborder=",
            "--without-static-libpython",
        ]
        if self.pgo:
            options.append("--enable-optimizations")  # it trains on the test modules
        else:
            options.append("--disable-test-modules")
        if self.lto:
            options.append("--with-lto")
        return tuple(options)

    @property
    def inputs(self) -> tuple[object, ...]:
        """All inputs of the result, except the tarball and the host."""
        return (self.configure, _FLAGS, hash_file(_OLDER_GLIBC), _DISABLED)

    @property
    def cross_inputs(self) -> tuple[object, ...]:
        """Likewise for another architecture, except the sysroot."""
        return (*self.inputs, _ANSWERS)


@dataclass(frozen=True, kw_only=True)
class Cross:
    """The means to compile for another architecture."""

    arch: Arch
    sysroot: Path  # with the target's libraries and headers
    python: Path  # of the same version, which runs here

    def prepare(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Make the compiler and the Python by names in ``folder``, which must not be there.

        Returns the further options and variables of ``configure``. An option in CC, or a path
        outside the source, would be recorded in sysconfig, which must not name the build.
        """
        folder.mkdir()
        name = f"{self.arch.triplet}-gcc"
        compiler = run.find_tool(name, hint="builder build --install-build-deps installs it")
        words = shlex.join([os.fspath(compiler), f"--sysroot={self.sysroot}"])
        (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n', "utf-8")
        (folder / name).chmod(0o755)
        python = folder / self.python.name
        python.symlink_to(self.python)
        options = [
            f"--host={self.arch.triplet}",
            f"--build={host_arch().triplet}",
            f"--with-build-python={python}",
            *_ANSWERS,
        ]
        libraries = self.sysroot / "usr" / "lib" / self.arch.triplet
        described = (libraries / "pkgconfig", self.sysroot / "usr" / "share" / "pkgconfig")
        return options, {
            "PATH": f"{folder}:{os.environ.get('PATH', os.defpath)}",
            "PKG_CONFIG_LIBDIR": ":".join(map(os.fspath, described)),
            # The sysroot's own folder, which the compiler looks into by itself.
            "PKG_CONFIG_SYSTEM_LIBRARY_PATH": f"/usr/lib/{self.arch.triplet}",
        }


def compile_cpython(  # noqa: PLR0913 - by name
    tarball: Path,
    target: Path,
    recipe: Recipe,
    *,
    cache: Cache,
    jobs: int,
    cross: Cross | None = None,
) -> None:
    """Compile ``tarball`` and install it as ``target``, a raw tree with bin/ and lib/.

    The tree includes its licence; its shared libraries are still the host's. The log
    stays in the cache.
    """
    foreign = f"-{cross.arch}" if cross is not None else ""
    log_file = cache.root / "logs" / f"cpython-{recipe.name}{foreign}.log"
    log.step(f"runtime: compiling CPython {recipe.name}{foreign}, log in {log_file}")
    with cache.workspace() as work:
        source = work / "source"
        extract_tar(tarball, source, strip=f"Python-{recipe.version}")
        (source / "Modules" / "Setup.local").write_text(_DISABLED, "utf-8")
        shutil.copy(_OLDER_GLIBC, source)
        make = _Make(source=source, root=work / "root", jobs=jobs, log_file=log_file)
        options, further = cross.prepare(source / "cross") if cross is not None else ([], {})
        make.run(recipe, options, further)
        installed = work / "root" / _PREFIX.lstrip("/")
        licence = installed / "share" / "licenses" / "cpython" / "LICENSE"
        licence.parent.mkdir(parents=True)
        shutil.copyfile(source / "LICENSE", licence)
        installed.replace(target)


@dataclass(frozen=True, kw_only=True)
class _Make:
    """One run of configure and make."""

    source: Path
    root: Path
    jobs: int
    log_file: Path

    def run(self, recipe: Recipe, options: Sequence[str], further: Mapping[str, str]) -> None:
        environment = {
            "LC_ALL": "C",
            # So `python -VV` shows the date of the release.
            "SOURCE_DATE_EPOCH": str(int((self.source / "configure").stat().st_mtime)),
            "CFLAGS_NODIST": " ".join([*_FLAGS, f"-ffile-prefix-map={self.source}=."]),
            "LDFLAGS": "-Wl,--as-needed",
            **further,
        }
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self.log_file.write_text("", "utf-8")

        def follow(*words: str) -> None:
            command = run.Command(words=words, cwd=self.source, env=environment)
            run.follow(command, log_file=self.log_file, on_line=report)

        name = f"CPython {recipe.version}"
        with _progress(f"{name}: configuring", "checks", "checking ") as report:
            follow("./configure", *recipe.configure, *options)
        with _progress(f"{name}: compiling", "files", " -c ") as report:
            follow("make", f"-j{self.jobs}")
        with _progress(f"{name}: installing", "files", "install ") as report:
            follow("make", "install", f"DESTDIR={self.root}")


@contextmanager
def _progress(label: str, unit: str, mark: str) -> Iterator[run.OnLine]:
    """Count the output's lines that carry ``mark``."""
    with log.progress(label, None, unit=unit) as advance:
        yield lambda line: advance(1) if mark in line else None


def check_runtime(
    tree: Path, minor: str, *, traces: tuple[str, ...], runner: Sequence[str | Path] = ()
) -> None:
    """Raise RuntimeUnavailableError unless ``tree`` works wherever it is put.

    The interpreter runs from another folder with an empty environment, by ``runner``, an
    emulator, where there is one; no file may hold one of ``traces``, the paths of the build.
    """
    moved = tree.with_name(f"{tree.name}.moved")
    tree.rename(moved)
    try:
        python = moved / "bin" / f"python{minor}"
        words = ["env", "-i", *runner, python, "-B", "-X", "utf8", _CHECK, moved]
        problems = run.run(words, check=False)
        found = problems.stdout.splitlines() + problems.stderr.splitlines()
        if problems.status != 0:
            found.append(f"it exited with {problems.status}")
        found += _find_traces(moved, traces)
    finally:
        moved.rename(tree)
    if found:
        raise RuntimeUnavailableError(
            f"the CPython {minor} built here does not work: {'; '.join(found)}",
            hint="report this with the build log; --runtime pbs and archive are other ways",
        )


def check_foreign(tree: Path, like: Path, *, traces: tuple[str, ...]) -> None:
    """Raise RuntimeUnavailableError unless ``tree``, which does not run here, is like another.

    It must have every extension module that ``like`` has, a runtime that was checked here.
    """
    names = [{path.name.partition(".")[0] for path in _extensions(each)} for each in (tree, like)]
    found = [f"it has no module {name}" for name in sorted(names[1] - names[0])]
    found += _find_traces(tree, traces)
    if found:
        raise RuntimeUnavailableError(
            f"the CPython in {tree} is not whole: {'; '.join(found)}",
            hint="report this with the build log; --runtime pbs and archive are other ways",
        )


def _extensions(tree: Path) -> list[Path]:
    return list(tree.glob("lib/python3.*/lib-dynload/*.so"))


def _find_traces(tree: Path, traces: tuple[str, ...]) -> list[str]:
    wanted = [trace.encode() for trace in traces]
    return [
        f"{path.relative_to(tree)} names the build's {trace.decode()}"
        for folder, _, names in os.walk(tree)
        for path in (Path(folder, name) for name in names)
        if not path.is_symlink()
        for content in [path.read_bytes()]
        for trace in wanted
        if trace in content
    ]
