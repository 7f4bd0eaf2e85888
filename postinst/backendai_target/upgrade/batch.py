"""Brings the databases of several services to the installed release, each by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from backendai_target.errors import TargetError
from backendai_target.layout import Layout
from backendai_target.seed.accounts import private_writer
from backendai_target.seed.database import NoDatabaseError
from backendai_target.seed.session import Filled
from backendai_target.upgrade.dump import Dumper
from backendai_target.upgrade.migrate import Migration
from backendai_target.upgrade.paths import failure_note
from backendai_target.upgrade.units import stop_for_work


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of each service, by its name."""

    done: Mapping[str, str]
    failed: Mapping[str, TargetError]
    away: Mapping[str, TargetError]  # of these the database was not even reached


def migrate_all(
    layout: Layout, filled: Sequence[Filled], dumper: Dumper, say: Callable[[str], None]
) -> Outcome:
    """Migrate where a release asks for it; a service that stays without is down, and says why."""
    done: dict[str, str] = {}
    failed: dict[str, TargetError] = {}
    away: dict[str, TargetError] = {}
    for one in filled:
        service = one.data.service
        try:
            one.database.connect()
        except NoDatabaseError:
            failure_note(layout, service).unlink(missing_ok=True)
            done[service] = "there is no database yet"
            continue
        except TargetError as error:
            away[service] = error
            _keep_down(layout, service, error)
            continue
        migration = Migration(one=one, dumper=dumper, say=say)
        try:
            migrated = migration.run(before=partial(stop_for_work, layout, service))
        except TargetError as error:
            failed[service] = error
            _keep_down(layout, service, error)
            continue
        failure_note(layout, service).unlink(missing_ok=True)
        done[service] = "migrated" if migrated else "nothing to migrate"
    return Outcome(done=done, failed=failed, away=away)


def _keep_down(layout: Layout, service: str, error: TargetError) -> None:
    """It cannot work with this database, nor may what is left of the old release."""
    private_writer().replace(failure_note(layout, service), f"{error.message}\n")
    stop_for_work(layout, service)
