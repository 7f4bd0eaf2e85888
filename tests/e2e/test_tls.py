"""A node whose one answer is ``[tls] self-signed``: users do all by https.

The browser and the client trust the node's authority and nothing else is relaxed: a wrong name,
or one address by plain HTTP, fails a case.
"""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from playwright.sync_api import Error as PlaywrightError

from tests.e2e import browser, by_https, hub, kernel, single
from tests.e2e.browser import Traffic
from tests.e2e.nodes import VOLUME_HOST, WEB_PORT, Kind, Node, World, open_node
from tests.e2e.people import have_person
from tests.e2e.trust import home_that_trusts
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full]

_AUTHORITY = "/var/lib/backendai/tls/ca.pem"
_SITE = "/etc/backend.ai/site.toml"
# What users reach: the manager, transfers, the Web UI, the coordinator, the worker.
_PORTS = (8081, 6021, WEB_PORT, 10200, 10201)
_BIG = 40 * 2**20  # several chunks of the client's


@pytest.fixture(scope="module")
def node(world: World, request: pytest.FixtureRequest) -> Iterator[Node]:
    """All services of one node, by the one answer."""
    say = Steps(request.config, "a node by TLS")
    mounts = kernel.mounts(world.client)
    with ExitStack() as stack:
        node = stack.enter_context(open_node(world, Kind.TRIXIE, "tls", mounts=mounts))
        with say("install"):
            single.show_to_browsers(node)
            node.host.run(f"printf '[tls]\\nself-signed = true\\n' >>{_SITE}")
            hub.name_as_main(node.host)
            node.install(*single.packages(node.kind))
        with say("all services are active"):
            node.wait_for(*single.ALL)
        yield node


@pytest.fixture(scope="module")
def authority(node: Node) -> str:
    """What users install into their browsers."""
    return node.host.read(_AUTHORITY)


@pytest.fixture(scope="module")
def web(node: Node, authority: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    """The Web UI of a person, in a browser that trusts the authority."""
    kernel.have_image(node)
    home = home_that_trusts(tmp_path_factory.mktemp("home"), authority)
    with browser.open_page(home) as page:
        traffic = browser.watch(page)
        browser.see_login_page(page, f"https://{node.host.address}:{WEB_PORT}/", "login-tls")
        browser.log_in(page, have_person(node), "after-login-tls")
        yield traffic


def test_each_address_has_the_certificate_and_no_plain_http(node: Node, authority: str) -> None:
    context = ssl.create_default_context(cadata=authority)
    for port in _PORTS:
        answer = httpx.get(f"https://{node.host.address}:{port}/", verify=context, timeout=60)
        assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR, port
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://{node.host.address}:{port}/", timeout=60)


def test_a_browser_that_does_not_trust_it_is_warned(node: Node) -> None:
    with browser.open_page() as page, pytest.raises(PlaywrightError, match="ERR_CERT_AUTHORITY"):
        page.goto(f"https://{node.host.address}:{WEB_PORT}/")


def test_a_client_uploads_and_downloads_the_same_bytes(node: Node) -> None:
    login = node.login()
    api = f"https://{node.host.address}:8081"
    node.client(login, "vfolder", "create", "bytes", VOLUME_HOST, timeout=180, api=api)
    node.host.run(f"head -c {_BIG} /dev/urandom >/srv/user/big && chmod 0644 /srv/user/big")
    node.client(login, "vfolder", "upload", "bytes", "big", timeout=180, api=api)
    back = "/srv/user/back"
    node.client(login, "vfolder", "download", "bytes", "big", cwd=back, timeout=180, api=api)
    node.host.run(["cmp", "/srv/user/big", f"{back}/big"])


def test_a_browser_uploads_a_file_and_opens_an_application(node: Node, web: Traffic) -> None:
    work = by_https.Work(node=node, web=web, host=node.host.address, name="tls")
    work.check_cookies()
    work.upload_and_open()


def test_a_renewal_restarts_what_shows_the_certificate(node: Node, authority: str) -> None:
    former = node.host.read("/var/lib/backendai/tls/node.pem")
    before = node.host.run("systemctl show -P MainPID backendai-manager backendai-agent").stdout
    node.host.run("rm /var/lib/backendai/tls/node.pem && backendai-ctl tls renew", timeout=600)
    assert node.host.read("/var/lib/backendai/tls/node.pem") != former
    assert node.host.read(_AUTHORITY) == authority
    after = node.host.run("systemctl show -P MainPID backendai-manager backendai-agent").stdout
    (manager, agent), (new_manager, same_agent) = before.split(), after.split()
    assert manager != new_manager
    assert agent == same_agent
    node.wait_for(*single.ALL)
    context = ssl.create_default_context(cadata=authority)
    httpx.get(f"https://{node.host.address}:{WEB_PORT}/", verify=context, timeout=60)
    node.host.run("systemctl is-active backendai-certificate.timer")
