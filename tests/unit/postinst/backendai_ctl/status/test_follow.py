"""`status --wait`: progress on change, and the three ways in which it ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from backendai_ctl.base.errors import Status
from backendai_ctl.status.follow import Clock, Followed, follow
from backendai_ctl.status.outlook import NodeOutlook, Outlook, Seeding, ServiceOutlook


@dataclass
class Time:
    """A clock that only pauses move."""

    seconds: float = 0.0
    said: list[str] = field(default_factory=list)

    def run(self, looks: Sequence[NodeOutlook], seconds: float = 600) -> Followed:
        """Follow these looks, of which the last one stays."""
        rest: Iterator[NodeOutlook] = iter(looks)
        latest = [looks[0]]

        def look() -> NodeOutlook:
            latest[0] = next(rest, latest[0])
            return latest[0]

        clock = Clock(now=lambda: self.seconds, pause=self.pass_by)
        return follow(look, self.said.append, seconds=seconds, clock=clock)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


def node(outlook: Outlook, seeding: Seeding = Seeding.DONE, reason: str = "") -> NodeOutlook:
    service = ServiceOutlook(service="manager", outlook=outlook, reason=reason)
    return NodeOutlook(services=(service,), seeding=seeding)


UP = node(Outlook.UP)
STARTING = node(Outlook.STARTING)
STUCK = node(Outlook.STUCK, reason="failed (exit-code)")


def test_it_ends_when_all_is_up() -> None:
    time = Time()
    followed = time.run([node(Outlook.WAITING, Seeding.RUNNING), STARTING, STARTING, UP])
    assert (followed.status, followed.word, followed.seconds) == (Status.OK, "up", 9)
    assert time.said == [
        "   0 s  stores: being filled",
        "   0 s  manager: waiting",
        "   3 s  stores: filled",
        "   3 s  manager: starting",
        "   9 s  manager: up",
    ]


def test_it_waits_for_the_stores_although_all_services_are_up() -> None:
    followed = Time().run([node(Outlook.UP, Seeding.RETRIED)] * 4 + [UP])
    assert (followed.status, followed.seconds) == (Status.OK, 12)


def test_it_ends_early_where_waiting_does_not_help() -> None:
    followed = Time().run([STUCK])
    assert (followed.status, followed.word, followed.seconds) == (Status.NOT_READY, "stuck", 3)
    assert followed.as_table()["obstacles"] == [
        {"service": "manager", "outlook": "stuck", "reason": "failed (exit-code)", "hint": ""}
    ]


def test_one_look_in_between_ends_nothing() -> None:
    """A note goes and a unit starts between two questions to the same host."""
    assert Time().run([STUCK, STARTING, STUCK, UP]).status is Status.OK


@pytest.mark.parametrize("seconds", [0, 10])
def test_it_ends_when_time_is_over(seconds: float) -> None:
    followed = Time().run([STARTING], seconds)
    assert (followed.status, followed.seconds) == (Status.TIMEOUT, seconds)
    assert followed.word == "timeout"


def test_a_long_wait_shows_that_it_lives() -> None:
    time = Time()
    time.run([STARTING], 200)
    assert time.said[2:] == [f"{at:4.0f} s  still waiting for manager" for at in (60, 120, 180)]
