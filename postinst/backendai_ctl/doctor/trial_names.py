"""Names for what trials make on a volume, where other nodes may try the same at the same time."""

import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from backendai_ctl.base.account import Owner

_PREFIX = ".backendai-trial"
# Children of this process share it.
_RUN = secrets.token_hex(4)
# Longer than a run lasts and clocks of a server and its clients differ.
_OLD_SECONDS = 3600.0


def trial_at(place: Path) -> Path:
    """Return the file or folder of this process for a trial as its present user."""
    return place / f"{_PREFIX}-{_RUN}-{Owner.caller().uid}"


def is_trial(name: str) -> bool:
    """Whether a trial of any node made what has this name."""
    return name.startswith(f"{_PREFIX}-")


def remove_trials(place: Path) -> None:
    """Remove what this run, and what killed runs of any node, left there; as far as it can."""
    for left in _left(place):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            _unlink(left)


def _left(place: Path) -> Iterator[Path]:
    for path in place.glob(f"{_PREFIX}-*"):
        try:
            age = time.time() - path.lstat().st_mtime
        except OSError:
            continue
        if path.name.startswith(f"{_PREFIX}-{_RUN}-") or age > _OLD_SECONDS:
            yield path


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return  # of another user, or gone
