"""Progress and messages: live on a terminal, plain lines in a CI log.

Progress goes to standard error; standard output is for results, plain or JSON.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_PLAIN_INTERVAL_S = 10.0

console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
# A log has no width of its own, and text that is cut off there is lost.
_LOG_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
results = Console(highlight=False, width=_LOG_WIDTH)
_logger = logging.getLogger("builder")

Advance = Callable[[int], None]


class _ConsoleHandler(logging.Handler):
    """Prints records as people expect of a build tool."""

    def emit(self, record: logging.LogRecord) -> None:
        text = escape(record.getMessage())
        if record.levelno >= logging.WARNING:
            text = f"[yellow]{record.levelname.lower()}:[/] {text}"
        elif record.levelno <= logging.DEBUG:
            text = f"[dim]{text}[/]"
        console.print(text)


def configure(verbosity: int) -> None:
    """Set how much is printed: -1 only warnings, 0 steps, 1 every command."""
    level = {-1: logging.WARNING, 0: logging.INFO}.get(verbosity, logging.DEBUG)
    _logger.handlers = [_ConsoleHandler()]
    _logger.setLevel(level)
    _logger.propagate = False


def step(message: str) -> None:
    """Report a step that begins now."""
    _logger.info(message)


def detail(message: str) -> None:
    """Report a detail that only ``-v`` shows."""
    _logger.debug(message)


def warn(message: str) -> None:
    """Report a problem that does not stop the build."""
    _logger.warning(message)


def is_verbose() -> bool:
    """Return whether tool output is shown as it comes."""
    return _logger.isEnabledFor(logging.DEBUG)


@contextmanager
def progress(label: str, total: int | None, *, unit: str = "B") -> Iterator[Advance]:
    """Show long work; the yielded function gets the amount done since its last call.

    ``unit`` is "B" for bytes; any other unit is printed as it is.
    """
    if not _logger.isEnabledFor(logging.INFO):
        yield lambda _amount: None
    elif console.is_terminal:
        with _live(label, total) as advance:
            yield advance
    else:
        with _plain(label, total, unit) as advance:
            yield advance


@contextmanager
def _live(label: str, total: int | None) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(label), total=total)
        yield lambda amount: bar.advance(task, amount)


@contextmanager
def _plain(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    done = 0
    last = time.monotonic()

    def advance(amount: int) -> None:
        nonlocal done, last
        done += amount
        if time.monotonic() - last >= _PLAIN_INTERVAL_S:
            last = time.monotonic()
            _logger.info("%s: %s", label, _portion(done, total, unit))

    yield advance


def _portion(done: int, total: int | None, unit: str) -> str:
    scale, name = (1_000_000, "MB") if unit == "B" else (1, unit)
    if total:
        return f"{done / scale:.0f} of {total / scale:.0f} {name} ({100 * done // total} %)"
    return f"{done / scale:.0f} {name}"
