"""Migrates a database to the installed release: dump, migrate, and restore if that fails."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from backendai_ctl.base.errors import HostError, NotReadyError, TargetError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.programs import run_program
from backendai_ctl.base.redact import hide, redact_urls
from backendai_ctl.base.text import lines_of
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.stores.lock import check_lock, database_lock
from backendai_ctl.stores.schema_state import Schema, SchemaState, fingerprint, revisions_of
from backendai_ctl.upgrade.data import load_upgrade_data
from backendai_ctl.upgrade.dump import Dumper
from backendai_ctl.upgrade.peers import other_nodes
from backendai_ctl.upgrade.session import LOCK_SECONDS

# Set while a migration is under way; after a kill, the next run repairs the database.
_UNDER_WAY = "migration"
_TAIL_LINES = 8


class NotBegunError(NotReadyError):
    """Nothing was done to the database, and the migration can be tried again."""


@dataclass(frozen=True, kw_only=True)
class UnderWay:
    """The state of a database before its migration."""

    found: Sequence[str]
    fingerprint: str
    dump: str  # empty if site.toml turns dumps off


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One service's migration on this host."""

    database: SeededDatabase
    dumper: Dumper
    say: Callable[[str], None]

    def run(self, *, before: Callable[[], None]) -> bool:
        """Migrate if the release requires it; ``before`` is called first, and only in that case.

        Returns whether it did. Raises NotBegunError; or NotReadyError or HostError, and then the
        database is as it was, unless the message says otherwise.
        """
        if self._is_settled():
            return False
        before()
        with ExitStack() as stack:
            lock = database_lock(self.database.connection, seconds=LOCK_SECONDS, say=self.say)
            try:
                stack.enter_context(lock)
            except TargetError as error:
                raise NotBegunError(error.message, hint=error.hint) from error
            self._fix()
            found = self.database.schema()
            self._refuse_newer(found)
            if found.state is not SchemaState.OLDER:  # another node was faster
                self._note(found.found)
                return True
            self._migrate(found.found)
        return True

    def _is_settled(self) -> bool:
        found = self.database.schema()
        self._refuse_newer(found)
        if found.state is SchemaState.EMPTY:
            return True  # seeding creates the schema
        if found.state is SchemaState.OLDER or self._under_way() is not None:
            return False
        if self.database.marks.schema_of(self.database.version) != sorted(found.found):
            with database_lock(self.database.connection, seconds=LOCK_SECONDS, say=self.say):
                self._note(found.found)
        return True

    def _refuse_newer(self, found: Schema) -> None:
        if found.state is not SchemaState.NEWER:
            return
        database = self.database
        raise NotReadyError(
            f"{database.target} is at {', '.join(found.found)}, which {database.data.distribution}"
            f" {database.version} does not know: it is of a newer release",
            hint="put back a dump of this release: sudo backendai-ctl restore FILE;"
            " or install the newer release again",
        )

    def _migrate(self, found: Sequence[str]) -> None:
        database = self.database
        dump = self._dump()
        # Before anything is changed: a downgrade may return to it.
        started = UnderWay(
            found=found,
            fingerprint=fingerprint(database.connection),
            dump=str(dump) if dump else "",
        )
        database.marks.set(_UNDER_WAY, json.dumps(asdict(started)))
        others = other_nodes(database.connection)
        if others:
            self.say(
                f"{database.target} is also used from {', '.join(others)}: what runs there does not"
                f" know the new schema; upgrade backendai-{database.data.service} there next"
            )
        self.say(f"migrating {database.target} from {', '.join(found)} to {database.version}")
        try:
            self._alembic(found)
            check_lock(database.connection)
            now = database.schema()
            if now.state is not SchemaState.CURRENT:
                raise NotReadyError(f"{database.target}: is at {', '.join(now.found)} afterwards")
        except TargetError as error:
            outcome = self._undo(started)
            raise NotReadyError(f"{error.message}\n{outcome}", hint=error.hint) from error
        self._note(now.found)
        self.say(f"{database.target} is at {', '.join(now.found)}")

    def _dump(self) -> Path | None:
        if self.dumper.keep == 0:
            self.say("no dump is made: site.toml has [backup] keep = 0")
            return None
        kind: type[TargetError] = NotBegunError
        try:
            self.dumper.check(self.database)
            kind = HostError  # a migration that fails may have taken long
            dump = self.dumper.make(self.database, before=True)
        except TargetError as error:
            raise kind(
                f"{error.message}\nnothing was migrated, because nothing could be dumped",
                hint=error.hint,
            ) from error
        self.say(f"{self.database.target} is dumped to {dump}")
        return dump

    def _alembic(self, found: Sequence[str]) -> None:
        private_writer().ensure_folder(self.database.layout.upgrades, mode=0o755)
        private_writer().replace(self.database.layout.upgrade_log(self.database.data.service), "")
        stops = load_upgrade_data(self.database.layout, self.database.data.service).stops
        for target in (*self.database.schema().release.ahead(stops, found), "head"):
            self._alembic_to(target)

    def _alembic_to(self, target: str) -> None:
        database, service = self.database, self.database.data.service
        log = database.layout.upgrade_log(service)
        script = database.layout.run_script(service)
        config = database.layout.etc / database.data.alembic
        command = [str(script), "python3", "-m", "alembic", "-c", str(config), "upgrade", target]
        done = run_program(command, seconds=self.dumper.seconds, log=log)
        if done.status:
            text = log.read_text(encoding="utf-8", errors="replace")
            text = redact_urls(hide(text, [database.target.password, *database.answers.hidden()]))
            # The values of a statement may be private.
            lines = [line for line in lines_of(text) if "[parameters:" not in line]
            raise NotReadyError(
                f"`alembic upgrade {target}` failed with status {done.status}:\n"
                + "\n".join(lines[-_TAIL_LINES:]),
                hint=f"all of its output is in {log}; then: sudo backendai-ctl upgrade",
            )

    def _fix(self) -> None:
        """Undo what a migration that was killed has left."""
        left = self._under_way()
        if left is not None and self.database.schema().state is not SchemaState.CURRENT:
            self.say(f"the last migration of {self.database.target} was cut off")
            self.say(self._undo(left))

    def _undo(self, started: UnderWay) -> str:
        """Restore the previous state; return what came of it. HostError if that is impossible."""
        database = self.database
        is_same = list(revisions_of(database.connection)) == list(started.found)
        if is_same and fingerprint(database.connection) == started.fingerprint:
            database.marks.drop(_UNDER_WAY)
            return f"{database.target} is as it was, at {', '.join(started.found)}"
        if not started.dump or not Path(started.dump).is_file():
            raise HostError(
                f"{database.target} is in the middle of a migration, and its dump"
                f" {started.dump or '(none was wanted)'} is not on this host",
                hint="on the host that has it, or with a backup of yours: "
                "sudo backendai-ctl restore FILE",
            )
        self.dumper.restore(database, Path(started.dump))  # this removes the mark, too
        return f"{database.target} was put back from {started.dump}"

    def _under_way(self) -> UnderWay | None:
        text = self.database.marks.get(_UNDER_WAY)
        return UnderWay(**json.loads(text)) if text else None

    def _note(self, found: Sequence[str]) -> None:
        database = self.database
        database.marks.set_schema(database.version, found)
        database.marks.drop(_UNDER_WAY)
