"""GnuPG as this project calls it: a home, its keys, and the verdict on a signature."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from builder.base.errors import RepoError, ToolError
from builder.base.run import find_tool, run

# A passphrase comes by descriptor 0, so that the user's agent does not prompt.
LOOPBACK = ("--pinentry-mode", "loopback", "--passphrase-fd", "0")
_HOME_PREFIX = "builder-gpg-"
_SWEEP_AGE_S = 60
_MINIMAL_RSA = 2048
_RSA = ("1", "2", "3")
_DSA = "17"
_HASH_FIELD = 6  # of VALIDSIG, the fingerprint not counted
_WEAK_HASHES = ("1", "2", "3")  # MD5, SHA-1, RIPEMD-160, as OpenPGP numbers them
_GPG_HINT = "run: apt-get install gpg gpg-agent, or dnf install gnupg2"


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key that can sign: a primary key, with what its subkeys add."""

    fingerprint: str  # of the primary key
    subkeys: Mapping[str, datetime | None]  # their fingerprints, and until when they sign
    user: str
    created: datetime
    expires: datetime | None  # the day from which it cannot sign any more
    revoked: bool
    problem: str | None  # why its signatures are not valid

    def is_called(self, fingerprint: str) -> bool:
        """Whether it or one of its subkeys has this fingerprint."""
        return fingerprint == self.fingerprint or fingerprint in self.subkeys

    def expires_as(self, fingerprint: str) -> datetime | None:
        """From when there is no signature by the key that is called so."""
        return self.subkeys.get(fingerprint, self.expires)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one signature."""

    key: str  # the primary key's fingerprint where it is known, else a key id
    problem: str | None  # None: it is good


@contextmanager
def private_home() -> Iterator[Path]:
    """A private GNUPGHOME, removed at the end together with its agent.

    It is locked as long as this process lives: what a killed one left, with the keys in
    it, is removed by the next.
    """
    # Not below the repository: an agent's socket has room for 108 characters.
    _sweep(Path(tempfile.gettempdir()))
    home = Path(tempfile.mkdtemp(prefix=_HOME_PREFIX))
    lock = os.open(home, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home
    finally:
        _remove(home)
        os.close(lock)


def _remove(home: Path) -> None:
    gpgconf = shutil.which("gpgconf")
    try:
        if gpgconf:
            run([gpgconf, "--homedir", home, "--kill", "all"], check=False)
    except ToolError:  # after an interrupt nothing is started; the agent sees its home go
        pass
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove the homes that no living process of this user holds."""
    oldest = time.time() - _SWEEP_AGE_S  # one that is being made is not locked yet
    for home in folder.glob(f"{_HOME_PREFIX}*/"):
        try:
            status = home.lstat()
            if status.st_uid != os.getuid() or status.st_ctime > oldest:
                continue
            lock = os.open(home, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # its owner has just removed it, or it is no folder
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(home)
        except BlockingIOError:  # in use
            pass
        finally:
            os.close(lock)


class Gpg:
    """gpg with one home; ``None`` is the user's own."""

    def __init__(self, home: Path | None) -> None:
        self.home = home
        self._program = find_tool("gpg", variable="BUILDER_GPG", hint=_GPG_HINT)
        own = os.environ.get("GNUPGHOME")
        self._environment = {"GNUPGHOME": str(home)} if home else {"GNUPGHOME": own} if own else {}

    def call(
        self, arguments: Sequence[str | Path], *, stdin: str | None = None, check: bool = True
    ) -> str:
        """Run gpg without questions; returns its standard output."""
        command = [self._program, "--batch", "--no-tty", "--quiet", *arguments]
        return run(command, env=self._environment, stdin=stdin, check=check).stdout

    def import_keys(self, armored: str, *, passphrase: str | None = None) -> None:
        """Import keys, public or secret, in armored form."""
        assert self.home is not None, "never into the user's own home"
        path = self.home / "import.asc"
        path.touch(mode=0o600)
        path.write_text(armored, encoding="utf-8")
        try:
            unlock = LOOPBACK if passphrase is not None else ()
            self.call([*unlock, "--import", path], stdin=passphrase)
        except ToolError as error:
            raise RepoError(
                f"gpg cannot import a key from what was given:\n{error.message}",
                hint="give what 'gpg --export-secret-keys --armor FINGERPRINT' wrote",
            ) from error
        finally:
            path.unlink()

    def list_keys(self, *, secret: bool = False) -> list[Key]:
        """The keys of this home that can sign."""
        listing = self.call(["--with-colons", "--list-secret-keys" if secret else "--list-keys"])
        return list(parse_keys(listing))

    def export(self, fingerprints: Sequence[str], target: Path, *, armor: bool) -> bytes:
        """The public keys with these fingerprints, minimal: no signatures of others."""
        form = ["--armor"] if armor else []
        options = ["--export-options", "export-minimal", "--yes", "--output", str(target)]
        self.call([*form, *options, "--export", *fingerprints])
        return target.read_bytes()

    def verify(self, signed: Path, data: Path | None = None) -> list[Verdict]:
        """The verdict on each signature in ``signed``, by the keys of this home.

        ``data`` is what a detached signature is of.
        """
        files = [signed] if data is None else [signed, data]
        status = self.call(["--status-fd", "1", "--verify", *files], check=False)
        return list(parse_verdicts(status))

    def content(self, signed: Path, target: Path) -> bytes:
        """What a clear-signed file says, written to ``target``; empty where it is none."""
        target.unlink(missing_ok=True)
        self.call(["--yes", "--output", target, "--decrypt", signed], check=False)
        return target.read_bytes() if target.is_file() else b""


def parse_verdicts(status: str) -> Iterator[Verdict]:
    """The signatures in what gpg wrote to its status descriptor. Pure."""
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
                yield Verdict(key=key, problem="is by a key that the repository does not use")
            case ["VALIDSIG", own, *rest] if good:
                weak = len(rest) > _HASH_FIELD and rest[_HASH_FIELD] in _WEAK_HASHES
                problem = "uses a hash that apt and rpm refuse" if weak else None
                yield Verdict(key=rest[-1] if rest else own, problem=problem)


def parse_keys(listing: str) -> Iterator[Key]:
    """The keys in gpg's listing with colons that can sign. Pure."""
    block: list[list[str]] = []
    for line in [*listing.splitlines(), "pub:"]:
        fields = line.split(":")
        if fields[0] in ("pub", "sec"):
            if block:
                yield from _parse_key(block)
            block = []
        block.append(fields)


def _parse_key(block: list[list[str]]) -> Iterator[Key]:
    """One key: its lines, and the fingerprint that follows each pub, sec, sub and ssb."""
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
    # The last to expire counts: gpg signs with the newest one that can.
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
