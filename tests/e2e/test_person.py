"""The first hour of a person, who is not the administrator: by clicks, in a browser.

The node is the one of test_single_node, which runs after this.
"""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e import applications, browser, clicks, kernel, models
from tests.e2e.browser import Traffic
from tests.e2e.nodes import VOLUME_HOST, Login, Node
from tests.e2e.people import have_person
from tests.integration.stores import run_sql

pytestmark = pytest.mark.docker

_SESSION = "first-hour"
_FOLDER, _FILE, _TEXT = "mine", "note.txt", "uploaded by a person\n"
_PROJECT_FOLDER, _PROJECT_FILE, _PROJECT_TEXT = "shared", "all.txt", "for the project\n"
_COORDINATOR_PORT = 10200
_MODEL, _SERVICE = "model", "answers"
_HEALTHY_TIMEOUT_S = 600


@pytest.fixture(scope="module")
def person(node: Node) -> Login:
    """The account, an image that it may run, and a folder of its project."""
    if node.kind.has_rpms and not os.environ.get("BUILDER_FULL"):
        pytest.skip("by rpm: run make e2e-full")
    kernel.have_image(node)
    admin = node.login()
    project = run_sql(node.host, "SELECT id FROM groups WHERE name = 'default'", database="backend")
    words = ["vfolder", "create", "--group", project.strip(), _PROJECT_FOLDER, VOLUME_HOST]
    node.client(admin, *words, timeout=180)
    node.host.write(f"/srv/user/{_PROJECT_FILE}", _PROJECT_TEXT, mode=0o644)
    node.client(admin, "vfolder", "upload", _PROJECT_FOLDER, _PROJECT_FILE, timeout=180)
    return have_person(node)


@pytest.fixture(scope="module")
def web(node: Node, person: Login) -> Iterator[Traffic]:
    """The Web UI of the person."""
    with browser.logged_in(node, f"person-{node.kind}", person) as traffic:
        yield traffic


@pytest.fixture(scope="module")
def session(node: Node, person: Login, web: Traffic) -> Iterator[str]:
    """The id of the person's session, which has a folder with a file, and the project's folder."""
    browser.make_folder(web, _FOLDER, f"person-folder-{node.kind}")
    clicks.upload(web, _FOLDER, _FILE, _TEXT, f"person-upload-{node.kind}")
    clicks.launch(web, _SESSION, [_FOLDER, _PROJECT_FOLDER], f"person-session-{node.kind}")
    ask = f"SELECT id FROM sessions WHERE name = '{_SESSION}'"
    yield run_sql(node.host, ask, database="backend").strip()
    if kernel.containers(node):  # its resources are for the tests that follow
        node.client(person, "session", "destroy", "--forced", _SESSION, timeout=180)


def test_a_person_works_in_a_browser(node: Node, web: Traffic, session: str) -> None:
    """The terminal shows both folders' files; Jupyter, what the terminal made of them."""
    assert kernel.containers(node), session
    terminal = clicks.open_application(web, _SESSION, "ttyd")
    read = f"cat {_FOLDER}/{_FILE} {_PROJECT_FOLDER}/{_PROJECT_FILE}"
    line = f"{read} | tee {_FOLDER}/seen.txt >seen.txt"
    applications.type_in_terminal(terminal, "main1", line, f"terminal-{node.kind}")
    jupyter = clicks.open_application(web, _SESSION, "jupyter")
    applications.see_in_jupyter(jupyter, "seen.txt", f"jupyter-{node.kind}")
    for opened in (terminal, jupyter):
        # The way was found by the name that the one answer of site.toml gave.
        assert node.host.address in opened.url
        stranger = httpx.get(opened.url, timeout=60)
        assert stranger.status_code >= httpx.codes.BAD_REQUEST, opened.url
        opened.close()


def test_what_was_seen_is_in_the_folder(node: Node, person: Login, session: str) -> None:
    """The session has read both folders; so the client downloads both texts from one."""
    assert session
    words = ["vfolder", "download", _FOLDER, "seen.txt"]
    node.client(person, *words, cwd="/srv/user/back", timeout=180)
    assert node.host.read("/srv/user/back/seen.txt") == _TEXT + _PROJECT_TEXT


def test_a_person_ends_the_session(node: Node, web: Traffic, session: str) -> None:
    clicks.end(web, _SESSION, f"person-end-{node.kind}")
    node.host.wait_until("nothing is left running", lambda: not kernel.containers(node), timeout=90)
    ask = f"SELECT status FROM sessions WHERE id = '{session}'"
    ended = lambda: run_sql(node.host, ask, database="backend").strip() == "TERMINATED"  # noqa: E731
    node.host.wait_until("the session has ended", ended, timeout=60)
    assert web.problems() == []


@pytest.mark.full
def test_a_persons_model_answers_through_its_endpoint(node: Node, person: Login) -> None:
    """By the guide's commands: the endpoint answers whoever has a token, and nobody else."""
    models.make_model(node, person, _MODEL)
    models.serve(node, person, _MODEL, _SERVICE)
    try:
        address = models.endpoint(node, person, _SERVICE, timeout=_HEALTHY_TIMEOUT_S)
        assert node.host.address in address
        token = models.token_for(node, person, _SERVICE)
        answer = models.wait_for_answer(address, token, timeout=_HEALTHY_TIMEOUT_S)
        assert (answer.status_code, answer.text) == (httpx.codes.OK, models.ANSWER)
        for headers in ({}, {"Authorization": f"BackendAI {token[:-4]}nope"}):
            refused = httpx.get(address, headers=headers, timeout=60)
            assert refused.status_code == httpx.codes.UNAUTHORIZED, refused.text
    finally:
        node.client(person, "service", "rm", _SERVICE, timeout=180)
    gone = lambda: not kernel.containers(node)  # noqa: E731
    node.host.wait_until("the service's session has ended", gone, timeout=180)


def test_the_app_proxy_tells_browsers_the_nodes_name(node: Node) -> None:
    address = f"http://{node.host.address}:{_COORDINATOR_PORT}"
    status = httpx.get(f"{address}/status", headers={"Accept": "application/json"}, timeout=60)
    assert status.json()["advertise_address"].rstrip("/") == address
