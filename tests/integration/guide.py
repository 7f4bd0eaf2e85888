"""What an operator does with a manager that was installed where its stores answer."""

import json
import time
from collections.abc import Sequence

from builder.verify.hosts import Host, HostError

UNIT = "backendai-manager.service"
ADDRESS = "http://127.0.0.1:8081/"
PREFIX = "/opt/backendai/manager"
_START_TIMEOUT_S = 200
_READY_TIMEOUT_S = 300
_PORTS = {"manager": 8081, "storage-proxy": 6021, "webserver": 8090}
_GET = """
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
except OSError as error:
    sys.exit(str(error))
"""


def wait_until_filled(host: Host, *, timeout: int = 300) -> None:
    """Wait until nothing is left to fill; HostError with what is missing where it is."""

    def is_filled() -> bool:
        return host.run(["backendai-ctl", "seed", "status"], check=False).status == 0

    try:
        host.wait_until("the stores are filled", is_filled, timeout=timeout, every=2)
    except HostError as error:
        status = host.run(["backendai-ctl", "seed", "status"], check=False)
        journal = host.journal("backendai-seed.service", lines=60)
        raise HostError(f"{error.message}\n{status.stdout}{status.stderr}\n{journal}") from error


def wait_for_port(host: Host, port: int, *, timeout: int = _READY_TIMEOUT_S) -> None:
    """Wait until something listens on a port of the host's loopback.

    The host asks itself: a program for each question would slow what is waited for.
    """
    script = f"until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.3; done"
    host.run(["bash", "-c", script], timeout=timeout)


def wait_until_up(host: Host, services: Sequence[str], *, timeout: int = _READY_TIMEOUT_S) -> None:
    """Wait until each of these services takes connections."""
    for service in services:
        wait_for_port(host, _PORTS[service], timeout=timeout)


def wait_for_answer(host: Host, *, timeout: int = _READY_TIMEOUT_S) -> None:
    """Wait until the manager answers a request."""
    wait_for_port(host, _PORTS["manager"], timeout=timeout)
    host.wait_until(f"GET {ADDRESS}", lambda: get(host).startswith("200 "), timeout=timeout)


def read_account(host: Host) -> dict[str, str]:
    """The superadmin's address, password and keys, as root reads them."""
    shown = host.run(["backendai-ctl", "credentials", "--show", "--json"]).stdout
    (account,) = json.loads(shown)
    assert account["role"] == "superadmin"
    return {key: str(value) for key, value in account.items()}


def start_manager(host: Host) -> float:
    """Restart the service, wait until it answers, and return the seconds it took.

    Raises HostError with the end of its journal where it does not.
    """
    begin = time.monotonic()
    try:
        host.run(["systemctl", "restart", UNIT], timeout=_START_TIMEOUT_S)
        wait_for_answer(host, timeout=_START_TIMEOUT_S)
    except HostError as error:
        end = host.journal(UNIT, lines=60)
        raise HostError(f"{error.message}\nlast answer: {get(host) or 'none'}\n{end}") from error
    return time.monotonic() - begin


def get(host: Host, address: str = ADDRESS) -> str:
    """The status and body that a GET from the host itself gives; empty for no answer."""
    command = [f"{PREFIX}/bin/python3", "-I", "-c", _GET, address]
    return host.run(command, check=False, timeout=20).stdout.strip()
