"""Reads what gpg prints: keys, and verdicts on signatures. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_MINIMAL_RSA = 2048
_RSA = ("1", "2", "3")
_DSA = "17"
_HASH_FIELD = 6  # of VALIDSIG, the fingerprint not counted
_WEAK_HASHES = ("1", "2", "3")  # MD5, SHA-1, RIPEMD-160, as OpenPGP numbers them


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key that can sign: a primary key with its subkeys."""

    fingerprint: str  # of the primary key
    subkeys: Mapping[str, datetime | None]  # their fingerprints, and until when they sign
    user: str
    created: datetime
    expires: datetime | None  # the day from which it cannot sign any more
    revoked: bool
    problem: str | None  # why its signatures are not valid

    def is_called(self, fingerprint: str) -> bool:
        """Return whether the key or one of its subkeys has this fingerprint."""
        return fingerprint == self.fingerprint or fingerprint in self.subkeys

    def expires_as(self, fingerprint: str) -> datetime | None:
        """Return the time from which the key with this fingerprint cannot sign."""
        return self.subkeys.get(fingerprint, self.expires)


UNKNOWN_KEY = "is by a key that the repository does not use"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one signature."""

    key: str  # the primary key's fingerprint if it is known, else a key id
    problem: str | None  # None: it is good


def parse_verdicts(status: str) -> Iterator[Verdict]:
    """Parse the signatures that gpg reported on its status descriptor. Pure."""
    good = False
    for line in status.splitlines():
        words = line.removeprefix("[GNUPG:] ").split()
        match words:
            case ["NEWSIG", *_]:
                good = False
            case ["GOODSIG", *_]:
                good = True
            case ["EXPSIG" | "EXPKEYSIG" | "REVKEYSIG" as word, key, *_]:
                expired = {
                    "EXPSIG": "has expired",
                    "EXPKEYSIG": "is by a key that has expired",
                    "REVKEYSIG": "is by a key that is revoked",
                }[word]
                yield Verdict(key=key, problem=expired)
            case ["BADSIG", key, *_]:
                yield Verdict(key=key, problem="does not fit what it signs")
            case ["ERRSIG", key, *_]:
                yield Verdict(key=key, problem=UNKNOWN_KEY)
            case ["VALIDSIG", own, *rest] if good:
                weak = len(rest) > _HASH_FIELD and rest[_HASH_FIELD] in _WEAK_HASHES
                problem = "uses a hash that apt and rpm refuse" if weak else None
                yield Verdict(key=rest[-1] if rest else own, problem=problem)


def parse_keys(listing: str) -> Iterator[Key]:
    """Parse the keys that can sign out of gpg's listing with colons. Pure."""
    block: list[list[str]] = []
    for line in [*listing.splitlines(), "pub:"]:
        fields = line.split(":")
        if fields[0] in ("pub", "sec"):
            if block:
                yield from _parse_key(block)
            block = []
        block.append(fields)


def _parse_key(block: list[list[str]]) -> Iterator[Key]:
    """Parse one key: its lines, and the fingerprint that follows each pub, sec, sub and ssb."""
    prints: list[tuple[list[str], str]] = []
    users = [fields[9] for fields in block if fields[0] == "uid"]
    for fields in block:
        if fields[0] in ("pub", "sec", "sub", "ssb"):
            prints.append((fields, ""))
        elif fields[0] == "fpr" and prints and not prints[-1][1]:
            prints[-1] = (prints[-1][0], fields[9])
    if not prints or not prints[0][1]:
        return
    primary, fingerprint = prints[0]
    signing = [row for row in prints if "s" in row[0][11]]
    usable = [row for row in signing if row[0][1] not in ("r", "e", "n")]
    # The latest expiry counts: gpg signs with the newest key that can.
    ends = [_time(row[0][6]) for row in (usable or signing)]
    end = None if None in ends else max((end for end in ends if end), default=None)
    own_end = _time(primary[6])
    yield Key(
        fingerprint=fingerprint,
        subkeys={row[1]: _earlier(_time(row[0][6]), own_end) for row in prints[1:]},
        user=users[0] if users else "",
        created=_time(primary[5]) or datetime.fromtimestamp(0, UTC),
        expires=_earlier(end, own_end),
        revoked=primary[1] == "r",
        problem=_problem(signing),
    )


def _problem(signing: Sequence[tuple[list[str], str]]) -> str | None:
    if not signing:
        return "none of its keys can sign"
    weak = [f for f, _ in signing if f[3] in _RSA and int(f[2] or 0) < _MINIMAL_RSA]
    if len(weak) == len(signing):
        return f"RSA of {weak[0][2]} bits is too weak: apt and rpm refuse it"
    if all(f[3] == _DSA for f, _ in signing):
        return "DSA is too weak: apt refuses it"
    return None


def _earlier(*times: datetime | None) -> datetime | None:
    return min((moment for moment in times if moment), default=None)


def _time(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if text.isdigit() and text != "0" else None
