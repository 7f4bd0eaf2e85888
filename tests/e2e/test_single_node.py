"""One node with everything: used by a browser and the client, runs sessions, reboots.

Each test stands alone, and all of a kind of node share its host.
"""

import hashlib
import os
from collections.abc import Iterator

import pytest

from builder.verify.hosts import HostError
from tests.e2e import browser, hub, kernel, single
from tests.e2e.nodes import VOLUME_HOST, WEB_PORT, Login, Node
from tests.e2e.people import have_person
from tests.e2e.single import SingleNodes
from tests.integration.stores import run_sql

pytestmark = pytest.mark.docker

_ALL = single.ALL
# What goes with a service, by its package's dependencies.
_GO_WITH = {"manager": ("graphql",)}
_SIZE = 3 << 20


@pytest.fixture(scope="module", params=single.kinds())
def node(request: pytest.FixtureRequest, single_nodes: SingleNodes) -> Iterator[Node]:
    """The node that other modules have used before; these tests are the last."""
    yield single_nodes.open(request.param)
    single_nodes.close(request.param)


@pytest.fixture
def rpm_node(node: Node) -> Node:
    """For what is the same by deb, and asked there by ``make e2e-full`` alone.

    The two nodes are up at the same time: each has its part of the cases.
    """
    if not node.kind.has_rpms and not os.environ.get("BUILDER_FULL"):
        pytest.skip("by deb: run make e2e-full")
    return node


@pytest.fixture
def deb_node(node: Node) -> Node:
    """For what is the same by rpm, and asked there by ``make e2e-full`` alone."""
    if node.kind.has_rpms and not os.environ.get("BUILDER_FULL"):
        pytest.skip("by rpm: run make e2e-full")
    return node


def test_everything_is_up_and_says_so(node: Node) -> None:
    status = node.host.run(["backendai-ctl", "status"], check=False)
    assert status.status == 0, status.stdout + status.stderr
    assert not node.host.failed_units()
    for service in _ALL:
        node.host.run(["backendai-ctl", "wait", service])


def test_the_installation_ends_with_what_to_do_next(node: Node) -> None:
    """One block for all services; whoever follows it has a node that is up and filled."""
    _, found, words = node.installed.rpartition("Backend.AI ")
    assert found
    assert "on this node" in words
    assert f"http://{node.host.address}:{WEB_PORT}/" in words
    for command in ("sudo backendai-ctl credentials --show", "sudo backendai-ctl status --wait"):
        assert node.installed.count(command) == 1
    assert "systemctl start" not in node.installed
    node.host.run(["backendai-ctl", "status", "--wait", "300"], timeout=320)
    node.host.run(["backendai-ctl", "seed", "status"])


def test_an_administrator_adds_a_person_by_one_command(node: Node) -> None:
    person = have_person(node, "ann")
    node.client(person, "vfolder", "create", "of-ann", VOLUME_HOST)
    assert "of-ann" in node.client(person, "vfolder", "list")
    node.client(person, "vfolder", "delete", "of-ann")
    node.host.run(["backendai-ctl", "user", "add", person.email])  # changes nothing


def test_a_person_sees_the_summary(deb_node: Node) -> None:
    """Its first query, myRolesV2, is in a schema that the manager alone does not answer."""
    node = deb_node
    with browser.logged_in(node, str(node.kind)) as traffic:
        browser.see_summary(traffic, f"summary-{node.kind}")
        assert traffic.graphql
        assert traffic.problems() == []


def test_a_person_clicks_through_the_menu(rpm_node: Node) -> None:
    """Every page is drawn, and none of all their queries has an error."""
    node = rpm_node
    with browser.logged_in(node, str(node.kind)) as traffic:
        browser.see_summary(traffic, f"summary-{node.kind}")
        seen = browser.walk_menu(traffic, f"page-{node.kind}")
        ends = {path.rpartition("/")[2] for path in seen}
        assert {"dashboard", "data", "session", "users", "project", "environment"} <= ends
        assert {"agent", "settings", "resource-policy"} <= ends
        # Every page asks; those that were only passed by would not have.
        assert len(traffic.graphql) > len(seen)
        assert traffic.problems() == []


def test_a_person_makes_a_folder(rpm_node: Node) -> None:
    """By the Web UI; the client finds it."""
    node = rpm_node
    with browser.logged_in(node, str(node.kind)) as traffic:
        browser.make_folder(traffic, "by-hand", f"folder-{node.kind}")
        assert traffic.problems() == []
    assert "by-hand" in node.client(node.login(), "vfolder", "list")
    node.client(node.login(), "vfolder", "delete", "by-hand")


def test_a_file_comes_back_as_it_went(node: Node) -> None:
    """By the published client, with the key pair that was made."""
    login = node.login()
    node.client(login, "vfolder", "create", "files", VOLUME_HOST)
    node.host.run(f"head -c {_SIZE} /dev/urandom >/srv/user/up.bin")
    node.client(login, "vfolder", "upload", "files", "up.bin")
    node.client(login, "vfolder", "download", "files", "up.bin", cwd="/srv/user/back")
    sums = node.host.run("sha256sum </srv/user/up.bin; sha256sum </srv/user/back/up.bin").stdout
    first, second = sums.split()[::2]
    assert first == second
    assert len(first) == hashlib.sha256().digest_size * 2
    node.client(login, "vfolder", "delete", "files")


def test_a_session_computes(deb_node: Node) -> None:
    """A container by the node's own Docker, with a folder and an accelerator that is not one."""
    node = deb_node
    login = node.login()
    node.host.wait_until(
        "the agent is ALIVE with the accelerator's slots",
        lambda: _alive_with_slots(node.client(login, "admin", "agent", "list")),
        timeout=120,
    )
    kernel.have_image(node)
    node.client(login, "vfolder", "create", "work", VOLUME_HOST)
    options = ["--name", "first", "--max-wait", "90", "-r", "cpu=1", "-r", "mem=256m"]
    options += ["-r", "cuda.device=1", "-m", "work"]
    node.client(login, "session", "create", *options, kernel.IMAGE, timeout=150)
    code = "print(6*7); open('/home/work/work/out.txt','w').write('from the session')"
    said = node.client(login, "run", "-q", "-t", "first", "-c", code, kernel.IMAGE, timeout=120)
    assert "42" in said
    node.client(login, "vfolder", "download", "work", "out.txt", cwd="/srv/user")
    assert node.host.read("/srv/user/out.txt") == "from the session"
    assert kernel.containers(node)
    node.client(login, "session", "destroy", "first")
    node.host.wait_until("nothing is left running", lambda: not kernel.containers(node), timeout=90)
    # The manager lets go of the folder a moment after the container has gone.
    node.host.wait_until("the folder can go", lambda: _is_deleted(node, login, "work"), timeout=60)


def test_an_ordinary_user_runs_an_image_of_the_sites_own_registry(rpm_node: Node) -> None:
    """By TLS of a private authority and a password; the node has to pull the image.

    It is the registry that the installation was given in place of the default one.
    """
    node = rpm_node
    names = "SELECT DISTINCT registry_name FROM container_registries WHERE type <> 'local'"
    assert run_sql(node.host, names, database="backend").split() == [hub.NAME]
    had_image = kernel.is_loaded(node)
    hub.open_registry(node.host)
    hub.name_in_site(node)
    node.host.run(["backendai-ctl", "seed", "apply"], timeout=180)
    hub.give_image(node)
    node.host.run(["backendai-ctl", "doctor", "--only", "registry"])
    user = have_person(node)
    for name in (hub.NAME, hub.FURTHER):
        node.host.run(["backend.ai", "mgr", "image", "rescan", name], timeout=120)
        assert name in node.client(user, "image", "list")
    options = ["--name", "pulled", "--max-wait", "120", "-r", "cpu=1", "-r", "mem=256m"]
    node.client(user, "session", "create", *options, hub.IMAGE, timeout=180)
    said = node.client(user, "run", "-q", "-t", "pulled", "-c", "print(6*7)", hub.IMAGE)
    assert "42" in said
    node.client(user, "session", "destroy", "pulled")
    node.host.wait_until("nothing is left running", lambda: not kernel.containers(node), timeout=90)
    if had_image:  # other cases ask for it
        kernel.load(node.host)
    # A wrong password is reported, and a change of site.toml is followed.
    node.host.write("/root/wrong", "of nobody\n")
    hub.give_password(node, "/root/wrong")
    examined = node.host.run(["backendai-ctl", "doctor", "--only", "registry"], check=False)
    assert examined.status != 0
    assert "refuses the user 'reader'" in " ".join(examined.stdout.split())
    query = f"SELECT password FROM container_registries WHERE registry_name = '{hub.NAME}'"
    for path in ("/root/wrong", "/etc/hub/password"):
        hub.give_password(node, path)
        node.host.run(["backendai-ctl", "seed", "apply"], timeout=180)
        assert run_sql(node.host, query, database="backend").strip() == node.host.read(path).strip()


def test_a_command_does_not_query_the_terminal(node: Node) -> None:
    """In a terminal that does not answer, that costs seconds and is left in the output."""
    command = ["script", "-qec", "backend.ai session --help", "/dev/null"]
    printed = node.host.run(command, env={"TERM": "xterm-256color"}).stdout
    assert "Usage:" in printed
    assert "\x1b" not in printed


@pytest.mark.full
def test_a_page_receives_the_events_of_a_session(deb_node: Node) -> None:
    """By a subscription, through the webserver and the gateway."""
    node = deb_node
    login = node.login()
    kernel.have_image(node)
    options = ["--name", "watched", "--max-wait", "90", "-r", "cpu=1", "-r", "mem=256m"]
    node.client(login, "session", "create", *options, kernel.IMAGE, timeout=150)
    ask = "SELECT id FROM sessions WHERE name = 'watched'"
    session = run_sql(node.host, ask, database="backend").strip()
    with browser.logged_in(node, str(node.kind)) as traffic:
        browser.see_summary(traffic, f"summary-{node.kind}")
        browser.listen(traffic, session)
        node.client(login, "session", "destroy", "watched")
        events = browser.received_events(traffic, "TERMINATED")
    assert "event: next" in events
    assert '"errors"' not in events
    node.host.wait_until("nothing is left running", lambda: not kernel.containers(node), timeout=90)


def _is_deleted(node: Node, login: Login, folder: str) -> bool:
    try:
        node.client(login, "vfolder", "delete", folder)
    except HostError:  # the manager's answer is in the evidence
        return False
    return True


def test_a_reboot_brings_everything_back(rpm_node: Node) -> None:
    node = rpm_node
    login = node.login()
    node.host.reboot()
    node.wait_for(*_ALL)
    assert node.login() == login
    node.host.wait_until("the agent is ALIVE", lambda: "ALIVE" in _agents(node), timeout=120)
    assert not node.host.failed_units()


@pytest.mark.full
def test_one_goes_and_the_rest_runs(deb_node: Node) -> None:
    """In turn: each is removed, the others go on, and it comes back as it was."""
    node = deb_node
    for service in _ALL:
        gone = (service, *_GO_WITH.get(service, ()))
        rest = [service for service in _ALL if service not in gone]
        node.remove(f"backendai-{service}")
        assert {name: node.state(name) for name in rest} == dict.fromkeys(rest, "active"), service
        assert not node.host.failed_units()
        # What went with it by its dependencies comes back, too.
        node.install(*single.packages(node.kind))
        node.wait_for(*_ALL)


@pytest.mark.full
def test_removed_and_installed_again_it_goes_on(deb_node: Node) -> None:
    """Accounts, folders and what is in them outlive the packages."""
    node = deb_node
    login = node.login()
    node.client(login, "vfolder", "create", "kept", VOLUME_HOST)
    node.host.write("/srv/user/note.txt", "still here\n", mode=0o644)
    node.client(login, "vfolder", "upload", "kept", "note.txt")
    node.remove(*single.packages(node.kind), "backendai-common")
    assert not node.host.run("find /opt/backendai ! -type d", check=False).stdout
    running = "ls -l /proc/[0-9]*/exe 2>/dev/null | grep -F ' /opt/backendai/'"
    assert not node.host.run(running, check=False).stdout
    node.install(*single.packages(node.kind))
    node.wait_for(*_ALL)
    assert node.login() == login
    node.client(login, "vfolder", "download", "kept", "note.txt", cwd="/srv/user/back")
    assert node.host.read("/srv/user/back/note.txt") == "still here\n"
    node.client(login, "vfolder", "delete", "kept")


def _agents(node: Node) -> str:
    return node.client(node.login(), "admin", "agent", "list")


def _alive_with_slots(listed: str) -> bool:
    return "ALIVE" in listed and "cuda.device" in listed
