"""Checks whether an upgrade can proceed, without changing anything."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from backendai_ctl.base.errors import NotReadyError, TargetError
from backendai_ctl.seed.data import version_numbers
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.stores.postgresql import Database
from backendai_ctl.stores.schema_state import Schema, SchemaState
from backendai_ctl.upgrade.data import is_older, line_of, load_upgrade_data, upstream
from backendai_ctl.upgrade.dump import Dumper, free_bytes
from backendai_ctl.upgrade.peers import other_nodes

_MB = 1024 * 1024
_PAYLOAD_BYTES = 800 * _MB  # the old and the new payload exist together while files are unpacked
_QUESTION_SECONDS = "5s"


class Verdict(Enum):
    """The consequence of a finding for the upgrade."""

    FINE = "fine"
    WARN = "warning"
    REFUSE = "refused"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one check."""

    service: str
    check: str
    verdict: Verdict
    detail: str

    def as_table(self) -> dict[str, str]:
        """Return the finding for JSON."""
        return {**asdict(self), "verdict": self.verdict.value}


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """Examines one service; ``to`` is the version to be installed, if there is one."""

    database: SeededDatabase
    dumper: Dumper
    to: str = ""
    from_lines: Sequence[str] = ()

    def examine(self) -> list[Result]:
        """Return every finding; an unreachable store is a warning, never a refusal."""
        results = [self._version()]
        results += [
            self._guarded(name, check)
            for name, check in (
                ("schema", self._schema),
                ("dump", self._dump),
                ("sessions", self._sessions),
                ("nodes", self._nodes),
            )
        ]
        results.append(self._space())
        return results

    def _version(self) -> Result:
        old, new = self.database.version, upstream(self.to) if self.to else ""
        if not new:
            return self._result("version", Verdict.FINE, f"{old} is installed")
        summary = f"{old} to {new}"
        if is_older(old, new) and self.from_lines and line_of(old) not in self.from_lines:
            between = [
                from_line
                for from_line in self.from_lines
                if is_older(old, from_line) and is_older(from_line, new)
            ]
            first = min(set(between) - {line_of(new)}, key=version_numbers, default="")
            way = f"install {first} first" if first else "no way leads there"
            return self._result("version", Verdict.REFUSE, f"{summary} skips releases; {way}")
        return self._result("version", Verdict.FINE, summary)

    def _schema(self) -> tuple[Verdict, str]:
        found = self.database.schema()
        at = ", ".join(found.found) or "no schema yet"
        if self.to:
            return self._schema_for(upstream(self.to), found, at)
        heads = ", ".join(sorted(found.release.heads))
        match found.state:
            case SchemaState.NEWER:
                summary = f"{at} is of a newer release than {self.database.version} ({heads})"
                return Verdict.REFUSE, summary
            case SchemaState.OLDER:
                return Verdict.WARN, f"{at} is to be migrated to {heads}: backendai-ctl upgrade"
            case _:
                return Verdict.FINE, at

    def _schema_for(self, new: str, found: Schema, at: str) -> tuple[Verdict, str]:
        if found.state is SchemaState.EMPTY or not is_older(new, self.database.version):
            return Verdict.FINE, at
        # A downgrade. The database records the schema of each release that used it.
        known = self.database.marks.schema_of(new)
        if known == sorted(found.found):
            return Verdict.FINE, f"{at}, which {new} has too"
        had = f"{new} had {', '.join(known)}" if known else f"the schema of {new} is not known here"
        summary = f"is at {at}; {had}"
        return Verdict.REFUSE, (
            f"{self.database.target} {summary}. Stop the service, put back a dump of {new}"
            " afterwards (backendai-ctl restore FILE), and allow the downgrade"
        )

    def _dump(self) -> tuple[Verdict, str]:
        if self.dumper.keep == 0:
            return Verdict.WARN, "site.toml wants none: [backup] keep = 0"
        self.dumper.check(self.database)
        return Verdict.FINE, f"to {self.dumper.folder}"

    def _sessions(self) -> tuple[Verdict, str]:
        statement = load_upgrade_data(self.database.layout, self.database.data.service).running
        if not statement:
            return Verdict.FINE, "not counted for this service"
        count = _count(self.database.connection, statement)
        summary = f"{count} run, and go on without the manager" if count else "none runs"
        return (Verdict.WARN if count else Verdict.FINE), summary

    def _nodes(self) -> tuple[Verdict, str]:
        others = other_nodes(self.database.connection)
        if not others:
            return Verdict.FINE, "no other works with the database"
        return Verdict.WARN, (
            f"the database is also used from {', '.join(others)}: stop backendai-"
            f"{self.database.data.service} there before its schema is changed, and upgrade it next"
        )

    def _space(self) -> Result:
        folder: Path = self.database.layout.prefix(self.database.data.service)
        free = free_bytes(folder)
        verdict = Verdict.FINE if free >= _PAYLOAD_BYTES else Verdict.WARN
        return self._result("space", verdict, f"{free // _MB} MB free below {folder}")

    def _guarded(self, name: str, check: Callable[[], tuple[Verdict, str]]) -> Result:
        try:
            verdict, detail = check()
        except TargetError as error:
            verdict, detail = Verdict.WARN, error.message
        return self._result(name, verdict, detail)

    def _result(self, name: str, verdict: Verdict, detail: str) -> Result:
        return Result(
            service=self.database.data.service, check=name, verdict=verdict, detail=detail
        )


def _count(database: Database, statement: str) -> int:
    database.value(f"SET statement_timeout = '{_QUESTION_SECONDS}'")
    try:
        return int(database.value(statement))
    except NotReadyError as error:
        raise NotReadyError(f"cannot be counted: {error.message}") from error
    finally:
        database.value("SET statement_timeout = 0")
