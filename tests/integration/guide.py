"""The official guide's steps after installation, done by hand with packaged commands.

Steps 8 (etcd) and 9 (schema and fixtures) and the start of the manager. Step 10 scans a
registry of images on the Internet, and is left out. The fixtures are the release's own,
example key pairs included: fit for a host that a test throws away, never for an operator.
"""

import json
import tempfile
import time
from pathlib import Path

from builder.verify.hosts import Host, HostError
from tests.integration.stores import Addresses, run_sql

UNIT = "backendai-manager.service"
ADDRESS = "http://127.0.0.1:8081/"
PREFIX = "/opt/backendai/manager"
# In the order that their foreign keys ask for.
FIXTURES = ("users", "keypairs", "resource-slot-types", "resource-presets")
_VOLUME_RIGHTS = (
    "create-vfolder",
    "modify-vfolder",
    "delete-vfolder",
    "mount-in-session",
    "upload-file",
    "download-file",
    "invite-others",
    "set-user-specific-permission",
)
_CALL_TIMEOUT_S = 60
_START_TIMEOUT_S = 200
_WORK = "/root/guide"
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


def follow_guide(host: Host, stores: Addresses) -> None:
    """Do steps 8 and 9 for a manager that is installed and configured."""
    host.run(["mkdir", "-p", "-m", "0700", _WORK])
    make_database(host)
    fill_etcd(host, stores)
    fill_database(host)


def make_database(host: Host) -> None:
    """Make the role and the database that the packaged configuration names."""
    run_sql(host, host.run(["backendai-ctl", "sql", "manager"]).stdout)


def fill_etcd(host: Host, stores: Addresses) -> None:
    """Step 8: the addresses of the store and the registry, and the volumes."""
    registry = "config/docker/registry/cr.backend.ai"
    _manage(host, "etcd", "put", "config/redis/addr", stores.redis)
    _manage(host, "etcd", "put", registry, "https://cr.backend.ai")
    _manage(host, "etcd", "put", f"{registry}/type", "harbor2")
    _manage(host, "etcd", "put", f"{registry}/project", "stable,community")
    volumes = {
        "_types": {"group": "", "user": ""},
        "default_host": "local:volume1",
        "proxies": {
            "local": {
                "client_api": "http://127.0.0.1:6021",
                "manager_api": "https://127.0.0.1:6022",
                "secret": "only-for-this-test",
                "ssl_verify": "false",
            }
        },
        "exposed_volume_info": "percentage",
    }
    host.write(f"{_WORK}/volumes.json", json.dumps(volumes), mode=0o600)
    _manage(host, "etcd", "put-json", "volumes", f"{_WORK}/volumes.json")


def fill_database(host: Host) -> None:
    """Step 9 and the end of 8: the schema, the fixtures, the right to use the volume."""
    _manage(host, "schema", "oneshot", "-f", "/etc/backend.ai/alembic.ini")
    for name in FIXTURES:
        target = f"{_WORK}/{name}.json"
        host.write(target, json.dumps(read_fixture(host, name)), mode=0o600)
        _manage(host, "fixture", "populate", target)
    hosts = json.dumps({"local:volume1": _VOLUME_RIGHTS})
    run_sql(
        host,
        f"UPDATE domains SET allowed_vfolder_hosts = '{hosts}' WHERE name = 'default';",
        database="backend",
    )


def read_fixture(host: Host, name: str) -> dict[str, list[dict[str, object]]]:
    """One of the fixtures that the package ships as samples, made loadable.

    The shared memory of a resource preset is a string there and a number in the database.
    """
    found = host.run(["find", PREFIX, "-name", f"example-{name}.json"]).stdout.split()
    if len(found) != 1:
        raise HostError(f"example-{name}.json: expected once below {PREFIX}, found {found}")
    with tempfile.TemporaryDirectory() as folder:
        host.copy_out(found[0], Path(folder))
        tables: dict[str, list[dict[str, object]]] = json.loads(
            (Path(folder) / f"example-{name}.json").read_text()
        )
    for preset in tables.get("resource_presets", []):
        if isinstance(preset.get("shared_memory"), str):
            preset["shared_memory"] = int(str(preset["shared_memory"]))
    return tables


def start_manager(host: Host) -> float:
    """Start the service, wait until it answers, and return the seconds it took.

    Raises HostError with the end of its journal where it does not.
    """
    begin = time.monotonic()
    try:
        host.run(["systemctl", "start", UNIT], timeout=_START_TIMEOUT_S)
        host.wait_until(
            f"GET {ADDRESS}", lambda: get(host).startswith("200 "), timeout=_START_TIMEOUT_S
        )
    except HostError as error:
        end = host.journal(UNIT, lines=60)
        raise HostError(f"{error.message}\nlast answer: {get(host) or 'none'}\n{end}") from error
    return time.monotonic() - begin


def get(host: Host, address: str = ADDRESS) -> str:
    """The status and body that a GET from the host itself gives; empty for no answer."""
    command = [f"{PREFIX}/bin/python3", "-I", "-c", _GET, address]
    return host.run(command, check=False, timeout=20).stdout.strip()


def _manage(host: Host, *arguments: str) -> None:
    host.run(["backend.ai", "mgr", *arguments], timeout=_CALL_TIMEOUT_S)
