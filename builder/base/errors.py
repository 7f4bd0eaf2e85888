"""The errors of the builder, and the exit code of each kind.

Only :mod:`builder.cli` prints these and exits. A message states the failure, its place
and the offending value; ``hint`` is the next step.
"""

from enum import IntEnum

SPACE_HINT = "free some space there, or point BUILDER_CACHE and --out somewhere roomier"


class ExitCode(IntEnum):
    """Exit codes of ``builder``; documented in docs/guides/release-engineer.md."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    SPEC = 3
    LOCK = 4
    FETCH = 5
    OFFLINE = 6
    RUNTIME = 7
    PAYLOAD = 8
    PACK = 9
    TOOL = 10
    STORAGE = 11
    REPO = 12
    VERIFY = 13
    INTERRUPTED = 130


class BuilderError(Exception):
    """A failure that the user can understand and fix."""

    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BuilderError):
    """An argument names something that does not exist."""

    exit_code = ExitCode.USAGE


class SpecError(BuilderError):
    """``pkgspec/`` is wrong; ``problems`` holds every problem found."""

    exit_code = ExitCode.SPEC

    def __init__(self, problems: list[str], *, hint: str | None = None) -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class LockError(BuilderError):
    """A lock is missing, stale, or cannot be resolved."""

    exit_code = ExitCode.LOCK


class FetchError(BuilderError):
    """A download failed or its bytes are not the pinned ones."""

    exit_code = ExitCode.FETCH


class OfflineError(BuilderError):
    """``--offline`` was given and the cache lacks an input."""

    exit_code = ExitCode.OFFLINE


class RuntimeUnavailableError(BuilderError):
    """No provider could make the CPython that a release needs."""

    exit_code = ExitCode.RUNTIME


class PayloadError(BuilderError):
    """The staged tree breaks a rule: libraries, baseline, layout."""

    exit_code = ExitCode.PAYLOAD


class PackError(BuilderError):
    """nfpm refused its configuration or failed."""

    exit_code = ExitCode.PACK


class ToolError(BuilderError):
    """A program that the build needs is missing or failed."""

    exit_code = ExitCode.TOOL


class StorageError(BuilderError):
    """The disk is full, read-only, or not writable for this user."""

    exit_code = ExitCode.STORAGE


class RepoError(BuilderError):
    """A repository refuses a request, or is damaged."""

    exit_code = ExitCode.REPO


class VerifyError(BuilderError):
    """A package or its provenance is not what it should be."""

    exit_code = ExitCode.VERIFY
