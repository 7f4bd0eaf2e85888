"""What runs in a session, as it is used in a tab of the browser."""

import time

from playwright.sync_api import Page

from tests.e2e.browser import pictures

_TIMEOUT_S = 90
_TERMINAL_INPUT = "textarea.xterm-helper-textarea"


def type_in_terminal(terminal: Page, host: str, line: str, picture: str) -> None:
    """Type a line into the shell of the session ``host``, once it has shown itself."""
    terminal.wait_for_function("(host) => document.title.includes(host)", arg=host)
    terminal.locator(_TERMINAL_INPUT).focus()
    terminal.keyboard.type(f"{line}\n", delay=20)
    terminal.wait_for_timeout(2000)
    terminal.screenshot(path=pictures() / f"{picture}.png")


def see_in_jupyter(jupyter: Page, name: str, picture: str) -> None:
    """Wait until Jupyter's list of files has one of this name."""
    end = time.monotonic() + _TIMEOUT_S
    entry = jupyter.get_by_text(name, exact=True).first
    while not entry.is_visible():
        assert time.monotonic() < end, f"{jupyter.url}: no {name} in {jupyter.title()}"
        jupyter.wait_for_timeout(3000)
        jupyter.reload()
    jupyter.screenshot(path=pictures() / f"{picture}.png")
