"""PostgreSQL's own programs, run as the account because none of their work needs root.

They receive open files, so that the folders of dumps stay root's alone.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.account import Owner, is_root
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.programs import Done, Files, run_on_files
from backendai_ctl.base.text import lines_of
from backendai_ctl.seed.session import SeededDatabase

LOCK_TIMEOUT = "60s"
_TAIL_LINES = 4
_STATEMENT = "Query was:"
_ENTRY = re.compile(r"^\d+; ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class PgPrograms:
    """pg_dump, pg_restore and psql, each for ``seconds`` at most."""

    seconds: float

    def dump(self, database: SeededDatabase, output: int) -> None:
        """Write a dump of the database to an open file; NotReadyError if that fails."""
        command = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges"]
        command += [f"--lock-wait-timeout={LOCK_TIMEOUT}"]
        self._ask(database, command, Files(stdout=output))

    def list_dump(self, dump: Path) -> str:
        """Return the entries of ``dump``, one a line; HostError if it is no dump or is empty."""
        with _reading(dump) as stream:
            done = self._run(["pg_restore", "--list"], Files(stdin=stream))
        if done.status:
            raise HostError(f"{dump}: is no dump of a database: {last_lines(done.stderr)}")
        if not _ENTRY.search(done.stdout):
            raise HostError(f"{dump}: is a dump of nothing")
        return done.stdout

    def write_script(self, dump: Path, entries: str, output: int) -> None:
        """Write the SQL of these entries of ``dump`` to an open file; HostError if it cannot."""
        listed = os.memfd_create("entries")
        try:
            os.write(listed, entries.encode())
            command = ["pg_restore", "--no-owner", "--no-privileges", "--file=-"]
            command += [f"--use-list=/proc/self/fd/{listed}"]
            with _reading(dump) as stream:
                done = self._run(command, Files(stdin=stream, stdout=output, others=(listed,)))
        finally:
            os.close(listed)
        if done.status:
            raise HostError(f"{dump}: cannot be read: {last_lines(done.stderr)}")

    def run_script(self, database: SeededDatabase, script: int) -> None:
        """Run an open script in one transaction; NotReadyError if the server refuses it."""
        command = ["psql", "--no-psqlrc", "--quiet", "--single-transaction", "--no-password"]
        command += ["--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]
        self._ask(database, command, Files(stdin=script))

    def _ask(self, database: SeededDatabase, command: list[str], files: Files) -> None:
        done = self._run(command, files, variables(database))
        if done.status:
            raise NotReadyError(f"{database.target}: {command[0]}: {last_lines(done.stderr)}")

    def _run(self, command: list[str], files: Files, env: Mapping[str, str] | None = None) -> Done:
        user = Owner.account() if is_root() else None
        return run_on_files(command, seconds=self.seconds, files=files, user=user, env=env)


@contextmanager
def _reading(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def variables(database: SeededDatabase) -> Mapping[str, str]:
    """Return the environment in which PostgreSQL's programs reach the database as its role."""
    target = database.target
    return {
        **os.environ,
        "PGHOST": ",".join(address.host for address in target.addresses),
        "PGPORT": ",".join(str(address.port) for address in target.addresses),
        # libpq before 14 has no word for the primary; a standby is never read-write.
        **({"PGTARGETSESSIONATTRS": "read-write"} if len(target.addresses) > 1 else {}),
        "PGDATABASE": target.name,
        "PGUSER": target.user,
        # The programs run as the account, whose configuration has the password, too.
        "PGPASSWORD": target.password,
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "backendai-ctl",
        "HOME": "/var/lib/backendai",
        "LC_ALL": "C.UTF-8",
    }


def last_lines(text: str) -> str:
    """Return the end of a program's output, without the statement, which names every table."""
    lines = [line for line in lines_of(text.strip()) if _STATEMENT not in line]
    return "; ".join(lines[-_TAIL_LINES:]) or "no reason was given"
