"""Splits an environment with many wheels into one tree for each, by RECORD."""

import csv
import io
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.base.errors import PayloadError
from builder.wheels.model import WheelFile

# Files in which uv records how it was called; none of them is true on the target.
INSTALL_TIME_FILES = frozenset({"REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
PREFIX_MARK = "@PREFIX@"
# A path too long for the kernel's shebang makes uv write a shell trampoline.
_TRAMPOLINE = re.compile(rb"^#!/bin/sh\n'''exec' '?[^\n]*?' \"\$0\" \"\$@\"\n' '''\n")


@dataclass(frozen=True, kw_only=True)
class Split:
    wheel: WheelFile
    tree: Path
    record: str
    scripts: list[str]


class Splitter:
    """Moves each wheel's files out of a scratch environment, by RECORD."""

    def __init__(self, *, scratch: Path, minor: str) -> None:
        self._scratch = scratch
        self._site = Path("lib") / f"python{minor}" / "site-packages"
        self._tag = f"cpython-{minor.replace('.', '')}"
        self._moved: dict[str, tuple[str, str]] = {}  # path to its hash and new place
        self._folders: set[str] = set()  # made already
        self._records = {
            _plain(path.name.split("-")[0]): path
            for path in (scratch / self._site).glob("*.dist-info")
        }

    def split(self, wheel: WheelFile, tree: Path) -> Split:
        info = self._records.get(_plain(wheel.name))
        if info is None:
            raise PayloadError(f"{wheel.file}: installed without a dist-info folder")
        rows = list(csv.reader(io.StringIO((info / "RECORD").read_text(encoding="utf-8"))))
        kept = [row for row in rows if not _is_of_install_time(row[0], info.name)]
        scripts = []
        for name, digest, _ in kept:
            path = self._below_prefix(name, wheel)
            moved = self._move(path, digest, tree, wheel)
            if path.startswith("bin/") and self._mark_prefix(moved):
                scripts.append(path)
        record = (self._site / info.name / "RECORD").as_posix()
        (tree / record).write_text(_csv(kept), encoding="utf-8")
        return Split(wheel=wheel, tree=tree, record=record, scripts=scripts)

    def _below_prefix(self, name: str, wheel: WheelFile) -> str:
        path = os.path.normpath(self._site / name)
        if path.startswith(("..", "/")):
            raise PayloadError(f"{wheel.file}: installs {name}, which is outside of the prefix")
        return path

    def _move(self, path: str, digest: str, tree: Path, wheel: WheelFile) -> Path:
        # Plain strings from here on: a release has 20,000 files.
        target = f"{tree}/{path}"
        earlier = self._moved.get(path)
        if earlier is None:
            self._moved[path] = (digest, target)
            self._place(f"{self._scratch}/{path}", target, os.replace)
        elif earlier[0] == digest:
            self._place(earlier[1], target, shutil.copy)
        else:
            raise PayloadError(
                f"{wheel.file}: installs {path}, which another wheel has with different content",
                hint="two distributions of the lock cannot live together",
            )
        return Path(target)

    def _place(self, source: str, target: str, how: Callable[[str, str], object]) -> None:
        """Put a file at its place, and its bytecode beside it."""
        self._make_parent(target)
        how(source, target)
        if source.endswith(".py"):
            compiled, place = self._bytecode(source), self._bytecode(target)
            if os.path.isfile(compiled):  # noqa: PTH113
                self._make_parent(place)
                how(compiled, place)

    def _make_parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent not in self._folders:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103
            self._folders.add(parent)

    def _bytecode(self, source: str) -> str:
        folder, _, name = source.rpartition("/")
        return f"{folder}/__pycache__/{name.removesuffix('.py')}.{self._tag}.pyc"

    def _mark_prefix(self, script: Path) -> bool:
        """Replace the scratch prefix in a script's shebang by the mark."""
        data = script.read_bytes()
        marked = _TRAMPOLINE.sub(f"#!{PREFIX_MARK}/bin/python3\n".encode(), data)
        shebang = rf"^#!{re.escape(os.fspath(self._scratch))}/bin/python[0-9.]*".encode()
        marked = re.sub(shebang, f"#!{PREFIX_MARK}/bin/python3".encode(), marked)
        if marked == data:
            # Another wheel has the same script, which was marked there.
            return data.startswith(f"#!{PREFIX_MARK}".encode())
        script.write_bytes(marked)
        return True


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_of_install_time(name: str, info: str) -> bool:
    path = PurePosixPath(name)
    return path.parent.name == info and path.name in INSTALL_TIME_FILES


def _csv(rows: Sequence[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return text.getvalue()
