"""Migrates the databases of several services to the installed release, each independently."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.stores.postgresql import NoDatabaseError
from backendai_ctl.upgrade.dump import Dumper
from backendai_ctl.upgrade.migrate import Migration, NotBegunError
from backendai_ctl.upgrade.units import stop_for_work


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome for each service, by its name."""

    done: Mapping[str, str]
    failed: Mapping[str, TargetError]
    waiting: Mapping[str, TargetError]  # not begun, for example because a store is unreachable


def migrate_all(
    layout: Layout, databases: Sequence[SeededDatabase], dumper: Dumper, say: Callable[[str], None]
) -> Outcome:
    """Migrate the databases that need it; a service whose migration fails stays down."""
    done: dict[str, str] = {}
    failed: dict[str, TargetError] = {}
    waiting: dict[str, TargetError] = {}
    for database in databases:
        service = database.data.service
        try:
            done[service] = _migrate(
                layout, database, Migration(database=database, dumper=dumper, say=say)
            )
        except TargetError as error:
            (waiting if isinstance(error, NotBegunError) else failed)[service] = error
            _keep_down(layout, service, error)
        else:
            layout.failure_note(service).unlink(missing_ok=True)
    return Outcome(done=done, failed=failed, waiting=waiting)


def _migrate(layout: Layout, database: SeededDatabase, migration: Migration) -> str:
    """Migrate one database; return what was done."""
    try:
        database.connection.connect()
    except NoDatabaseError:
        return "there is no database yet"
    except TargetError as error:
        raise NotBegunError(error.message, hint=error.hint) from error
    migrated = migration.run(before=partial(stop_for_work, layout, database.data.service))
    return "migrated" if migrated else "nothing to migrate"


def _keep_down(layout: Layout, service: str, error: TargetError) -> None:
    """Keep the service down: neither release can work with this database now."""
    private_writer().replace(layout.failure_note(service), f"{error.message}\n")
    stop_for_work(layout, service)
