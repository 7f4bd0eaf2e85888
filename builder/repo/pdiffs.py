"""Patches of apt's Packages: a host that was up to date fetches what changed, not the list.

For each of the last states there is one patch, an ed script that leads to the present one at
once. No former list is kept: of each package's paragraph a short hash and its number of lines
are enough, since a patch deletes by line numbers. They lie in the repository's private state, in
a file for each list; without it, or when it is damaged, the history begins anew, and hosts fetch
the whole list once.
"""

import gzip
import hashlib
import itertools
import json
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import zstandard

from builder.base.parse import TextError, parse_json_object
from builder.base.storage import replacing
from builder.repo.joining import Compressor
from builder.repo.spool import Digests, Spool, digests_of

_FORMAT = "pdiffs 1"
_UNIT = struct.Struct(">8sI")  # a hash, and a number of lines
_NAMED = 16  # digits of a state's hash in the names of its patches
_INDEX = "Index"
_NAME = 8  # bytes of a paragraph's hash
_BLOCK = 64  # paragraphs, about


@dataclass(frozen=True, kw_only=True)
class _State:
    """A list as it was published: the hash and size of its text, and how long its units are."""

    sha256: str
    size: int
    length: int


def pack_unit(paragraph: bytes) -> bytes:
    """Return what is kept of a paragraph: a hash, and the number of its lines."""
    return _UNIT.pack(hashlib.sha256(paragraph).digest()[:_NAME], paragraph.count(b"\n"))


class Pdiffs:
    """The histories of a repository's lists; ``kept`` is the number of states with a patch."""

    def __init__(self, folder: Path, kept: int) -> None:
        self._folder = folder
        self._kept = kept

    def write(
        self,
        packages: PurePosixPath,
        units: bytes,
        paragraph: Callable[[int], bytes],
        spool: Spool,
    ) -> list[PurePosixPath]:
        """Write the patches that lead to a list in the spool; returns the index of them.

        ``paragraph`` returns a paragraph of the list by its number.
        """
        present = spool.files[packages]
        state = _State(sha256=present.sha256, size=present.size, length=len(units))
        before = [old for old in self._states(packages) if old.sha256 != state.sha256]
        history = before[-self._kept :]
        folder = packages.with_name(f"{packages.name}.diff")
        rows = []

        def kept() -> Iterator[bytes]:
            """Yield the units of each state to be kept, one at a time, once it has its patch."""
            for old, former in self._read(packages, history):
                patch = make_patch(former, units, paragraph)
                if patch is not None:
                    name = f"T-{state.sha256[:_NAMED]}-F-{old.sha256[:_NAMED]}"
                    packed = gzip.compress(patch, mtime=0)
                    spool.write(folder / f"{name}.gz", packed)
                    rows.append((name, old, digests_of(patch), digests_of(packed)))
                yield former
            yield units

        self._save(packages, [*history, state], kept())
        if not rows:
            return []
        spool.write(folder / _INDEX, _render_index(present, rows))
        return [folder / _INDEX]

    def _place(self, packages: PurePosixPath) -> Path:
        return self._folder / hashlib.sha256(str(packages).encode()).hexdigest()[:32]

    def _states(self, packages: PurePosixPath) -> list[_State]:
        """Return the former states, the oldest first; none if the file is not whole."""
        try:
            with self._place(packages).open("rb") as file:
                head = parse_json_object(file.readline())
                whole = hashlib.file_digest(file, "sha256").hexdigest()
            if head["format"] != _FORMAT or head["sha256"] != whole:
                return []
            return [
                _State(sha256=name, size=n, length=length) for name, n, length in head["states"]
            ]
        except (OSError, TextError, KeyError):
            return []

    def _read(
        self, packages: PurePosixPath, wanted: Collection[_State]
    ) -> Iterator[tuple[_State, bytes]]:
        """Yield some of the states with their units, one at a time."""
        if not wanted:
            return
        states = self._states(packages)
        with self._place(packages).open("rb") as file:
            file.readline()
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            for state in states:
                units = reader.read(state.length)
                if state in wanted:
                    yield state, units

    def _save(
        self, packages: PurePosixPath, states: Iterable[_State], units: Iterable[bytes]
    ) -> None:
        kept = list(states)
        rows = [[state.sha256, state.size, state.length] for state in kept]
        compressor = zstandard.ZstdCompressor().compressobj(
            size=sum(state.length for state in kept)
        )
        digest = hashlib.sha256()
        with replacing(self._place(packages)) as part, part.open("wb") as file:
            # The head comes first, and its length is known before its hash.
            file.write(_head("0" * 64, rows))
            packed = itertools.chain(map(compressor.compress, units), _flushed(compressor))
            for data in packed:
                digest.update(data)
                file.write(data)
            file.seek(0)
            file.write(_head(digest.hexdigest(), rows))


def _flushed(compressor: Compressor) -> Iterator[bytes]:
    yield compressor.flush()  # and not before the last was compressed


def _head(sha256: str, rows: list[list[object]]) -> bytes:
    return json.dumps({"format": _FORMAT, "sha256": sha256, "states": rows}).encode() + b"\n"


def make_patch(old: bytes, new: bytes, paragraph: Callable[[int], bytes]) -> bytes | None:
    """Return the ed script that makes the new list of the old one, as ``diff --ed`` would.

    The lists are packed units. None if paragraphs that both have are not in the same order. Pure.
    """
    steps = _steps(old, new)
    if steps is None:
        return None
    # From the end, so that no step moves the lines of another.
    return b"".join(_command(step, paragraph) for step in reversed(steps))


@dataclass(frozen=True, kw_only=True)
class _Step:
    """Lines of the old list that go, and paragraphs of the new one that come in their place."""

    line: int  # the first, from 1
    deleted: int
    added: range


def _names(units: bytes, others: bytes) -> set[bytes]:
    """Return the hashes of a list, without those of blocks that both lists have as they are.

    Such a block is named by its hash: the lists are long, and nearly the same.
    """
    same = {hash(block) for block in _blocks(others)}
    changed = (block for block in _blocks(units) if hash(block) not in same)
    return {name for block in changed for name, _ in _UNIT.iter_unpack(block)}


def _blocks(units: bytes) -> Iterator[bytes]:
    """Split a list where the hash of a paragraph says so, hence not where others move it."""
    begin = 0
    for at in range(0, len(units), _UNIT.size):
        if not units[at] % _BLOCK:
            yield units[begin:at]
            begin = at
    yield units[begin:]


def _steps(old: bytes, new: bytes) -> list[_Step] | None:
    steps = []
    # Only of what changed: a paragraph outside is in both.
    gone, come = _names(old, new), _names(new, old)
    gone, come = gone - come, come - gone
    size = _UNIT.size
    at_old = at_new = 0
    line = 1
    while at_old < len(old) or at_new < len(new):
        begin, deleted = at_new, 0
        while at_old < len(old) and old[at_old : at_old + _NAME] in gone:
            deleted += _lines(old, at_old)
            at_old += size
        while at_new < len(new) and new[at_new : at_new + _NAME] in come:
            at_new += size
        if deleted or at_new > begin:
            added = range(begin // size, at_new // size)
            steps.append(_Step(line=line, deleted=deleted, added=added))
            line += deleted
        elif old[at_old : at_old + size] == new[at_new : at_new + size]:
            line += _lines(old, at_old)
            at_old, at_new = at_old + size, at_new + size
        else:
            return None
    return steps


def _lines(units: bytes, at: int) -> int:
    return int.from_bytes(units[at + _NAME : at + _UNIT.size], "big")


def _command(step: _Step, paragraph: Callable[[int], bytes]) -> bytes:
    last = step.line + step.deleted - 1
    lines = f"{step.line},{last}" if step.deleted > 1 else f"{step.line}"
    if not step.added:
        return f"{lines}d\n".encode()
    word = f"{lines}c" if step.deleted else f"{step.line - 1}a"
    text = b"".join(map(paragraph, step.added))
    return f"{word}\n".encode() + text + b".\n"


def _render_index(present: Digests, rows: Sequence[tuple[str, _State, Digests, Digests]]) -> bytes:
    """Render the index that names a patch for each former state, the oldest first."""
    lines = [f"SHA256-Current: {present.sha256} {present.size}", "SHA256-History:"]
    lines += [f" {old.sha256} {old.size} {name}" for name, old, _, _ in rows]
    lines += ["SHA256-Patches:", *(f" {p.sha256} {p.size} {name}" for name, _, p, _ in rows)]
    lines += ["SHA256-Download:", *(f" {p.sha256} {p.size} {name}.gz" for name, _, _, p in rows)]
    lines.append("X-Patch-Precedence: merged")
    return "".join(f"{line}\n" for line in lines).encode()
