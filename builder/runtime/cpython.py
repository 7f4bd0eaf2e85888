"""Compiles CPython from its tarball, and checks the result."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.base import log, run
from builder.base.cache import Cache
from builder.base.errors import RuntimeUnavailableError
from builder.base.files import hash_file
from builder.net.extract import extract_tar

_OLDER_GLIBC = Path(__file__).with_name("older_glibc.h")
_CHECK = Path(__file__).with_name("_check_runtime.py")
# A folder that no host has: nothing can be found there, so nothing may need it.
_PREFIX = "/install"
# Not the makefile's CFLAGS: sysconfig would pass those on to every extension.
_FLAGS = ("-g0", "-include", _OLDER_GLIBC.name)
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


def compile_cpython(
    tarball: Path, target: Path, recipe: Recipe, *, cache: Cache, jobs: int
) -> None:
    """Compile ``tarball`` and install it as ``target``, a raw tree with bin/ and lib/.

    The tree includes its licence; its shared libraries are still the host's. The log
    stays in the cache.
    """
    log_file = cache.root / "logs" / f"cpython-{recipe.name}.log"
    log.step(f"runtime: compiling CPython {recipe.name}, log in {log_file}")
    with cache.workspace() as work:
        source = work / "source"
        extract_tar(tarball, source, strip=f"Python-{recipe.version}")
        (source / "Modules" / "Setup.local").write_text(_DISABLED, "utf-8")
        shutil.copy(_OLDER_GLIBC, source)
        _configure_and_make(source, work / "root", recipe, jobs=jobs, log_file=log_file)
        installed = work / "root" / _PREFIX.lstrip("/")
        licence = installed / "share" / "licenses" / "cpython" / "LICENSE"
        licence.parent.mkdir(parents=True)
        shutil.copyfile(source / "LICENSE", licence)
        installed.replace(target)


def _configure_and_make(
    source: Path, root: Path, recipe: Recipe, *, jobs: int, log_file: Path
) -> None:
    environment = {
        "LC_ALL": "C",
        # So `python -VV` shows the date of the release.
        "SOURCE_DATE_EPOCH": str(int((source / "configure").stat().st_mtime)),
        "CFLAGS_NODIST": " ".join([*_FLAGS, f"-ffile-prefix-map={source}=."]),
        "LDFLAGS": "-Wl,--as-needed",
    }
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.write_text("", "utf-8")

    def follow(*words: str) -> None:
        command = run.Command(words=words, cwd=source, env=environment)
        run.follow(command, log_file=log_file, on_line=report)

    name = f"CPython {recipe.version}"
    with _progress(f"{name}: configuring", "checks", "checking ") as report:
        follow("./configure", *recipe.configure)
    with _progress(f"{name}: compiling", "files", " -c ") as report:
        follow("make", f"-j{jobs}")
    with _progress(f"{name}: installing", "files", "install ") as report:
        follow("make", "install", f"DESTDIR={root}")


@contextmanager
def _progress(label: str, unit: str, mark: str) -> Iterator[run.OnLine]:
    """Count the output's lines that carry ``mark``."""
    with log.progress(label, None, unit=unit) as advance:
        yield lambda line: advance(1) if mark in line else None


def check_runtime(tree: Path, minor: str, *, traces: tuple[str, ...]) -> None:
    """Raise RuntimeUnavailableError unless ``tree`` works wherever it is put.

    The interpreter runs from another folder with an empty environment; no file may
    hold one of ``traces``, the paths of the build.
    """
    moved = tree.with_name(f"{tree.name}.moved")
    tree.rename(moved)
    try:
        python = moved / "bin" / f"python{minor}"
        problems = run.run(["env", "-i", python, "-B", "-X", "utf8", _CHECK, moved], check=False)
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
