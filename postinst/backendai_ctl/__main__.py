"""The entry point of `python3 /usr/lib/backendai/target`; installed there as __main__.py."""

import contextlib
import os
import signal
import sys
from typing import NoReturn

from backendai_ctl.base.libraries import load_library
from backendai_ctl.base.processes import STOP_SIGNALS


def main() -> int:
    """Run one command; return its exit status."""
    if sys.argv[1:2] == ["wait"]:
        # It heeds them as soon as it can: a start that is stopped has not failed.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        # What all of the tool needs, found before the modules that import it.
        load_library("tomlkit")
    except ModuleNotFoundError:
        sys.stderr.write(
            "backendai-ctl: no service is installed on this host\n"
            "backendai-ctl: install one, for example backendai-manager\n"
        )
        return 1
    from backendai_ctl.cli import main as run  # noqa: PLC0415

    return run()


def leave(status: int) -> NoReturn:
    """End this process, without a second of taking apart what a release's commands import."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())
