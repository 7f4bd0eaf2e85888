"""Turning a raw CPython tree into a runtime: pruned, relocatable, byte-compiled.

Every provider ends here, so that a runtime is the same whatever it came from.
"""

import ast
import csv
import functools
import io
import json
import os
import pprint
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from builder.base import elf, run
from builder.base.bytecode import compile_tree
from builder.base.errors import RuntimeUnavailableError
from builder.base.model import Arch
from builder.base.paths import PRUNE_FILE
from builder.spec.prune import PruneOrigin, PruneRule, PruneSpec
from builder.spec.validate import load_model

_HERE = Path(__file__).parent
_SITECUSTOMIZE = _HERE / "_sitecustomize.py"
_EXTERNALLY_MANAGED = _HERE / "EXTERNALLY-MANAGED"

# Where standalone builds are configured and compiled; other builds record it themselves.
_KNOWN_PREFIX = "/install"
_KNOWN_BUILD_ROOTS = ("/build", "/tools")
_PREFIX_MARK = "@PREFIX@"


def prepare_tree(  # noqa: PLR0913 - by name
    tree: Path,
    *,
    version: str,
    arch: Arch,
    python: Path | None,
    jobs: int = 1,
    builds: Iterable[str] = (),
) -> None:
    """Make the raw CPython in ``tree`` (``bin/``, ``lib/``) a runtime, in place.

    ``python`` is an interpreter of the same minor that runs on this host, often the
    tree's own; without one the tree gets no bytecode. ``builds`` are further folders of the
    build that sysconfig must not name. Raises RuntimeUnavailableError where the tree is not
    the CPython it should be.
    """
    minor = ".".join(version.split(".")[:2])
    library = _check_layout(tree, minor, arch)
    _prune(tree, f"lib/python{minor}")
    _prune_libpython(tree)
    _keep_interpreter_only(tree / "bin", f"python{minor}")
    for path in library.glob("_sysconfigdata*.py"):
        _relocate_sysconfig(path, builds)
    shutil.copyfile(_EXTERNALLY_MANAGED, library / "EXTERNALLY-MANAGED")
    _write_sitecustomize(library / "sitecustomize.py", python)
    if python is not None:
        compile_tree(python, library, jobs=jobs)
    for record in library.glob("site-packages/*.dist-info/RECORD"):
        _drop_absent_rows(record)
    _normalise(tree)


def _check_layout(tree: Path, minor: str, arch: Arch) -> Path:
    program = tree / "bin" / f"python{minor}"
    library = tree / "lib" / f"python{minor}"
    for path in (program, library / "os.py"):
        if not path.exists():
            raise RuntimeUnavailableError(
                f"{tree}: no CPython {minor} here, {path.relative_to(tree)} is missing",
                hint="a runtime has bin/ and lib/ at its top, as a standalone build under python/",
            )
    info = elf.read_elf(program)
    if info is not None and info.machine != arch.elf_machine:
        raise RuntimeUnavailableError(
            f"{program} is built for {info.machine}, but {arch.elf_machine} ({arch}) is wanted",
            hint="take the CPython of the other architecture, or build with another --arch",
        )
    return library


@functools.cache  # every provider asks for them
def cpython_rules() -> tuple[PruneRule, ...]:
    """Return the rules of ``pkgspec/prune.toml`` for CPython."""
    label = f"{PRUNE_FILE.parent.name}/{PRUNE_FILE.stem}"
    spec = load_model(PruneSpec, PRUNE_FILE, label, hint="the schema is in pkgspec/schema/")
    return spec.of(PruneOrigin.CPYTHON)


def _prune(tree: Path, library: str) -> None:
    for pattern in (pattern for rule in cpython_rules() for pattern in rule.match):
        # A list: the tree changes under the iterator otherwise.
        for path in list(tree.glob(pattern.format(lib=library))):
            _remove(path)
    share = tree / "share"
    if share.is_dir() and not any(share.iterdir()):
        share.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _prune_libpython(tree: Path) -> None:
    """Remove libpython where the interpreter has it built in: 20 MB without a user."""
    libraries = list(tree.glob("lib/libpython*.so*"))
    names = {path.name for path in libraries}
    if not any(names.intersection(info.needed) for _, info in elf.scan_tree(tree / "bin")):
        for path in libraries:
            path.unlink()


def _keep_interpreter_only(folder: Path, program: str) -> None:
    """Leave ``python3.X`` and two links: the other scripts name the build's paths."""
    for path in folder.iterdir():
        if path.name != program:
            _remove(path)
    for name in ("python3", "python"):
        (folder / name).symlink_to(program)


def _relocate_sysconfig(path: Path, further: Iterable[str]) -> None:
    """Rewrite sysconfig's data so that its paths follow the tree and name no build."""
    source = path.read_text("utf-8")
    values = _literal_vars(source, path)
    prefixes = {_KNOWN_PREFIX, *_absolute(values, "prefix", "exec_prefix")}
    builds = {*_KNOWN_BUILD_ROOTS, *further, *_absolute(values, "abs_srcdir", "abs_builddir")}
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = relocate_value(value, prefixes=prefixes, builds=builds)
    text = (
        "# System configuration, used by the sysconfig module.\n"
        "# The paths follow this tree, wherever it lies.\n"
        "import sys\n\n"
        f"build_time_vars = {pprint.pformat(values)}\n\n"
        "build_time_vars = {\n"
        f"    name: value.replace({_PREFIX_MARK!r}, sys.base_prefix)"
        " if isinstance(value, str) else value\n"
        "    for name, value in build_time_vars.items()\n"
        "}\n"
    )
    path.unlink()  # it may be a hard link
    path.write_text(text, "utf-8")


def _literal_vars(source: str, path: Path) -> dict[str, Any]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "build_time_vars":
            try:
                return dict(ast.literal_eval(node.value))
            except ValueError as error:
                raise _odd_sysconfig(path) from error
    raise _odd_sysconfig(path)


def _odd_sysconfig(path: Path) -> RuntimeUnavailableError:
    return RuntimeUnavailableError(
        f"{path}: build_time_vars is not the plain table that CPython writes",
        hint="take an unmodified CPython",
    )


def _absolute(values: dict[str, Any], *names: str) -> set[str]:
    found = {str(values.get(name, "")).rstrip("/") for name in names}
    # A prefix such as /usr stands for the whole system, not for a build.
    return {path for path in found if path.startswith("/") and path != "/usr"}


def relocate_value(value: str, *, prefixes: Iterable[str], builds: Iterable[str]) -> str:
    """One sysconfig value with the prefix marked and every trace of the build gone.

    A flag that names a build folder is dropped, a tool there keeps its name alone.
    """
    # What may stand before a path; without this /usr/bin/install would match /install.
    before = r"""(?:(?<=[\s"'=:,;(])|(?<=-[ILB])|^)"""
    after = r"""(?=[/=\s"':,;)]|$)"""
    for build in sorted(builds, key=len, reverse=True):
        here = before + re.escape(build) + after
        flag = rf"""-[\w,-]*=?{here}[^\s'"]*[ ]?"""
        value = re.sub(flag, "", value)
        value = re.sub(rf"{here}(?:/[^/\s'\"]+)*/bin/", "", value)
        value = re.sub(here, ".", value)
    for prefix in sorted(prefixes, key=len, reverse=True):
        value = re.sub(before + re.escape(prefix) + after, _PREFIX_MARK, value)
    return value.rstrip()


def _write_sitecustomize(path: Path, python: Path | None) -> None:
    text = _SITECUSTOMIZE.read_text("utf-8")
    for name, value in zip(("_CAFILE", "_CAPATH"), _openssl_paths(python), strict=False):
        text = re.sub(rf"^{name} = .*$", f"{name} = {json.dumps(value)}", text, flags=re.MULTILINE)
    path.write_text(text, "utf-8")


def _openssl_paths(python: Path | None) -> list[str]:
    """Where the OpenSSL of ``python`` looks; empty if that is unknown."""
    if python is None:
        return []
    question = "import _ssl; paths = _ssl.get_default_verify_paths(); print(paths[1], paths[3])"
    return run.run([python, "-I", "-S", "-c", question], check=False).stdout.split()


def _drop_absent_rows(record: Path) -> None:
    """Drop what is gone (``bin/pip``) from an installed wheel's list of files."""
    root = record.parent.parent
    rows = list(csv.reader(record.read_text("utf-8").splitlines()))
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\n").writerows(
        row for row in rows if row and (root / row[0]).exists()
    )
    record.write_text(kept.getvalue(), "utf-8")


def _normalise(tree: Path) -> None:
    """Set every mode, and make a file of its own of each hard link."""
    for folder, _, names in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                continue
            if path.stat().st_nlink > 1:
                part = path.with_name(f".{name}.part")
                shutil.copyfile(path, part)
                part.replace(path)
            # Libraries too: the loader needs no x, and Debian's policy forbids it.
            path.chmod(0o755 if path.parent == tree / "bin" else 0o644)
