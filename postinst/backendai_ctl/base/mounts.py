"""The mounts of this host, and bounded questions to file systems whose server may be gone."""

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import decode, encode, fields_of, lines_if_any, unescaped

# A dead server of NFS never answers, and neither does a process that waits for it.
ANSWER_SECONDS = 5.0
NO_FOLDER = "no such folder"
_POLL_SECONDS = 0.001
_REPLY_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A mount as the kernel lists it."""

    at: str
    kind: str
    options: frozenset[str] = frozenset()


def list_mounts(layout: Layout) -> list[Mount]:
    """Return the mounts of the host, in their order.

    A process of a unit may have others, as each folder that the unit is shown. Without systemd
    this may be the inside of an image, where the first process is the build host's.
    """
    found = []
    first = "1" if (layout.root / "run/systemd/system").is_dir() else "self"
    for line in lines_if_any(layout.root / f"proc/{first}/mountinfo"):
        before, dash, after = line.partition(" - ")
        fields, kinds = fields_of(before), fields_of(after)
        if dash and len(fields) > 5 and kinds:  # noqa: PLR2004
            options = frozenset(fields[5].split(","))
            found.append(Mount(at=unescaped(fields[4]), kind=kinds[0], options=options))
    return found


def planned_mounts(layout: Layout) -> set[str]:
    """Return the mount points that /etc/fstab lists, without / and swap."""
    found: set[str] = set()
    for line in lines_if_any(layout.root / "etc/fstab"):
        fields = fields_of(line)
        if len(fields) < 2 or fields[0].startswith("#"):  # noqa: PLR2004
            continue
        if fields[1] not in ("/", "none", "swap"):
            found.add(unescaped(fields[1]).rstrip("/"))
    return found


def mount_of(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the innermost mount that has ``path``; of several at one place, the last."""
    above = [mount for mount in mounts if is_below(path, mount.at)]
    return max(reversed(above), key=lambda mount: len(mount.at), default=None)


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies in it."""
    return PurePosixPath(path).is_relative_to(folder)


def ask_in_time(question: Callable[[], str], *, seconds: float = ANSWER_SECONDS) -> str | None:
    """Return what ``question`` returns in a process of its own; None if it takes too long.

    An OSError is returned in words. A process that a dead file system keeps is left behind.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(question, writer)
    os.close(writer)
    try:
        return _await(child, reader, time.monotonic() + seconds)
    finally:
        os.close(reader)


def folder_problem(path: Path, *, seconds: float = ANSWER_SECONDS) -> str:
    """Return why ``path`` is no folder that answers; empty if it is one."""

    def look() -> str:
        return "" if path.is_dir() else NO_FOLDER

    said = ask_in_time(look, seconds=seconds)
    return f"does not answer within {seconds:.0f} s" if said is None else said


def _answer(question: Callable[[], str], writer: int) -> None:
    """Write the answer, and end the child without what the parent does at its end."""
    try:
        said = question()
    except OSError as error:
        said = (error.strerror or str(error)).lower()
    except BaseException as error:  # the child must not go on as its parent
        said = f"failed: {error!r}"
    os.write(writer, encode(said)[:_REPLY_BYTES])
    os._exit(0)


def _await(child: int, reader: int, end: float) -> str | None:
    answers = select.poll()
    answers.register(reader, select.POLLIN)  # and its end, which nobody has to ask for
    if answers.poll(max(0.0, end - time.monotonic()) * 1000):
        while not os.waitpid(child, os.WNOHANG)[0] and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)  # it has answered, and ends now
        return decode(os.read(reader, _REPLY_BYTES))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, os.WNOHANG)
    return None
