"""Dumps a service's database with pg_dump, and restores it from a dump.

A dump is restored in one transaction that also removes the present content of the database:
any failure, a kill included, leaves everything as it was. This needs no right to create
databases, so it also works on a server that somebody else runs.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.programs import run_program
from backendai_ctl.base.text import lines_of
from backendai_ctl.seed.marks import SCHEMA
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.upgrade.pgprograms import LOCK_TIMEOUT, PgPrograms

_SUFFIX = ".dump"
_PARTIAL = ".partial"
_ASK_SECONDS = 10.0
# A dump has no indexes and is compressed: a tenth to a third of the database, as measured.
_SHARE = 2
_SPARE_BYTES = 64 * 1024 * 1024
_MB = 1024 * 1024
# The settings come first in a script.
_HEAD_BYTES = 8192
_NEWER_SETTING = b"\nSET transaction_timeout = 0;\n"
# A name that exists already, a link included, is an error.
CREATE_PRIVATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_PREAMBLE = f"""
SET lock_timeout = '{LOCK_TIMEOUT}';
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
# An extension may be the server's; only its owner may comment on it.
_NOT_OURS = re.compile(r"COMMENT - EXTENSION|SCHEMA - public|COMMENT - SCHEMA public")


@dataclass(frozen=True, kw_only=True)
class Dumper:
    """Writes dumps to one folder, which root alone can read."""

    folder: Path
    keep: int
    seconds: float
    max_bytes: int = 0  # the limit for all dumps of one database; 0 is no limit

    def check(self, database: SeededDatabase) -> None:
        """Raise HostError if a dump cannot be made: pg_dump missing or too old, no space."""
        server = (
            int(database.connection.value("SELECT current_setting('server_version_num')")) // 10000
        )
        client = client_version()
        if client < server:
            raise HostError(
                f"pg_dump {client} cannot dump {database.target}, which is PostgreSQL {server}",
                hint=f"install the client of PostgreSQL {server} or newer",
            )
        size = int(database.connection.value("SELECT pg_database_size(current_database())"))
        needed = size // _SHARE + _SPARE_BYTES
        free = free_bytes(self.folder)
        if free < needed:
            raise HostError(
                f"{self.folder}: {free // _MB} MB are free, and a dump of {database.target}"
                f" may need {needed // _MB} MB",
                hint="make room, or name another folder in site.toml: [backup] folder",
            )

    def make(
        self, database: SeededDatabase, path: Path | None = None, *, before: bool = False
    ) -> Path:
        """Dump the database; then remove the oldest dumps if they are too many or too large.

        With ``before``, the name says that the installed release has yet to migrate it.

        The file gets its name only when it is complete. Raises HostError or NotReadyError.
        """
        self.check(database)
        private_writer().ensure_folder(self.folder, mode=0o700)
        sweep_partials(self.folder)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        release = f"before-{database.version}" if before else database.version
        final = path or self.folder / f"{database.data.service}-{stamp}-{release}{_SUFFIX}"
        partial = private_name(final)
        programs = PgPrograms(seconds=self.seconds)
        try:
            descriptor = os.open(partial, CREATE_PRIVATE, 0o600)
            try:
                programs.dump(database, descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            programs.list_dump(partial)
            partial.rename(final)
        except OSError as error:
            raise HostError(f"cannot write {final}: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)
        if path is None:
            self._prune(database)
        return final

    def restore(self, database: SeededDatabase, dump: Path) -> None:
        """Replace the whole content of the database by ``dump``, or change nothing.

        Raises HostError or NotReadyError, and then nothing is changed.
        """
        programs = PgPrograms(seconds=self.seconds)
        listed = lines_of(programs.list_dump(dump))
        entries = "".join(f"{line}\n" for line in listed if not _NOT_OURS.search(line))
        private_writer().ensure_folder(self.folder, mode=0o700)
        # Without a name, so that a kill leaves nothing behind.
        with tempfile.TemporaryFile(dir=self.folder) as script:
            script.write(_PREAMBLE.encode())
            script.flush()
            programs.write_script(dump, entries, script.fileno())
            _drop_newer_setting(script.fileno())
            script.seek(0)
            programs.run_script(database, script.fileno())

    def kept(self, service: str = "*") -> list[Path]:
        """Return the dumps that are kept, the oldest first."""
        return sorted(self.folder.glob(f"{service}-[0-9]*T*{_SUFFIX}"), key=lambda path: path.name)

    def _prune(self, database: SeededDatabase) -> None:
        for path in surplus(self.kept(database.data.service), self.keep, self.max_bytes):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def surplus(dumps: Sequence[Path], keep: int, max_bytes: int) -> list[Path]:
    """Return the dumps to remove, given oldest first; never the newest."""
    kept: list[Path] = []
    total = 0
    for path in reversed(dumps):
        total += path.stat().st_size
        if kept and (len(kept) >= keep or (max_bytes and total > max_bytes)):
            break
        kept.append(path)
    return [path for path in dumps if path not in kept]


def private_name(path: Path) -> Path:
    """Return an unguessable name beside ``path``, for a file that is not complete yet."""
    token = secrets.token_hex(8)
    return path.with_name(f".{path.name}.{socket.gethostname()}-{token}{_PARTIAL}")


def sweep_partials(folder: Path, name: str = "*") -> None:
    """Remove what killed runs of this host left for ``name``; others may share the folder."""
    for left in folder.glob(f".{name}.{socket.gethostname()}-*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            left.unlink()


def _drop_newer_setting(script: int) -> None:
    """Comment out a setting that pg_restore 17 writes and older servers refuse."""
    begin = os.pread(script, len(_PREAMBLE.encode()) + _HEAD_BYTES, 0)
    at = begin.find(_NEWER_SETTING)
    if at >= 0:
        os.pwrite(script, b"\n--", at)


def client_version() -> int:
    """Return the major version of the installed pg_dump; HostError if there is none."""
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
    """Return the free bytes below ``folder``, or below its nearest existing parent."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
