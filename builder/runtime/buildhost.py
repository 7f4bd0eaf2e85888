"""The dependencies of this host for compiling CPython, and the command that installs them."""

import os
import platform
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from builder.base import log, run
from builder.base.errors import ToolError
from builder.base.model import Arch

_COMPILERS = ("cc", "gcc")
_NONINTERACTIVE = {"DEBIAN_FRONTEND": "noninteractive"}


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """A program, or a library with its header, and the packages that bring it."""

    name: str
    deb: str
    rpm: str
    program: str | None = None
    header: str | None = None
    libraries: tuple[str, ...] = ()


_COMPILER = Dependency(name="a C compiler", program="cc", deb="gcc libc6-dev", rpm="gcc")
_PROGRAMS = (
    Dependency(name="make", program="make", deb="make", rpm="make"),
    Dependency(name="strip", program="strip", deb="binutils", rpm="binutils"),
    Dependency(name="pkg-config", program="pkg-config", deb="pkg-config", rpm="pkgconf-pkg-config"),
)


def _library(name: str, header: str, libraries: str, deb: str, rpm: str) -> Dependency:
    return Dependency(
        name=name, header=header, libraries=tuple(libraries.split()), deb=deb, rpm=rpm
    )


_LIBRARIES = (
    _library("OpenSSL", "openssl/ssl.h", "ssl crypto", "libssl-dev", "openssl-devel"),
    _library("libffi", "ffi.h", "ffi", "libffi-dev", "libffi-devel"),
    _library("SQLite", "sqlite3.h", "sqlite3", "libsqlite3-dev", "sqlite-devel"),
    _library("bzip2", "bzlib.h", "bz2", "libbz2-dev", "bzip2-devel"),
    _library("liblzma", "lzma.h", "lzma", "liblzma-dev", "xz-devel"),
    _library("zlib", "zlib.h", "z", "zlib1g-dev", "zlib-devel"),
    _library("libedit", "editline/readline.h", "edit", "libedit-dev", "libedit-devel"),
    _library("ncurses", "curses.h", "ncursesw panelw", "libncurses-dev", "ncurses-devel"),
    _library("libuuid", "uuid/uuid.h", "uuid", "uuid-dev", "libuuid-devel"),
)


def library_packages() -> tuple[str, ...]:
    """Return Debian's packages with the headers of all libraries that CPython is linked with."""
    return tuple(name for need in _LIBRARIES for name in need.deb.split())


def compiling_packages() -> tuple[str, ...]:
    """Return all of Debian's packages that compiling CPython needs."""
    needs = (_COMPILER, *_PROGRAMS, *_LIBRARIES)
    return tuple(name for need in needs for name in need.deb.split())


def read_os_release() -> dict[str, str]:
    """Read the os-release of this host's distribution; empty if there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def host_identity() -> str:
    """Return the distribution whose libraries a build here is linked with: "debian 12"."""
    release = read_os_release()
    return f"{release.get('ID', 'unknown')} {release.get('VERSION_ID', '')}".strip()


def find_missing() -> list[Dependency]:
    """Return the dependencies that this host lacks to compile CPython."""
    compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
    missing = [need for need in _PROGRAMS if not shutil.which(need.program or "")]
    if compiler is None or not _compiles(compiler, "", ()):
        # Without a compiler the libraries cannot be checked: request all of them.
        return [_COMPILER, *missing, *_LIBRARIES]
    return missing + [
        need
        for need in _LIBRARIES
        if not _compiles(compiler, f"#include <stdio.h>\n#include <{need.header}>", need.libraries)
    ]


def _compiles(compiler: str, head: str, libraries: Sequence[str]) -> bool:
    """Return whether a program with this head compiles and links with these libraries."""
    flags = [f"-l{name}" for name in libraries]
    command = [compiler, "-x", "c", "-", "-o", os.devnull, *flags]
    return (
        run.run(command, stdin=f"{head}\nint main(void) {{ return 0; }}\n", check=False).status == 0
    )


def install_commands(
    missing: Sequence[Dependency], os_release: Mapping[str, str]
) -> list[list[str]]:
    """Return the commands, for root, that install ``missing``; none on an unknown distribution."""
    family = {os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()}
    if family & {"debian", "ubuntu"}:
        packages = [name for need in missing for name in need.deb.split()]
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        return [["apt-get", "update"], install]
    if family & {"fedora", "rhel", "centos"}:
        packages = [name for need in missing for name in need.rpm.split()]
        return [["dnf", "install", "--assumeyes", *packages]]
    return []


def ensure_build_host(*, install: bool) -> None:
    """Ensure that CPython can be compiled here.

    With ``install``, and as root, missing dependencies are installed. Otherwise raises
    ToolError, which lists them with the command.
    """
    _ensure(find_missing, install=install)


def ensure_cross_host(arch: Arch, *, install: bool) -> None:
    """Ensure that CPython can be compiled here for another architecture, likewise."""
    ensure_build_host(install=install)
    package = f"gcc-{arch.triplet.replace('_', '-')}"
    compiler = Dependency(
        name=f"a C compiler for {arch}",
        program=f"{arch.triplet}-gcc",
        deb=package,
        rpm=package,
    )
    _ensure(
        lambda: [] if shutil.which(compiler.program or "") else [compiler],
        install=install,
    )


def _ensure(find: Callable[[], list[Dependency]], *, install: bool) -> None:
    missing = find()
    if not missing:
        return
    commands = install_commands(missing, read_os_release())
    names = ", ".join(need.name for need in missing)
    if install and commands and os.geteuid() == 0:
        log.step(f"runtime: installing what compiling CPython needs: {names}")
        for command in commands:
            run.run(command, env=_NONINTERACTIVE)
        missing = find()
        if not missing:
            return
        names = ", ".join(need.name for need in missing)
    raise ToolError(f"compiling CPython needs {names}", hint=_hint(missing, commands))


def _hint(missing: Sequence[Dependency], commands: Sequence[Sequence[str]]) -> str:
    if commands:
        line = " && ".join(shlex.join(command) for command in commands)
        return f"as root: {line}"
    names = " ".join(need.deb for need in missing)
    return f"install them with their development files; Debian calls them {names}"
