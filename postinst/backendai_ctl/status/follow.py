"""Waits until a host is up: prints progress on change, and ends early if waiting is pointless."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from backendai_ctl.base.errors import Status
from backendai_ctl.status.outlook import NodeOutlook

_PAUSE_SECONDS = 3.0
_REMIND_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The time, which tests replace."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class Followed:
    """The end of the wait."""

    outlook: NodeOutlook
    status: Status
    seconds: float

    @property
    def word(self) -> str:
        """The end in one word, for programs."""
        words = {Status.OK: "up", Status.TIMEOUT: "timeout"}
        return words.get(self.status, "stuck")

    def as_table(self) -> dict[str, object]:
        """Return the result for --json."""
        return {
            "ended": self.word,
            "seconds": round(self.seconds, 1),
            "seeding": self.outlook.seeding.value,
            "obstacles": [
                {
                    "service": obstacle.service,
                    "outlook": obstacle.outlook.value,
                    "reason": obstacle.reason,
                    "hint": obstacle.hint,
                }
                for obstacle in self.outlook.obstacles
            ],
        }


def follow(
    look: Callable[[], NodeOutlook],
    say: Callable[[str], None],
    *,
    seconds: float,
    clock: Clock | None = None,
) -> Followed:
    """Look until the host is up, is stuck for good, or ``seconds`` are over.

    Prints each state when it changes, and the remaining ones once a minute: a log stays short,
    and a person sees that the command is alive.
    """
    clock = clock or Clock()
    begin = reminded = clock.now()
    shown: dict[str, str] = {}
    was_held_up = False
    while True:
        outlook = look()
        passed = clock.now() - begin
        news = [
            f"{name}: {text}" for name, text in outlook.states.items() if shown.get(name) != text
        ]
        shown = outlook.states
        if not news and clock.now() - reminded >= _REMIND_SECONDS:
            left = ", ".join(obstacle.service for obstacle in outlook.obstacles)
            news = [f"still waiting for {left}"]
        if news:
            reminded = clock.now()
        for line in news:
            say(f"{passed:4.0f} s  {line}")
        if outlook.is_done:
            return Followed(outlook=outlook, status=Status.OK, seconds=passed)
        # Checked twice, because units and notes are not read at the same moment.
        if outlook.is_held_up and was_held_up:
            return Followed(outlook=outlook, status=Status.NOT_READY, seconds=passed)
        was_held_up = outlook.is_held_up
        if passed >= seconds:
            return Followed(outlook=outlook, status=Status.TIMEOUT, seconds=passed)
        clock.pause(min(_PAUSE_SECONDS, max(seconds - passed, 0.0)))
