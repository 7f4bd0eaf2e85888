"""The ``archive`` provider: a tarball or folder with a CPython that the user has."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from builder.base import elf, log
from builder.base.cache import Cache
from builder.base.errors import PayloadError, RuntimeUnavailableError, UsageError
from builder.base.files import hash_file
from builder.base.model import RuntimeChoice, host_arch
from builder.net.extract import MAX_BYTES, check_links, extract_tar
from builder.runtime.model import Runtime, RuntimeRequest
from builder.runtime.pins import check_version
from builder.runtime.prepare import prepare_tree
from builder.runtime.prepared import (
    ask_version,
    find_host_python,
    find_runtime,
    keep_runtime,
    runtime_key,
)

_PROGRAM = re.compile(r"python(3\.\d+)")
_PATCHLEVEL = re.compile(r'^#define\s+PY_VERSION\s+"(3\.\d+\.\d+)', re.MULTILINE)
_IN_NAME = re.compile(r"(?<![\d.])(3\.\d+\.\d+)(?![\d.])")
# Folders in an archive that may hold a CPython's bin/ and lib/, apart from a lone folder.
_TOPS = ("", "python", "python/install")
_SYSTEM = tuple(Path(path) for path in ("/", "/usr", "/usr/local"))


class ArchiveProvider:
    """Provides the user's CPython, if the release accepts its version."""

    choice = RuntimeChoice.ARCHIVE

    def provide(self, request: RuntimeRequest, cache: Cache) -> Runtime:
        """Unpack or copy ``request.archive`` and make it a runtime."""
        given = _given(request)
        sha256 = _hash_folder(given) if given.is_dir() else hash_file(given)
        key = runtime_key("archive", sha256, request.arch)
        python = self._host_python(request)
        prepared = find_runtime(cache, key, whole=request.whole)
        if prepared is None:
            log.step(f"runtime: preparing the CPython of {given}")
            prepared = keep_runtime(
                cache, key, lambda tree: _prepare(given, tree, request, python=python)
            )
        check_version(prepared.version, request, str(given))
        return Runtime(
            provider=RuntimeChoice.ARCHIVE,
            version=prepared.version,
            arch=request.arch,
            origin=given.name,  # without its folder, which is private to this host
            sha256=sha256,
            key=key,
            tree=prepared.tree,
            python=python or prepared.python,
            glibc=prepared.glibc,
        )

    def _host_python(self, request: RuntimeRequest) -> Path | None:
        """Return the interpreter to compile with; None if the tree's own can."""
        if request.arch is host_arch():
            return None
        python = find_host_python(request.minor)
        if python is None:
            raise RuntimeUnavailableError(
                f"to compile bytecode for {request.arch}, this {host_arch()} host needs a"
                f" Python {request.minor} of its own",
                hint=f"install python{request.minor} here, or use --runtime pbs, which brings one",
            )
        return python


def _given(request: RuntimeRequest) -> Path:
    if request.archive is None:
        raise UsageError(
            "the archive runtime needs to know which archive",
            hint="name a tarball or a folder with --archive",
        )
    if not request.archive.exists():
        raise UsageError(
            f"the archive {str(request.archive)!r} does not exist",
            hint="--archive takes a tarball or a folder with a CPython in it",
        )
    given = request.archive.resolve()
    if given in _SYSTEM:
        raise UsageError(
            f"{given} holds this whole system, not just a CPython",
            hint="use --runtime distro for the distribution's own Python",
        )
    return given


def _prepare(given: Path, tree: Path, request: RuntimeRequest, *, python: Path | None) -> str:
    raw = tree.with_name("raw")
    if given.is_dir():
        check_links(given, str(given))
        shutil.copytree(given, raw, symlinks=True)
    else:
        extract_tar(given, raw)
    root, minor = _find_root(raw, given, request.minor)
    _check_machine(root / "bin" / f"python{minor}", given, request)
    if python is None:
        python_here = root / "bin" / f"python{minor}"
        version = ask_version(python_here, str(given))
    else:
        version = _read_version(root, minor, given)
    check_version(version, request, str(given))
    root.replace(tree)
    shutil.rmtree(raw, ignore_errors=True)
    prepare_tree(
        tree,
        version=version,
        arch=request.arch,
        python=python or tree / "bin" / f"python{minor}",
        jobs=request.jobs,
    )
    return version


def _find_root(raw: Path, given: Path, wanted: str) -> tuple[Path, str]:
    """Return the folder with ``bin/python3.X``, and the X; the wanted X comes before others."""
    children = [path for path in raw.iterdir() if path.is_dir() and not path.is_symlink()]
    tops = [raw / top for top in _TOPS]
    if len(children) == 1:
        tops += [children[0], children[0] / "install"]
    for root in tops:
        minors = sorted(_minors(root), key=lambda minor: minor != wanted)
        if minors:
            return root, minors[0]
    raise RuntimeUnavailableError(
        f"{given} holds no CPython: there is no bin/python3.X with its lib/python3.X at the top,"
        " in python/ or in its only folder",
        hint="give a standalone build, or a tree that 'make install' filled",
    )


def _minors(root: Path) -> Iterator[str]:
    for path in root.glob("bin/python3.*"):
        match = _PROGRAM.fullmatch(path.name)
        if match and (root / "lib" / path.name / "os.py").is_file():
            yield match[1]


def _check_machine(program: Path, given: Path, request: RuntimeRequest) -> None:
    info = elf.read_elf(program)
    if info is not None and info.machine != request.arch.elf_machine:
        raise RuntimeUnavailableError(
            f"the Python of {given} is built for {info.machine}, but {request.arch}"
            f" ({request.arch.elf_machine}) is wanted",
            hint="give the CPython of that architecture, or build with another --arch",
        )


def _read_version(root: Path, minor: str, given: Path) -> str:
    """Read the version of a tree that cannot run here from its headers, or else its name."""
    header = root / "include" / f"python{minor}" / "patchlevel.h"
    found = _PATCHLEVEL.search(header.read_text("utf-8")) if header.is_file() else None
    found = found or _IN_NAME.search(given.name)
    if found is None or not found[1].startswith(f"{minor}."):
        raise RuntimeUnavailableError(
            f"{given}: its version is unknown, as this {minor} does not run on this host",
            hint=f"keep its include/python{minor}, or name the file as cpython-{minor}.PATCH-…",
        )
    return found[1]


def _hash_folder(folder: Path) -> str:
    """Hash the names, kinds, executable bits and contents below ``folder`` by sha256."""
    digest = hashlib.sha256()
    size = 0
    paths = sorted(Path(top, name) for top, dirs, files in os.walk(folder) for name in files + dirs)
    for path in paths:
        name = os.fsencode(path.relative_to(folder))
        if path.is_symlink():
            digest.update(b"link\0" + name + b"\0" + os.fsencode(path.readlink()) + b"\0")
        elif path.is_file():
            status = path.stat()
            size += status.st_size
            kind = b"program\0" if status.st_mode & 0o111 else b"file\0"
            digest.update(kind + name + b"\0" + hash_file(path).encode() + b"\0")
        elif not path.is_dir():
            raise PayloadError(f"{path} is a device or a pipe, which no CPython has")
        if size > MAX_BYTES:
            raise UsageError(
                f"{folder} holds more than {MAX_BYTES >> 30} GiB, which no CPython does",
                hint="--archive takes a folder with a CPython and nothing else",
            )
    return digest.hexdigest()
