"""Dumps of a service's database by pg_dump, and how one of them is put back.

A dump is put back in one transaction, which also takes away what the database has now:
whatever fails in between, a kill included, leaves all as it was. That asks for no right
to make databases, so it works on a server of somebody else's, too.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.programs import run_program
from backendai_ctl.seed.marks import SCHEMA
from backendai_ctl.seed.session import Filled

_SUFFIX = ".dump"
_PARTIAL = ".partial"
_ASK_SECONDS = 10.0
_LOCK_TIMEOUT = "60s"
# A dump has no indexes and is compressed: measured at a tenth to a third of the database.
_SHARE = 2
_SPARE_BYTES = 64 * 1024 * 1024
_MB = 1024 * 1024
_TAIL_LINES = 4
_STATEMENT = "Query was:"
_NEWER_SETTING = "1,40{/^SET transaction_timeout = 0;$/d}"
_PREAMBLE = f"""
SET lock_timeout = '{_LOCK_TIMEOUT}';
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT format('DROP %s IF EXISTS %s CASCADE',
                      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                     WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                      c.oid::regclass) AS statement
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid
                            AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i')))
        UNION ALL
        SELECT format('DROP TYPE IF EXISTS %s CASCADE', t.oid::regtype)
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE n.nspname = 'public' AND t.typtype IN ('e', 'd')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
        UNION ALL
        SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure)
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = 'public'
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE one.statement;
    END LOOP;
END
$$;
"""
# An extension is the server's or stays; only its owner may comment on it.
_NOT_OURS = re.compile(r"COMMENT - EXTENSION|SCHEMA - public|COMMENT - SCHEMA public")


@dataclass(frozen=True, kw_only=True)
class Dumper:
    """Dumps into one folder, which root alone can read."""

    folder: Path
    keep: int
    seconds: float
    max_bytes: int = 0  # that the dumps of one database may take; 0 is no bound

    def check(self, one: Filled) -> None:
        """Raise HostError where a dump cannot be made: no pg_dump, an older one, no space."""
        server = int(one.database.value("SELECT current_setting('server_version_num')")) // 10000
        client = client_version()
        if client < server:
            raise HostError(
                f"pg_dump {client} cannot dump {one.target}, which is PostgreSQL {server}",
                hint=f"install the client of PostgreSQL {server} or newer",
            )
        size = int(one.database.value("SELECT pg_database_size(current_database())"))
        needed = size // _SHARE + _SPARE_BYTES
        free = free_bytes(self.folder)
        if free < needed:
            raise HostError(
                f"{self.folder}: {free // _MB} MB are free, and a dump of {one.target}"
                f" may need {needed // _MB} MB",
                hint="make room, or name another folder in site.toml: [backup] folder",
            )

    def make(self, one: Filled, path: Path | None = None, *, before: bool = False) -> Path:
        """Dump the database; the oldest go afterwards where there are too many, or too much.

        With ``before`` its name says that the installed release is yet to migrate it.

        The file has its name only once it is whole. Raises HostError or NotReadyError.
        """
        self.check(one)
        private_writer().ensure_folder(self.folder, mode=0o700)
        for left in self.folder.glob(f"{one.data.service}-*{_PARTIAL}"):
            left.unlink()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        release = f"before-{one.version}" if before else one.version
        final = path or self.folder / f"{one.data.service}-{stamp}-{release}{_SUFFIX}"
        partial = final.with_name(f"{final.name}{_PARTIAL}")
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            command = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges"]
            command += [f"--file={partial}", f"--lock-wait-timeout={_LOCK_TIMEOUT}"]
            self._client(command, one)
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            partial.rename(final)
        finally:
            partial.unlink(missing_ok=True)
        if path is None:
            self._prune(one)
        return final

    def restore(self, one: Filled, dump: Path) -> None:
        """Put ``dump`` in the place of everything that the database has; all or nothing.

        Raises HostError or NotReadyError, and then nothing is changed.
        """
        listed = run_program(["pg_restore", "--list", str(dump)], seconds=self.seconds)
        if listed.status:
            raise HostError(f"{dump}: is no dump of a database: {_last(listed.stderr)}")
        private_writer().ensure_folder(self.folder, mode=0o700)
        wanted = self.folder / f".{one.data.service}.list"
        script = self.folder / f".{one.data.service}.sql"
        entries = [line for line in listed.stdout.splitlines() if not _NOT_OURS.search(line)]
        try:
            private_writer().replace(wanted, "\n".join(entries) + "\n")
            private_writer().replace(script, "")
            command = ["pg_restore", "--no-owner", "--no-privileges", f"--use-list={wanted}"]
            done = run_program([*command, f"--file={script}", str(dump)], seconds=self.seconds)
            if done.status:
                raise HostError(f"{dump}: cannot be read: {_last(done.stderr)}")
            # pg_restore 17 sets what older servers do not know; its settings come first.
            run_program(["sed", "-i", _NEWER_SETTING, str(script)], seconds=self.seconds)
            command = ["psql", "--no-psqlrc", "--quiet", "--single-transaction", "--no-password"]
            command += ["--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]
            self._client([*command, f"--file={script}"], one, stdin=_PREAMBLE)
        finally:
            wanted.unlink(missing_ok=True)
            script.unlink(missing_ok=True)

    def kept(self, service: str = "*") -> list[Path]:
        """The dumps that are kept, the oldest first."""
        return sorted(self.folder.glob(f"{service}-[0-9]*T*{_SUFFIX}"), key=lambda path: path.name)

    def _prune(self, one: Filled) -> None:
        for path in surplus(self.kept(one.data.service), self.keep, self.max_bytes):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _client(self, command: list[str], one: Filled, stdin: str = "") -> None:
        done = run_program(command, seconds=self.seconds, stdin=stdin, env=variables(one))
        if done.status:
            raise NotReadyError(f"{one.target}: {command[0]}: {_last(done.stderr)}")


def surplus(dumps: Sequence[Path], keep: int, max_bytes: int) -> list[Path]:
    """Which of these, the oldest first, are to go; never the newest."""
    kept: list[Path] = []
    total = 0
    for path in reversed(dumps):
        total += path.stat().st_size
        if kept and (len(kept) >= keep or (max_bytes and total > max_bytes)):
            break
        kept.append(path)
    return [path for path in dumps if path not in kept]


def variables(one: Filled) -> Mapping[str, str]:
    """How PostgreSQL's own programs reach the database as its role."""
    target = one.target
    return {
        **os.environ,
        "PGHOST": target.address.host,
        "PGPORT": str(target.address.port),
        "PGDATABASE": target.name,
        "PGUSER": target.user,
        "PGPASSWORD": target.password,  # root alone reads the environment of root's processes
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "backendai-ctl",
        "LC_ALL": "C.UTF-8",
    }


def client_version() -> int:
    """The major version of the installed pg_dump; HostError where there is none."""
    if shutil.which("pg_dump") is None:
        raise HostError(
            "pg_dump is not on this host, so the database cannot be dumped",
            hint="install postgresql-client (deb) or postgresql (rpm);"
            " or, to go without dumps, site.toml: [backup] keep = 0",
        )
    printed = run_program(["pg_dump", "--version"], seconds=_ASK_SECONDS).stdout
    found = re.search(r"\d+", printed)
    if found is None:
        raise HostError(f"pg_dump --version says: {printed.strip()}")
    return int(found[0])


def free_bytes(folder: Path) -> int:
    """What may still be written below ``folder``, or below the nearest that is there."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _last(text: str) -> str:
    """The end of what a program said, without the statement, which names every table."""
    lines = [line for line in text.strip().splitlines() if _STATEMENT not in line]
    return "; ".join(lines[-_TAIL_LINES:]) or "no reason was given"
