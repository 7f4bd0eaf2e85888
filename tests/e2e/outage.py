"""A user who logs in again and again, and how long that failed after an event."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

# The manager allows an address 1,000 requests without a login in 15 minutes.
_PAUSE_S = 1.0
_PATIENCE_S = 20.0
# So many logins in a row, and it works again.
_STEADY = 6


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One login; times are of the monotonic clock."""

    begin: float
    end: float
    problem: str  # empty if it succeeded


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What a user noticed of an event."""

    failed: int
    attempts: int
    seconds: float  # from the event to the end of the last failure; 0 without one
    slowest: float
    problems: tuple[str, ...]

    def __str__(self) -> str:
        words = "; ".join(self.problems)
        return (
            f"{self.failed} of {self.attempts} logins failed, the last {self.seconds:.1f} s after;"
            f" the slowest took {self.slowest:.1f} s {words}"
        )


@dataclass(kw_only=True)
class User:
    """Logs in by ``url`` each second until the block ends, each time anew."""

    url: str
    email: str
    password: str = field(repr=False)
    _attempts: list[Attempt] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def log_in(self, client: httpx.Client) -> str:
        """Log in once; what went wrong, or an empty text."""
        body = {"username": self.email, "password": self.password}
        try:
            answer = client.post(f"{self.url}/server/login", json=body, timeout=_PATIENCE_S)
            done = answer.status_code == httpx.codes.OK and answer.json().get("authenticated")
        except (httpx.HTTPError, ValueError) as error:
            return type(error).__name__
        return "" if done else f"{answer.status_code} {answer.text[:120]}"

    def notice(self, since: float, *, timeout: int) -> Outage:
        """Wait until logins work again after ``since``, and say what had failed until then."""
        while True:
            found = [attempt for attempt in list(self._attempts) if attempt.end >= since]
            last = found[-_STEADY:]
            if len(last) == _STEADY and not any(attempt.problem for attempt in last):
                break
            assert time.monotonic() - since < timeout, found[-3:]
            time.sleep(_PAUSE_S)
        failed = [attempt for attempt in found if attempt.problem]
        return Outage(
            failed=len(failed),
            attempts=len(found),
            seconds=failed[-1].end - since if failed else 0.0,
            slowest=max(attempt.end - attempt.begin for attempt in found),
            problems=tuple(dict.fromkeys(attempt.problem for attempt in failed)),
        )

    def _run(self) -> None:
        while not self._ending.wait(_PAUSE_S):
            begin = time.monotonic()
            with httpx.Client(trust_env=False) as client:
                problem = self.log_in(client)
            self._attempts.append(Attempt(begin=begin, end=time.monotonic(), problem=problem))
