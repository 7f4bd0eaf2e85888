"""Creates the role and the database on a PostgreSQL of this host, as its own user postgres."""

import contextlib
import os
import pwd
import re
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.account import is_root
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.programs import run_program
from backendai_ctl.base.text import lines_of
from backendai_ctl.stores.lock import LOCK_KEY

_USER = "postgres"
_SECONDS = 60
_FOLDERS = ("/run/postgresql", "/var/run/postgresql", "/tmp")


@dataclass(frozen=True, kw_only=True)
class LocalServer:
    """Runs psql as the server's own user, through its socket; the SQL goes by standard input."""

    socket_folder: Path
    port: int

    def run(self, sql: str) -> str:
        """Run ``sql`` and return its output, unaligned; NotReadyError if the server refuses it."""
        command = [
            *("runuser", "-u", _USER, "--", "psql", "--no-psqlrc", "--quiet", "--tuples-only"),
            *("--no-align", "--no-password", "--set=ON_ERROR_STOP=1", "--dbname=postgres"),
            *(f"--host={self.socket_folder}", f"--port={self.port}"),
        ]
        # Any user can create a socket in /tmp; libpq asks the kernel who listens there.
        env = {**os.environ, "PGREQUIREPEER": _USER}
        done = run_program(command, seconds=_SECONDS, stdin=sql, env=env)
        if done.status:
            # Without the statement, which psql may repeat and which holds the password.
            errors = [line for line in lines_of(done.stderr) if re.search("ERROR:|FATAL:", line)]
            said = "; ".join(errors) or f"exit status {done.status}"
            raise NotReadyError(f"psql as {_USER}: {said}")
        return done.stdout

    def run_alone(self, sql: str) -> str:
        """Run ``sql`` while no other run of this kind is under way on the server."""
        return self.run(f"SELECT pg_advisory_lock({LOCK_KEY});\n{sql}")

    def is_primary(self) -> bool:
        """Whether it takes writes: a standby replays those of another server."""
        return self.run("SELECT pg_is_in_recovery();").strip() == "f"

    def has_role(self, name: str) -> bool:
        """Whether a role with this name exists."""
        quoted = name.replace("'", "''")
        return bool(self.run(f"SELECT 1 FROM pg_roles WHERE rolname = '{quoted}';").strip())


def find_local_server(addresses: Sequence[Address]) -> LocalServer | None:
    """Return the server at ``addresses`` if it is on this host and the user is root; else None.

    Of several servers, it is returned only if it is the primary.
    """
    for address in addresses:
        server = _server_at(address)
        if server is not None and (len(addresses) == 1 or server.is_primary()):
            return server
    return None


def _server_at(address: Address) -> LocalServer | None:
    if not is_root() or not _is_here(address.host):
        return None
    if not all(shutil.which(tool) for tool in ("runuser", "psql")):
        return None
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        return None
    for folder in map(Path, _FOLDERS):
        path = folder / f".s.PGSQL.{address.port}"
        if path.is_socket() and path.lstat().st_uid == user.pw_uid:
            return LocalServer(socket_folder=folder, port=address.port)
    return None


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return True
    return False
