"""Headless Chromium on this machine, as a person who opens the Web UI."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, sync_playwright

from builder.paths import PROJECT
from tests.e2e.nodes import Login

# No look at Google's hosts, which a closed network refuses many at a time.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PAGE_TIMEOUT_MS = 90_000


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


@contextmanager
def open_page() -> Iterator[Page]:
    """An empty page of a browser without a past."""
    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_OPTIONS))
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
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


def see_summary(page: Page, picture: str) -> None:
    """The page after the login has its menu, and no error in place of it."""
    page.get_by_text("Sessions", exact=True).first.wait_for(state="visible", timeout=20_000)
    page.screenshot(path=pictures() / f"{picture}.png")


def _lets_in(response: Response) -> bool:
    if not response.url.endswith("/server/login") or not response.ok:
        return False
    return bool(response.json().get("authenticated"))
