"""One publisher at a time: refuses a target that another publisher is writing to.

A publisher writes a claim into the target before anything else, and removes it at the end.
Where a store has conditional writes there is one place for a claim, and the second write
fails. Elsewhere each claim has a name of its own: a publisher that finds another claim beside
its own withdraws. Of two that begin at the same moment, at least one withdraws, because each
writes its claim before it reads the others.

A killed publisher leaves its claim. The next one of the same repository recognizes that claim
by a note, and removes it: the repository's own lock proves that the other is dead.
"""

import getpass
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Protocol

from builder.base import log
from builder.base.errors import BuilderError, RepoError
from builder.base.parse import TextError, parse_json
from builder.base.storage import storage_guard

CLAIMS = PurePosixPath(".publishing")
_LONGEST = 200  # of another publisher's text in a message


class ClaimedPlace(Protocol):
    """A place that keeps claims."""

    def claims(self) -> Mapping[str, bytes]:
        """Return every claim, by its name."""
        ...

    def claim(self, name: str, data: bytes) -> str | None:
        """Write a claim; returns its name, or None if another claim prevents it."""
        ...

    def unclaim(self, names: Iterable[str]) -> None:
        """Remove claims; an absent claim is no error."""
        ...


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A publisher, and the time when it began."""

    owner: str
    since: str
    nonce: str

    @property
    def data(self) -> bytes:
        """The claim as it is written."""
        return (json.dumps(asdict(self)) + "\n").encode()


@contextmanager
def publishing_alone(
    place: ClaimedPlace, target: str, note: Path, *, break_claims: bool = False
) -> Iterator[None]:
    """Hold the claim on a target; raises RepoError if another publisher has it.

    ``note`` is the file in which this repository, which must be locked, keeps its own claim.
    ``break_claims`` removes the claims of publishers that were killed.
    """
    if break_claims:
        _remove_claims(place, target, lambda _data: True)
    elif note.is_file():
        left = note.read_bytes()
        _remove_claims(place, target, lambda data: data == left)
    mine = _new_claim()
    with storage_guard(note):
        note.write_bytes(mine.data)
    name = place.claim(mine.nonce, mine.data)
    try:
        others = [data for data in place.claims().values() if data != mine.data]
        if others or name is None:
            raise _refusal(target, others)
        yield
    finally:
        if name is None or _withdraw(place, target, name, mine):
            note.unlink(missing_ok=True)


def _new_claim() -> Claim:
    now = datetime.now(UTC).replace(microsecond=0)
    return Claim(
        owner=f"{_user()}@{socket.gethostname()} (process {os.getpid()})",
        since=f"{now:%Y-%m-%d %H:%M:%S} UTC",
        nonce=secrets.token_hex(8),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container with a uid that has no name
        return f"uid {os.getuid()}"


def _withdraw(place: ClaimedPlace, target: str, name: str, mine: Claim) -> bool:
    try:
        # Where claims share one place, another's may be there by now, if this claim was broken.
        if place.claims().get(name) == mine.data:
            place.unclaim([name])
    except BuilderError as error:  # an earlier error, if any, is reported instead
        log.warn(f"cannot remove the lock of {target}: {error.message}")
        return False
    return True


def _remove_claims(place: ClaimedPlace, target: str, chosen: Callable[[bytes], bool]) -> None:
    present = {name: data for name, data in place.claims().items() if chosen(data)}
    for data in present.values():
        log.warn(f"{target}: removing the lock of {describe_claim(data)}")
    if present:
        place.unclaim(present)


def _refusal(target: str, others: Iterable[bytes]) -> RepoError:
    listed = ", ".join(map(describe_claim, others)) or "a publisher that has just ended"
    return RepoError(
        f"another publisher is writing to {target}: {listed}",
        hint="publish again when it has ended; if it was killed, "
        f"run 'builder repo publish --target {target} --break-lock'",
    )


def describe_claim(data: bytes) -> str:
    """Describe the writer and the time of a claim, as far as it can be read. Pure."""
    try:
        table = parse_json(data)
    except TextError:
        table = None
    if not isinstance(table, dict) or not {"owner", "since"} <= set(table):
        return "somebody (the lock cannot be read)"
    return f"{_shown(table['owner'])} since {_shown(table['since'])}"


def _shown(value: object) -> str:
    text = str(value)[:_LONGEST]
    return "".join(char if char.isprintable() else "?" for char in text)
