"""The only module on the target that runs other programs."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import NotReadyError

# Linux's overflow group, which has no files and no service. The kernel shows a process's memory
# and environment to processes of the same user and the same group only.
_GROUP_OF_NOBODY = 65534
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW


@dataclass(frozen=True, kw_only=True)
class Done:
    """The result of a program that has ended."""

    status: int
    stdout: str
    stderr: str


def run_program(
    command: Sequence[str],
    *,
    seconds: float,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Done:
    """Run ``command`` to its end; with ``log``, its output is appended to that file.

    Raises NotReadyError if it cannot be run or takes longer than ``seconds``. Values that
    others must not see are passed by ``stdin``.
    """
    try:
        if log is not None:
            with os.fdopen(os.open(log, _APPEND, 0o600), "ab") as stream:
                status = _run(command, seconds, stdin, env, stream.fileno()).returncode
            return Done(status=status, stdout="", stderr="")
        done = _run(command, seconds, stdin, env, subprocess.PIPE)
    except subprocess.TimeoutExpired as error:
        raise NotReadyError(f"`{command[0]}` took longer than {seconds:g} s") from error
    except OSError as error:
        raise NotReadyError(f"`{command[0]}`: {error.strerror}") from error
    return Done(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


@dataclass(frozen=True, kw_only=True)
class Files:
    """Open files for a program; without ``stdout``, its output is returned."""

    stdin: int | None = None
    stdout: int | None = None
    others: tuple[int, ...] = ()


def run_on_files(
    command: Sequence[str],
    *,
    seconds: float,
    files: Files,
    user: Owner | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run ``command`` on open files; with ``user``, as that user.

    The user's group is the only supplementary one: no service may look into the program.
    Raises NotReadyError if it cannot be run or takes longer than ``seconds``.
    """
    try:
        done = subprocess.run(  # noqa: TID251 - builder.run is not on the target
            list(command),
            stdin=subprocess.DEVNULL if files.stdin is None else files.stdin,
            stdout=subprocess.PIPE if files.stdout is None else files.stdout,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            user=user.uid if user else None,
            group=_GROUP_OF_NOBODY if user else None,
            extra_groups=[user.gid] if user else None,
            pass_fds=files.others,
            timeout=seconds,
            check=False,
            text=True,
            errors="replace",
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise NotReadyError(f"`{command[0]}` took longer than {seconds:g} s") from error
    except OSError as error:
        raise NotReadyError(f"`{command[0]}`: {error.strerror}") from error
    return Done(status=done.returncode, stdout=done.stdout or "", stderr=done.stderr)


def _run(
    command: Sequence[str],
    seconds: float,
    stdin: str,
    env: Mapping[str, str] | None,
    output: int,
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: TID251 - builder.run is not on the target
        list(command),
        input=stdin,
        stdout=output,
        stderr=output,
        env=None if env is None else dict(env),
        timeout=seconds,
        check=False,
        text=True,
        errors="replace",
        cwd="/",
    )
