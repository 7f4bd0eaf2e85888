"""Completes all pending upgrades of a host together: databases, add-ons, one restart.

The first of these does it: the package manager at the end of its transaction or, if that was
interrupted or could not begin, `seed apply` at the next boot or the next try. A unit is
restarted only if it still runs the old release, so a second run does no harm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import UNIT_SECONDS, control, has_systemd
from backendai_ctl.seed.data import seeded_services
from backendai_ctl.seed.session import SeededDatabase, Session
from backendai_ctl.upgrade.batch import Outcome, migrate_all
from backendai_ctl.upgrade.dump import Dumper
from backendai_ctl.upgrade.pending import Pending, pending_upgrades
from backendai_ctl.upgrade.session import LOCK_SECONDS
from backendai_ctl.upgrade.worklock import work_lock

_ASK_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Finish:
    """One run; ``sync`` enables the installed add-ons in a service.

    With ``wait`` it restarts what runs the old release and waits until all answer. Without,
    for a unit that others are ordered after, it starts what is down, and waits for nothing.
    """

    layout: Layout
    dumper: Dumper
    say: Callable[[str], None]
    sync: Callable[[str], None]
    wait: bool

    def run(self, session: Session, databases: Sequence[SeededDatabase]) -> Outcome:
        """Complete the upgrades that can be completed; return the outcome of the pending databases.

        A service without a readable configuration waits: it keeps running the old release until
        somebody fixes the file.
        """
        # Not held while units start, because they may wait for a run of this command.
        with work_lock(self.layout, seconds=LOCK_SECONDS, say=self.say):
            pending = pending_upgrades(self.layout)
            names = {upgrade.service for upgrade in pending}
            known = seeded_services(self.layout)
            outcome = migrate_all(
                self.layout,
                [database for database in databases if database.data.service in names],
                self.dumper,
                self.say,
            )
            lost = {
                service: HostError(session.unconfigured[service])
                for service in names.intersection(session.unconfigured, known)
            }
            outcome = replace(outcome, waiting={**outcome.waiting, **lost})
            for service in names:
                self.sync(service)
                # Without the note, rpm's scriptlets of add-ons do not repeat this.
                self.layout.addons_note(service).unlink(missing_ok=True)
        down = {*outcome.failed, *outcome.waiting}
        self._start([upgrade for upgrade in pending if upgrade.service not in down])
        for upgrade in pending:
            if self._is_over(upgrade, outcome):
                upgrade.path.unlink(missing_ok=True)
        return outcome

    def _start(self, pending: Sequence[Pending]) -> None:
        if not has_systemd(self.layout):
            return
        for upgrade in pending:
            self.layout.stopped_note(upgrade.service).unlink(missing_ok=True)
        idle = [unit for upgrade in pending for unit in upgrade.idle_units()]
        old = [unit for upgrade in pending for unit in upgrade.old_units()]
        if self.wait and old + idle:
            self.say(f"restarting {', '.join(old + idle)}")
            self._control("restart", *old, *idle)
        elif idle:
            self.say(f"starting {', '.join(idle)}")
            self._control("start", *idle)

    def _is_over(self, pending: Pending, outcome: Outcome) -> bool:
        """Whether the note is no longer needed."""
        if pending.service in outcome.waiting:
            return False  # this upgrade is retried without an admin
        return pending.service in outcome.failed or not pending.old_units()

    def _control(self, action: str, *units: str) -> None:
        seconds = UNIT_SECONDS if self.wait else _ASK_SECONDS
        if control(action, *units, wait=self.wait, seconds=seconds):
            self.say("not all came up; see: backendai-ctl status")
