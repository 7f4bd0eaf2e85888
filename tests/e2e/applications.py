"""What runs in a session, opened in the browser through the app proxy, as the Web UI does it."""

import json
import time
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Page

from tests.e2e.browser import pictures

_TIMEOUT_S = 90
_TERMINAL_INPUT = "textarea.xterm-helper-textarea"
# Signed by the webserver, for the account that is logged in.
_START = """async ([session, app]) => {
    const body = JSON.stringify({ login_session_token: null, app });
    const headers = { 'content-type': 'application/json' };
    const path = `/func/session/${session}/start-service`;
    const answer = await fetch(path, { method: 'POST', headers, body });
    return [answer.status, await answer.text()];
}"""


def open_application(page: Page, session: str, session_id: str, app: str) -> Page:
    """A new tab with an application of a session of the account that is logged in."""
    status, text = page.evaluate(_START, [session, app])
    assert status == httpx.codes.OK, text
    way = json.loads(text)
    query = urlencode({"app": app, "protocol": "http"})
    address = f"{way['wsproxy_addr']}/v2/proxy/{way['token']}/{session_id}/add?{query}"
    answer = httpx.get(address, timeout=_TIMEOUT_S)
    assert answer.status_code == httpx.codes.OK, answer.text
    opened = page.context.new_page()
    opened.set_default_timeout(_TIMEOUT_S * 1000)
    # First the coordinator, then the worker, which sets the cookie, then the application.
    opened.goto(answer.json()["url"])
    return opened


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
