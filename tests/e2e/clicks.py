"""Work in the Web UI by clicks: a file goes into a folder, a session begins, opens and ends."""

from collections.abc import Sequence

from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.e2e.browser import Traffic, pictures

_SESSIONS = "nav a[href$='/session']"
_PENDING_MS = 180_000
_OPENED_MS = 90_000


def upload(traffic: Traffic, folder: str, name: str, text: str, picture: str) -> None:
    """Open a folder of the list that the page shows, and put a file into it."""
    page = traffic.page
    page.get_by_text(folder, exact=True).first.click()
    explorer = page.get_by_role("dialog").filter(has=_button(page, "Upload"))
    _button(explorer, "Upload").click()
    with page.expect_file_chooser() as chosen:
        page.get_by_role("menuitem", name="Upload Files").click()
    file = FilePayload(name=name, mimeType="text/plain", buffer=text.encode())
    chosen.value.set_files(file)
    explorer.get_by_text(name, exact=True).first.wait_for()
    page.screenshot(path=pictures() / f"{picture}.png")
    _button(explorer, "Close").click()


def launch(traffic: Traffic, session: str, folders: Sequence[str], picture: str) -> None:
    """Begin a session that has these folders, of the first image that there is, and see it run."""
    page = traffic.page
    page.locator(_SESSIONS).first.click()
    _button(page, "Start Session").first.click()
    page.get_by_label("Session Name").last.fill(session)
    _button(page, "Next").click()
    traffic.settle()
    page.screenshot(path=pictures() / f"{picture}-image.png")
    # Where the launcher lists an image, the first is chosen.
    expect(page.get_by_text("Select…", exact=True)).to_have_count(0)
    _button(page, "Next").click()
    traffic.settle()
    page.get_by_text("Select Folder", exact=True).last.click()
    for folder in folders:
        page.get_by_role("option").filter(has=page.get_by_text(folder, exact=True)).last.click()
    page.keyboard.press("Escape")
    page.screenshot(path=pictures() / f"{picture}-folders.png")
    _button(page, "Skip to review").click()
    _button(page, "Launch").click()
    row_of(page, session).get_by_text("RUNNING", exact=True).wait_for(timeout=_PENDING_MS)
    page.screenshot(path=pictures() / f"{picture}.png")


def open_application(traffic: Traffic, session: str, name: str) -> Page:
    """Open an application of a session that the page lists; its tab."""
    page = traffic.page
    _button(row_of(page, session), "See App Dialog").click()
    with page.context.expect_page(timeout=_OPENED_MS) as opened:
        page.get_by_test_id(f"app-{name}").click()
    _button(page.get_by_test_id("app-launcher-modal"), "Close").click()
    opened.value.set_default_timeout(_OPENED_MS)
    return opened.value


def end(traffic: Traffic, session: str, picture: str) -> None:
    """End a session that the page lists, and see that it is gone from those that run."""
    page = traffic.page
    _button(row_of(page, session), "Terminate Session").click()
    _button(page.get_by_role("dialog"), "Terminate").click()
    row_of(page, session).wait_for(state="detached", timeout=_PENDING_MS)
    page.screenshot(path=pictures() / f"{picture}.png")


def row_of(page: Page, session: str) -> Locator:
    """The line of a session in the list."""
    return page.get_by_role("row").filter(has=page.get_by_text(session, exact=True))


def _button(where: Page | Locator, name: str) -> Locator:
    return where.get_by_role("button", name=name, exact=True)
