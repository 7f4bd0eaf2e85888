"""A model that answers: a folder with its definition and its server, and a service of it."""

import time

import httpx

from tests.e2e import kernel
from tests.e2e.nodes import VOLUME_HOST, Login, Node

ANSWER = "healthy"
_PORT = 9000
_CALL_TIMEOUT_S = 180
_DEFINITION = f"""\
models:
  - name: answers
    model_path: /models
    service:
      start_command: python3 /models/serve.py
      port: {_PORT}
      health_check:
        enable: true
        path: /health
        interval: 2
        max_wait_time: 5
        max_retries: 30
        initial_delay: 5
"""
_SERVER = f"""\
from http.server import BaseHTTPRequestHandler, HTTPServer


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{ANSWER}")


HTTPServer(("0.0.0.0", {_PORT}), Answer).serve_forever()
"""


def make_model(node: Node, user: Login, folder: str) -> None:
    """A folder with a model that answers, of the user who serves it."""
    node.client(user, "vfolder", "create", "--usage-mode", "model", folder, VOLUME_HOST)
    for name, text in {"model-definition.yaml": _DEFINITION, "serve.py": _SERVER}.items():
        node.host.write(f"/srv/user/{name}", text, mode=0o644)
        node.client(user, "vfolder", "upload", folder, name)


def serve(node: Node, user: Login, folder: str, name: str) -> None:
    """Create a service of a model as the guide says."""
    options = ["--name", name, "-r", "cpu=1", "-r", "mem=512m"]
    words = ["service", "create", *options, kernel.IMAGE, folder, "1"]
    node.client(user, *words, timeout=_CALL_TIMEOUT_S)


def endpoint(node: Node, user: Login, name: str, *, timeout: int) -> str:
    """The address of a service, which has one only once its session runs."""
    found: list[str] = []

    def has_address() -> bool:
        words = ["service", "get-endpoint", name]
        found.append(node.client(user, *words, timeout=_CALL_TIMEOUT_S).strip())
        return found[-1].startswith("http")

    node.host.wait_until(f"the service {name} has an address", has_address, timeout=timeout)
    return found[-1]


def token_for(node: Node, user: Login, name: str) -> str:
    """A token for the endpoint of a service."""
    words = ["service", "generate-token", "--quiet", name, "1d"]
    return node.client(user, *words, timeout=_CALL_TIMEOUT_S).strip()


def wait_for_answer(address: str, token: str, *, timeout: int) -> httpx.Response:
    """The answer of an endpoint that is healthy, or the last one of an endpoint that is not."""
    headers = {"Authorization": f"BackendAI {token}"}
    end = time.monotonic() + timeout
    while True:
        answer = httpx.get(address, headers=headers, timeout=60)
        if answer.status_code == httpx.codes.OK or time.monotonic() > end:
            return answer
        time.sleep(5)
