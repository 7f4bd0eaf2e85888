"""GnuPG as this project calls it: a home, its keys, and the verdict on a signature."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.base.errors import RepoError, ToolError
from builder.base.run import find_tool, run
from builder.base.scratch import scratch_folder, sweep
from builder.repo.gpg_output import Key, Verdict, parse_keys, parse_verdicts

# A passphrase comes by descriptor 0, so that the user's agent does not prompt.
LOOPBACK = ("--pinentry-mode", "loopback", "--passphrase-fd", "0")
_HOME_PREFIX = "builder-gpg-"
_SWEEP_AGE_S = 60
_SOCKET_BYTES = 108
_LONGEST_SOCKET = "S.gpg-agent.browser"
_GPG_HINT = "run: apt-get install gpg gpg-agent, or dnf install gnupg2"


@contextmanager
def private_home() -> Iterator[Path]:
    """Yield a private GNUPGHOME, removed at the end together with its agent.

    It is locked as long as this process lives. The home that a killed process left, keys
    included, is removed by the next process.
    """
    folder = _home_folder()
    sweep(folder, prefix=_HOME_PREFIX, min_age_s=_SWEEP_AGE_S, remove=_remove)
    with scratch_folder(folder, prefix=_HOME_PREFIX, remove=_remove) as home:
        yield home


def _home_folder() -> Path:
    """Return a folder short enough for the path of an agent's socket: 108 bytes (unix(7)).

    That is TMPDIR if it is short enough, or else another folder that is. It is not below
    the repository, whose place the user chooses.
    """
    places = [tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/var/tmp"]
    for place in filter(None, places):
        socket = f"{place}/{_HOME_PREFIX}12345678/{_LONGEST_SOCKET}"
        fits = len(os.fsencode(socket)) < _SOCKET_BYTES
        if fits and Path(place).is_dir() and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    raise RepoError(
        f"{places[0]} is too deep for the socket of gpg-agent, and no other folder can be written",
        hint="point TMPDIR at a folder with a short path",
    )


def _remove(home: Path) -> None:
    gpgconf = shutil.which("gpgconf")
    try:
        if gpgconf:
            run([gpgconf, "--homedir", home, "--kill", "all"], check=False)
    except ToolError:  # after an interrupt no program starts; the agent sees its home go
        pass
    finally:
        shutil.rmtree(home, ignore_errors=True)


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
        """Return the keys of this home that can sign."""
        listing = self.call(["--with-colons", "--list-secret-keys" if secret else "--list-keys"])
        return list(parse_keys(listing))

    def export(self, fingerprints: Sequence[str], target: Path, *, armor: bool) -> bytes:
        """Export the public keys with these fingerprints, without signatures by others."""
        form = ["--armor"] if armor else []
        options = ["--export-options", "export-minimal", "--yes", "--output", str(target)]
        self.call([*form, *options, "--export", *fingerprints])
        return target.read_bytes()

    def verify(self, signed: Path, data: Path | None = None) -> list[Verdict]:
        """Return the verdict on each signature in ``signed``, by the keys of this home.

        ``data`` is the file that a detached signature covers.
        """
        files = [signed] if data is None else [signed, data]
        status = self.call(["--status-fd", "1", "--verify", *files], check=False)
        return list(parse_verdicts(status))

    def content(self, signed: Path, target: Path) -> bytes:
        """Return the content of a clear-signed file, written to ``target``; empty if unsigned."""
        target.unlink(missing_ok=True)
        self.call(["--yes", "--output", target, "--decrypt", signed], check=False)
        return target.read_bytes() if target.is_file() else b""
