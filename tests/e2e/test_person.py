"""The first hour of a person, who is not the administrator: in a browser, and by the client.

The node is the one of test_single_node, which runs after this.
"""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e import applications, browser, kernel
from tests.e2e.nodes import VOLUME_HOST, Login, Node
from tests.e2e.people import have_person
from tests.integration.stores import run_sql

pytestmark = pytest.mark.docker

_SESSION = "first-hour"
_FOLDER, _FILE, _TEXT = "mine", "note.txt", "uploaded by a person\n"
_COORDINATOR_PORT = 10200


@pytest.fixture(scope="module")
def person(node: Node) -> Login:
    """The account, and an image that it may run."""
    if node.kind.has_rpms and not os.environ.get("BUILDER_FULL"):
        pytest.skip("by rpm: run make e2e-full")
    kernel.have_image(node)
    return have_person(node)


@pytest.fixture(scope="module")
def session(node: Node, person: Login) -> Iterator[str]:
    """The id of a session of the person's, with a folder that has a file."""
    node.client(person, "vfolder", "create", _FOLDER, VOLUME_HOST, timeout=180)
    node.host.write(f"/srv/user/{_FILE}", _TEXT, mode=0o644)
    node.client(person, "vfolder", "upload", _FOLDER, _FILE, timeout=180)
    options = ["--name", _SESSION, "--max-wait", "180", "-r", "cpu=1", "-r", "mem=512m"]
    words = ["session", "create", *options, "-m", _FOLDER, kernel.IMAGE]
    node.client(person, *words, timeout=240)
    ask = f"SELECT id FROM sessions WHERE name = '{_SESSION}'"
    yield run_sql(node.host, ask, database="backend").strip()
    if kernel.containers(node):  # its resources are for the tests that follow
        node.client(person, "session", "destroy", "--forced", _SESSION, timeout=180)


def test_a_person_works_in_a_browser(node: Node, person: Login, session: str) -> None:
    """The terminal shows the file that was uploaded; Jupyter, what the terminal made of it."""
    with browser.logged_in(node, f"person-{node.kind}", person) as traffic:
        page = traffic.page
        terminal = applications.open_application(page, _SESSION, session, "ttyd")
        line = f"cat {_FOLDER}/{_FILE} | tee seen.txt"
        applications.type_in_terminal(terminal, "main1", line, f"terminal-{node.kind}")
        jupyter = applications.open_application(page, _SESSION, session, "jupyter")
        applications.see_in_jupyter(jupyter, "seen.txt", f"jupyter-{node.kind}")
        for opened in (terminal, jupyter):
            # The way was found by the name that the one answer of site.toml gave.
            assert node.host.address in opened.url
            stranger = httpx.get(opened.url, timeout=60)
            assert stranger.status_code >= httpx.codes.BAD_REQUEST, opened.url


def test_a_person_ends_the_session(node: Node, person: Login, session: str) -> None:
    node.client(person, "session", "destroy", _SESSION, timeout=180)
    node.host.wait_until("nothing is left running", lambda: not kernel.containers(node), timeout=90)
    ask = f"SELECT status FROM sessions WHERE id = '{session}'"
    ended = lambda: run_sql(node.host, ask, database="backend").strip() == "TERMINATED"  # noqa: E731
    node.host.wait_until("the session has ended", ended, timeout=60)


def test_the_app_proxy_tells_browsers_the_nodes_name(node: Node) -> None:
    address = f"http://{node.host.address}:{_COORDINATOR_PORT}"
    status = httpx.get(f"{address}/status", headers={"Accept": "application/json"}, timeout=60)
    assert status.json()["advertise_address"].rstrip("/") == address
