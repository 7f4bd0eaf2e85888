"""Prepared runtimes in the cache, and the interpreters in them.

Layout of an entry: ``tree/`` is the runtime, ``runtime.json`` the facts that were
detected while it was made.
"""

import functools
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from builder.base import bytecode, elf, elf_info, run
from builder.base.cache import Cache, key_of
from builder.base.errors import RuntimeUnavailableError, ToolError
from builder.base.files import hash_file
from builder.runtime import prepare

KIND = "runtime"
RECORD = "runtime.json"
# These files decide the content of every tree: a change in one makes another tree.
_RECIPE = (
    Path(prepare.__file__),
    Path(prepare.__file__).with_name("_sitecustomize.py"),
    Path(prepare.__file__).with_name("EXTERNALLY-MANAGED"),
    Path(bytecode.__file__),
    Path(bytecode.__file__).with_name("_compile_worker.py"),
)


@dataclass(frozen=True, kw_only=True)
class PreparedRuntime:
    """A prepared runtime as the cache has it."""

    key: str
    tree: Path
    version: str
    glibc: str

    @property
    def python(self) -> Path:
        """The tree's own interpreter."""
        return self.tree / "bin" / f"python{minor_of(self.version)}"


def runtime_key(*inputs: object) -> str:
    """Return the key of a runtime made from ``inputs`` by the current recipe."""
    return key_of(KIND, _recipe(), *inputs)


def find_runtime(cache: Cache, key: str, *, whole: bool = True) -> PreparedRuntime | None:
    """Return the runtime of this key if it has been prepared.

    Without ``whole`` only its record is read and checked.
    """
    folder = cache.find_derived(KIND, key) if whole else cache.find_record(KIND, key, (RECORD,))
    return _load(folder, key, cache) if folder is not None else None


def keep_runtime(cache: Cache, key: str, make: Callable[[Path], str]) -> PreparedRuntime:
    """Return the runtime of this key; ``make`` writes an absent tree and returns its version."""

    def derive(folder: Path) -> None:
        tree = folder / "tree"
        version = make(tree)
        glibc = elf_info.highest_glibc(info for _, info in elf.scan_tree(tree))
        record = {"version": version, "glibc": glibc}
        (folder / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")

    return _load(cache.derive(KIND, key, derive, (RECORD,)), key, cache)


def minor_of(version: str) -> str:
    """Return "3.13" of "3.13.15"."""
    return ".".join(version.split(".")[:2])


def ask_version(python: Path, origin: str) -> str:
    """Return the version of an interpreter of this host's architecture, by running it."""
    question = (
        "import sys; print(sys.implementation.name, '.'.join(map(str, sys.version_info[:3])))"
    )
    try:
        answer = run.run([python, "-I", "-S", "-c", question]).stdout.split()
    except ToolError as error:
        raise RuntimeUnavailableError(
            f"the Python of {origin} does not run on this host: {error.message}",
            hint="it may need a newer glibc than this host has; --runtime source builds one here",
        ) from error
    if len(answer) != 2 or answer[0] != "cpython":  # noqa: PLR2004 - name and version
        raise RuntimeUnavailableError(f"the Python of {origin} is no CPython, but {answer}")
    return answer[1]


def find_host_python(minor: str) -> Path | None:
    """Return an interpreter of ``minor`` that this host already has."""
    if minor == ".".join(map(str, sys.version_info[:2])):
        return Path(sys.executable)
    found = shutil.which(f"python{minor}")
    return Path(found) if found else None


@functools.cache
def _recipe() -> list[str]:
    pruned = [pattern for rule in prepare.cpython_rules() for pattern in rule.match]
    return [*(hash_file(path) for path in _RECIPE), key_of(pruned)]


def _load(folder: Path, key: str, cache: Cache) -> PreparedRuntime:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return PreparedRuntime(
        key=key,
        tree=cache.derived(KIND, key) / "tree",  # there once the whole runtime was found
        version=record["version"],
        glibc=record["glibc"],
    )
