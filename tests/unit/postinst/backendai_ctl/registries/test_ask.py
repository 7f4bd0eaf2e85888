"""Asking a registry, by every way in which one lets nobody in."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from backendai_ctl.registries.ask import Outcome, Verdict, ask_registry

from tests.unit.postinst.backendai_ctl.registries.authorities import make_authority, sign_server
from tests.unit.postinst.backendai_ctl.registries.test_model import registry

PASSWORD = "never shown"
_BASIC = "Basic " + base64.b64encode(f"kim:{PASSWORD}".encode()).decode()


class Handler(BaseHTTPRequestHandler):
    """A registry as its kinds are: htpasswd, tokens, open; or something else."""

    kind: ClassVar[str] = "basic"

    def do_GET(self) -> None:  # the name is http.server's
        """Answer /v2/ and /token."""
        is_known = self.headers.get("Authorization") == _BASIC
        path = self.path.partition("?")[0]
        if self.kind == "else":
            self._answer(404, "<html>")
        elif self.kind == "tokens" and path == "/v2/":
            realm = f"http://127.0.0.1:{self.server.server_port}/token"  # type: ignore[attr-defined]
            self._answer(401, "", f'Bearer realm="{realm}",service="hub"')
        elif self.kind == "open" or is_known:
            self._answer(200, json.dumps({"token": "t"}))
        else:
            self._answer(401, "", 'Basic realm="hub"')

    def _answer(self, status: int, body: str, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing to a test's output."""


@contextmanager
def serving(kind: str, certificate: Path | None = None) -> Iterator[str]:
    """HOST:PORT of a registry of that kind."""
    handler = type("Kind", (Handler,), {"kind": kind})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str, password: str = "", authority: str = "", kind: str = "docker") -> Verdict:
    """The verdict on a registry that is asked as kim, or as nobody."""
    user = "kim" if password else ""
    one = registry(url, user=user, password=password, type=kind, ca="/ca" if authority else "")
    verdict = ask_registry(one, authority)
    assert PASSWORD not in verdict.says + verdict.remedy
    return verdict


@pytest.mark.parametrize(
    ("kind", "password", "outcome", "says"),
    [
        ("open", "", Outcome.FINE, ""),
        ("basic", PASSWORD, Outcome.FINE, ""),
        ("basic", "wrong", Outcome.REFUSED, "refuses the user 'kim' with this password"),
        ("basic", "", Outcome.REFUSED, "asks for a user and a password"),
        ("tokens", PASSWORD, Outcome.FINE, ""),
        ("tokens", "wrong", Outcome.REFUSED, "refuses the user 'kim'"),
        ("tokens", "", Outcome.REFUSED, "asks for a user"),
        ("else", PASSWORD, Outcome.OTHER, "does not answer as a registry does: there is none"),
    ],
)
def test_each_kind_lets_in_whom_it_knows(
    kind: str, password: str, outcome: Outcome, says: str
) -> None:
    with serving(kind) as place:
        verdict = ask(f"http://{place}", password)
    assert verdict.outcome is outcome
    assert says in verdict.says
    assert bool(verdict.remedy) is (outcome is not Outcome.FINE)


def test_a_private_authority_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    other = make_authority(tmp_path, "other").read_text()
    with serving("basic", sign_server(tmp_path, authority)) as place:
        url = f"https://{place}"
        assert ask(url, PASSWORD, authority.read_text()).outcome is Outcome.FINE
        wrong = ask(url, PASSWORD, other)
        assert wrong.outcome is Outcome.UNTRUSTED
        assert "is not valid by registry.ca" in wrong.says
        assert "the authorities that this host trusts" in ask(url, PASSWORD).says
        plain = ask(f"http://{place}", PASSWORD)
        assert plain.outcome is not Outcome.FINE
        name = ask(url.replace("127.0.0.1", "localhost"), PASSWORD, authority.read_text())
        assert name.outcome is Outcome.UNTRUSTED


def test_one_without_tls_is_told_from_one_that_is_not_there() -> None:
    with serving("open") as place:
        spoken = ask(f"https://{place}")
    assert spoken.outcome is Outcome.OTHER
    assert "does not speak TLS" in spoken.says
    gone = ask(f"http://{place}")
    assert gone.outcome is Outcome.UNREACHABLE
    assert "connection refused" in gone.says


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    verdict = ask("https://hub.invalid")
    assert verdict.outcome is Outcome.UNREACHABLE


def test_a_clouds_own_registry_is_not_asked_for_a_password() -> None:
    with serving("basic") as place:
        assert ask(f"http://{place}", kind="ecr").outcome is Outcome.FINE
