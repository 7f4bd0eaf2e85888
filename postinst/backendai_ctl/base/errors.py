"""The failures on the target, and the exit status of each kind."""

from enum import IntEnum


class Status(IntEnum):
    """Exit statuses from sysexits.h, whose names `systemctl status` shows.

    Maintainer scripts treat all but OK as "warn and go on", and stop at REFUSED, because
    going on would destroy data.
    """

    OK = 0
    INTERNAL = 1
    DATA = 65
    NOT_READY = 69
    HOST = 71
    TIMEOUT = 75  # EX_TEMPFAIL: it may still succeed later
    REFUSED = 77
    SITE = 78


class TargetError(Exception):
    """A failure that the admin can understand and fix."""

    status = Status.INTERNAL

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SiteError(TargetError):
    """Errors in site.toml, or in a BACKENDAI_ variable that feeds it; one line for each problem."""

    status = Status.SITE

    def __init__(self, problems: list[str], *, hint: str | None = None) -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class RecipeError(TargetError):
    """An error in a recipe or sample of the package, which is therefore broken."""


class InputError(TargetError):
    """What the admin has given, such as the line of an invite, is none, damaged or out of range."""

    status = Status.DATA


class HostError(TargetError):
    """The host lacks something: an account, a folder, space, permission."""

    status = Status.HOST


class NotReadyError(TargetError):
    """A service or one of its stores does not answer, or a port is taken."""

    status = Status.NOT_READY


class RefusedError(TargetError):
    """The requested action would destroy data."""

    status = Status.REFUSED
