"""A node behind nginx, then Caddy, with TLS: the examples of the guide, as users reach them."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from builder.base.paths import PROJECT
from tests.e2e import browser, by_https, hub, kernel, single
from tests.e2e.nodes import Kind, Node, World, open_node
from tests.e2e.people import have_person
from tests.e2e.trust import home_that_trusts
from tests.integration.apt import apt
from tests.integration.certificates import FUNCTIONS
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full, pytest.mark.xdist_group("proxied")]

_EXAMPLES = PROJECT / "docs/examples"
_GUIDE = PROJECT / "docs/guides/operator.md"
_SITE = "/etc/backend.ai/site.toml"
_NAME, _ADDRESS = "node.example.com", "192.0.2.10"
_LIVE = f"/etc/letsencrypt/live/{_NAME}"
# What certbot would make: a chain, and a key that root alone reads.
_CERTIFICATES = f"""\
set -eu
umask 022
mkdir -p {_LIVE}
cd {_LIVE}
{FUNCTIONS}
authority authority
pair node authority DNS:{_NAME} -days 30
mv node.key privkey.pem
cat node.pem authority.pem >fullchain.pem
install -m 0644 authority.pem /usr/local/share/ca-certificates/authority.crt
update-ca-certificates
"""
_USERS_PORTS = (443, 8081, 6021, 10200, 10201)


@pytest.fixture(scope="module")
def node(world: World, request: pytest.FixtureRequest) -> Iterator[Node]:
    """All services of one node, by the answers of the guide; no proxy runs yet."""
    say = Steps(request.config, "a node behind a proxy")
    mounts = kernel.mounts(world.client)
    with ExitStack() as stack:
        node = stack.enter_context(open_node(world, Kind.TRIXIE, "proxied", mounts=mounts))
        with say("install"):
            node.host.run(f"echo {node.host.address} {_NAME} >>/etc/hosts")
            # Neither begins to serve by itself, on the ports of the other.
            node.host.run("systemctl mask nginx.service caddy.service")
            apt(node.host, "install", "nginx", "caddy", "openssl", "ca-certificates", "curl")
            node.host.run(_CERTIFICATES)
            node.host.run(["mkdir", "-p", _SITE.rpartition("/")[0]])
            node.host.write(_SITE, _answers(), mode=0o640)
            hub.name_as_main(node.host)
            node.install(*single.packages(node.kind))
        with say("all services are active"):
            node.wait_for(*single.ALL)
        kernel.have_image(node)
        yield node


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, node: Node) -> Iterator[str]:
    """A proxy by the guide's example, with this node's address."""
    name = str(request.param)
    {"nginx": _write_nginx, "caddy": _write_caddy}[name](node)
    node.host.run(["systemctl", "unmask", name])
    node.host.run(["systemctl", "start", name])
    yield name
    node.host.run(["systemctl", "stop", name])


def test_each_address_has_the_certificate_and_the_coordinator_refuses_the_rest(
    node: Node, proxy: str
) -> None:
    for port in _USERS_PORTS:
        _curl(node, f"https://{_NAME}:{port}/", "--output", "/dev/null")
    refused = ["--output", "/dev/null", "--write-out", "%{http_code}"]
    assert _curl(node, f"https://{_NAME}:10200/api/circuits", *refused) == "403"
    url = f"https://{_NAME}:10200/v2/proxy/x/add"
    assert _curl(node, url, "--request", "POST", *refused) == "403"


def test_a_login_makes_secure_cookies_and_http_addresses_are_nowhere(
    node: Node, proxy: str
) -> None:
    login = have_person(node)
    body = json.dumps({"username": login.email, "password": login.password})
    node.host.write("/root/login.json", body, mode=0o600)
    given = ["--data", "@/root/login.json", "--header", "Content-Type: application/json"]
    answer = _curl(node, f"https://{_NAME}/server/login", "--include", *given)
    assert '"authenticated": true' in answer
    cookies = [line for line in answer.splitlines() if line.lower().startswith("set-cookie:")]
    assert cookies
    assert all("; secure" in line.lower() for line in cookies)
    config = _curl(node, f"https://{_NAME}/config.toml")
    assert f'"https://{_NAME}' in config
    assert f"http://{_NAME}" not in config


def test_a_browser_uploads_a_file_and_opens_an_application(
    node: Node, proxy: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = node.host.read(f"{_LIVE}/authority.pem")
    home = home_that_trusts(tmp_path_factory.mktemp("home"), authority)
    with browser.open_page(home, {_NAME: node.host.address}) as page:
        web = browser.watch(page)
        browser.see_login_page(page, f"https://{_NAME}/", f"login-{proxy}")
        browser.log_in(page, have_person(node), f"after-login-{proxy}")
        work = by_https.Work(node=node, web=web, host=_NAME, name=proxy)
        work.check_cookies()
        work.upload_and_open()


def test_doctor_has_nothing_to_say_of_it(node: Node, proxy: str) -> None:
    assert node.host.run(["backendai-ctl", "doctor", "--only", "tls"]).stdout.count("\n") <= 1


def _answers() -> str:
    """Return the answers that the guide shows for a node behind a proxy."""
    chapter = _GUIDE.read_text().partition("### A proxy with TLS of your own")[2]
    return chapter.partition("```toml\n")[2].partition("```")[0]


def _write_nginx(node: Node) -> None:
    text = (_EXAMPLES / "nginx.conf").read_text().replace(_ADDRESS, node.host.address)
    node.host.write("/etc/nginx/conf.d/backendai.conf", text)


def _write_caddy(node: Node) -> None:
    """Write the example, and the certificate that no ACME server gives here."""
    text = (_EXAMPLES / "caddy.json").read_text().replace(_ADDRESS, node.host.address)
    config = json.loads(text)
    pair = {"certificate": "/etc/caddy/fullchain.pem", "key": "/etc/caddy/privkey.pem"}
    node.host.run(f"install -o caddy -m 0400 {_LIVE}/fullchain.pem {_LIVE}/privkey.pem /etc/caddy/")
    config["apps"]["tls"] = {"certificates": {"load_files": [pair]}}
    node.host.write("/etc/caddy/Caddyfile.json", json.dumps(config))
    run = "/usr/bin/caddy run --environ --config /etc/caddy/Caddyfile.json"
    node.host.run("mkdir -p /etc/systemd/system/caddy.service.d")
    drop_in = f"[Service]\nExecStart=\nExecStart={run}\n"
    node.host.write("/etc/systemd/system/caddy.service.d/example.conf", drop_in)
    node.host.run("systemctl daemon-reload")


def _curl(node: Node, url: str, *options: str) -> str:
    """Return what curl prints, which trusts the authority by the host's own store."""
    return node.host.run(["curl", "--silent", "--show-error", *options, url]).stdout
