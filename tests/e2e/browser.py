"""Headless Chromium on this machine, as a person who opens the Web UI."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Request, Response, sync_playwright

from builder.base.paths import PROJECT
from tests.e2e.nodes import WEB_PORT, Login, Node

# No look at Google's hosts, which a closed network refuses many at a time.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The page opens an application's tab once the application runs. On a busy machine that is
    # too long after the click for Chromium to believe that a person wants it.
    "--disable-popup-blocking",
)
_PAGE_TIMEOUT_MS = 90_000
_QUIET_S = 1.5
_SETTLED_WITHIN_S = 30
_GRAPHQL = "/func/admin/gql"
_MENU = "nav a[href^='/']"
_ADMIN = "/admin/"
_MAKE_FOLDER = "Create Folder"
_EVENTS_TIMEOUT_MS = 90_000
# As the page does it, with its own headers. The event has an object of the other schema.
_LISTEN = """([headers, id]) => {
    const query = 'subscription Received($id: ID!) {' +
        ' schedulingEventsBySession(sessionId: $id) { reason session { status } } }';
    const body = JSON.stringify({ query, variables: { id } });
    window.received = '';
    fetch('GRAPHQL', { method: 'POST', headers, body }).then(async (answer) => {
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
            const { value, done } = await reader.read();
            if (done) break;
            window.received += value;
        }
    });
}""".replace("GRAPHQL", _GRAPHQL)
_EVENTS = "text/event-stream"  # of a subscription, which is no JSON
# The browser keeps bodies for a while, and none of a request that the page gave up.
_NO_BODY = "Network.getResponseBody"
# What the Web UI shows in place of a page that it could not draw.
_BROKEN = ("An error has occurred", "Something went wrong")


def find_chromium() -> str:
    """The browser; without one the test is skipped, saying how to get it."""
    named = os.environ.get("BUILDER_CHROMIUM") or shutil.which("chromium")
    if not named:
        pytest.skip("no chromium: apt-get install chromium, or set BUILDER_CHROMIUM")
    return named


def pictures() -> Path:
    """Where pictures are kept, for CI to store."""
    folder = Path(os.environ.get("BUILDER_E2E_OUT") or PROJECT / "build" / "e2e")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(kw_only=True)
class Traffic:
    """What a page asks, and its GraphQL requests that have their answers."""

    page: Page
    graphql: list[Request] = field(default_factory=list)
    _pending: set[Request] = field(default_factory=set)
    _quiet_since: float = field(default_factory=time.monotonic)

    def begin(self, request: Request) -> None:
        """Of the page's request."""
        self._pending.add(request)

    def end(self, request: Request) -> None:
        """Of the page's requestfinished and requestfailed."""
        self._pending.discard(request)
        self._quiet_since = time.monotonic()
        if _GRAPHQL in request.url:
            self.graphql.append(request)

    def settle(self) -> None:
        """Wait until the page asks nothing more, or asks again and again for what changes.

        The browser's own idea of an idle network is about whole documents alone.
        """
        self._quiet_since = time.monotonic()
        end = self._quiet_since + _SETTLED_WITHIN_S
        while time.monotonic() < end:
            self.page.wait_for_timeout(100)
            if not self._pending and time.monotonic() - self._quiet_since > _QUIET_S:
                return

    def problems(self) -> list[str]:
        """What went wrong by GraphQL, with the query it went wrong for."""
        return [
            f"{request.frame.url}: {said}: {(request.post_data or '')[:300]}"
            for request in self.graphql
            if (said := _problem(request))
        ]


def _problem(request: Request) -> str:
    response = request.response()
    if response is None:
        return f"no answer: {request.failure}"
    if _EVENTS in response.headers.get("content-type", ""):
        return "" if response.status == 200 else f"{response.status}"
    try:
        table = response.json()
    except (PlaywrightError, ValueError) as error:
        if _NO_BODY in str(error) and response.status == 200:
            return ""
        return f"{response.status}, no JSON: {error}"
    if response.status != 200:
        return f"{response.status}: {table}"
    return str(table["errors"]) if table.get("errors") else ""


@contextmanager
def open_page(home: Path | None = None, names: Mapping[str, str] | None = None) -> Iterator[Page]:
    """An empty page of a browser without a past; it trusts what is in ``home``, if given.

    ``names`` has addresses of hosts by the names that no name server has.
    """
    program = find_chromium()
    rules = ",".join(f"MAP {name} {address}" for name, address in (names or {}).items())
    options = [*_OPTIONS, f"--host-resolver-rules={rules}"] if rules else list(_OPTIONS)
    env = {**os.environ, "HOME": str(home)} if home else None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=options, env=dict(env) if env else None
        )
        try:
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.set_default_timeout(_PAGE_TIMEOUT_MS)
            yield page
        finally:
            browser.close()


def see_login_page(page: Page, url: str, picture: str) -> None:
    """Open the Web UI and see that it asks for an account."""
    page.goto(url)
    page.locator("input[type=password]").first.wait_for(state="visible")
    page.screenshot(path=pictures() / f"{picture}.png")


def log_in(page: Page, login: Login, picture: str) -> None:
    """Log in as a person does, and see that the account is let in."""
    password = page.locator("input[type=password]").first
    account = page.locator("input:visible:not([type=password])").first
    account.fill(login.email)
    password.fill(login.password)
    with page.expect_response(_lets_in):
        password.press("Enter")
    password.wait_for(state="hidden")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=pictures() / f"{picture}.png")


@contextmanager
def logged_in(node: Node, picture: str, login: Login | None = None) -> Iterator[Traffic]:
    """The Web UI of a node after the login, by default that of its own first account."""
    with open_page() as page:
        traffic = watch(page)
        see_login_page(page, f"http://{node.host.address}:{WEB_PORT}/", f"login-{picture}")
        log_in(page, login or node.login(), f"after-login-{picture}")
        yield traffic


def watch(page: Page) -> Traffic:
    """Note what the page asks from now on."""
    traffic = Traffic(page=page)
    page.on("request", traffic.begin)
    page.on("requestfinished", traffic.end)
    page.on("requestfailed", traffic.end)
    return traffic


def see_summary(traffic: Traffic, picture: str) -> None:
    """The page after the login has its menu and what it is for, and no error in their place."""
    page = traffic.page
    page.get_by_text("Sessions", exact=True).first.wait_for(state="visible")
    page.get_by_role("button", name=_MAKE_FOLDER).first.wait_for(state="visible")
    traffic.settle()
    _see_that_it_is_whole(page)
    page.screenshot(path=pictures() / f"{picture}.png")


def make_folder(traffic: Traffic, name: str, picture: str) -> None:
    """Make a folder on the first page, as a person does, and see it in the list."""
    page = traffic.page
    page.get_by_role("button", name=_MAKE_FOLDER).first.click()
    page.get_by_placeholder("(maximum 64 chars)").fill(name)
    traffic.settle()  # where it can be is asked
    with page.expect_response(_makes_a_folder):
        page.get_by_role("button", name="Create", exact=True).click()
    _visit(traffic, _first_of(page, "/data"), picture)
    page.get_by_text(name, exact=True).first.wait_for(state="visible")
    page.screenshot(path=pictures() / f"{picture}.png")


def listen(traffic: Traffic, session: str) -> None:
    """Subscribe to what becomes of a session, by its id."""
    sent = traffic.graphql[-1].headers
    headers = {name: value for name, value in sent.items() if name.startswith("x-")}
    headers |= {"content-type": "application/json", "accept": "text/event-stream"}
    traffic.page.evaluate(_LISTEN, [headers, session])


def received_events(traffic: Traffic, words: str) -> str:
    """All events since ``listen``, as soon as ``words`` are in one."""
    script = "(words) => window.received.includes(words)"
    traffic.page.wait_for_function(script, arg=words, timeout=_EVENTS_TIMEOUT_MS)
    return str(traffic.page.evaluate("window.received"))


def _first_of(page: Page, end: str) -> str:
    return next(path for path in _menu(page) if path.endswith(end))


def walk_menu(traffic: Traffic, picture: str) -> list[str]:
    """Click on each page of the menu and then of the administrators'; their paths."""
    page = traffic.page
    seen = [_visit(traffic, path, picture) for path in _menu(page) if not path.startswith(_ADMIN)]
    page.locator(f"nav a[href^='{_ADMIN}']").first.click()
    page.wait_for_url(f"**{_ADMIN}*")
    page.locator(f"nav a[href='{_ADMIN}agent']").wait_for(state="visible")
    seen += [_visit(traffic, path, picture) for path in _menu(page) if path.startswith(_ADMIN)]
    return seen


def _menu(page: Page) -> list[str]:
    """The paths that it leads to; the logo's has no text."""
    links = page.locator(_MENU).all()
    paths = [link.get_attribute("href") or "" for link in links if link.inner_text().strip()]
    return list(dict.fromkeys(paths))


def _visit(traffic: Traffic, path: str, picture: str) -> str:
    page = traffic.page
    page.locator(f"nav a[href='{path}']").first.click()
    page.wait_for_url(f"**{path}**")
    traffic.settle()
    page.screenshot(path=pictures() / f"{picture}{path.replace('/', '-')}.png")
    _see_that_it_is_whole(page)
    return path


def _see_that_it_is_whole(page: Page) -> None:
    text = page.locator("body").inner_text()
    broken = [words for words in _BROKEN if words in text]
    assert not broken, f"{page.url}: {broken}"


def _makes_a_folder(response: Response) -> bool:
    """By a mutation of one schema, whose answer has objects of the other."""
    asked = response.request.post_data or ""
    return _GRAPHQL in response.url and "createVfolderV2" in asked


def _lets_in(response: Response) -> bool:
    if not response.url.endswith("/server/login") or not response.ok:
        return False
    return bool(response.json().get("authenticated"))
