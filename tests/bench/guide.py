"""What the official guide's steps need: wheels, and the answers of a node that packages made.

Configuration and keys are copied ready from the packaged node, so that the guide's script
spends no time on editing them.
"""

import base64
import io
import json
import shutil
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from builder.base.cache import Cache
from builder.base.paths import cache_root
from builder.base.run import run
from builder.verify.hosts import Host
from tests.integration.apt import apt

SERVICES = ("manager", "storage-proxy", "webserver", "client")
_SERVERS = {
    "manager": "ai.backend.manager.server",
    "storage-proxy": "ai.backend.storage.server",
    "webserver": "ai.backend.web.server -f /etc/backend.ai/webserver.conf",
}
_CONFIGS = {"manager": "manager.toml", "storage-proxy": "storage-proxy.toml"}
# In the order of their foreign keys.
_FIXTURES = ("container-registries-harbor", "users", "keypairs", "resource-slot-types")
_SAMPLES = "/opt/backendai/manager/share/backendai/fixtures"
_SCRIPT = Path(__file__).parent / "data" / "guide.sh"
_UNIT = """\
[Unit]
After=network-online.target postgresql.service valkey-server.service etcd.service
[Service]
User=backendai
WorkingDirectory=/var/lib/backendai/{service}
Environment=BACKEND_CONFIG_FILE=/etc/backend.ai/{config} DOCKER_HOST=unix:///run/docker.sock
ExecStart=/opt/guide/{service}/bin/python -m {module}
Restart=always
RestartSec=10
LimitNOFILE=5242880
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One wheel of a service."""

    name: str
    version: str
    file: str
    sha256: str


def write_guide(folder: Path, dist: Path, host: Host) -> None:
    """Write all that guide.sh reads into ``folder``, as ``host`` has it."""
    folder.mkdir()
    shutil.copyfile(_SCRIPT, folder / "guide.sh")
    _write_wheels(folder, dist)
    script = f"tar -C / -c etc/backend.ai var/lib/backendai/secrets {_SAMPLES.lstrip('/')} | base64"
    packed = base64.b64decode(host.run(script).stdout)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        # Debian 12's Python 3.11.2 has no filters yet, and ignores the attribute.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    for number, name in enumerate(_FIXTURES):
        target = folder / "fixtures" / f"{number}-{name}.json"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / _SAMPLES.lstrip("/") / f"example-{name}.json", target)
    _write_keys(folder / "etcd", host)
    database = tomllib.loads((folder / "etc/backend.ai/manager.toml").read_text())["db"]
    (folder / "database.sql").write_text(
        f"CREATE ROLE {database['user']} LOGIN PASSWORD '{database['password']}';\n"
        f"CREATE DATABASE {database['name']} OWNER {database['user']};\n"
    )
    for service, module in _SERVERS.items():
        config = _CONFIGS.get(service, "none.toml")
        unit = folder / "units" / f"guide-{service}.service"
        unit.parent.mkdir(exist_ok=True)
        unit.write_text(_UNIT.format(service=service, module=module, config=config))


def _write_wheels(folder: Path, dist: Path) -> None:
    """Link every wheel of the services into one folder, and list those of each."""
    links = folder / "wheels"
    links.mkdir()
    store = Cache(root=cache_root())
    shared = _wheels(dist, "runtime")
    for service in SERVICES:
        wheels = {wheel.name: wheel for wheel in (*shared, *_wheels(dist, service))}.values()
        for wheel in wheels:
            target = links / wheel.file
            if not target.exists():
                built = next((cache_root() / "derived/sdist").glob(f"*/{wheel.file}"), None)
                shutil.copyfile(built or store.blob(wheel.sha256), target)
        pins = "".join(f"{wheel.name}=={wheel.version}\n" for wheel in wheels)
        (folder / f"{service}.txt").write_text(pins)


def _wheels(dist: Path, name: str) -> list[Wheel]:
    """Read the wheels that a package says it was made of."""
    package = next(dist.glob(f"backendai-{name}_*_amd64.deb"))
    member = f"./usr/share/doc/backendai-{name}/build-info.json"
    info = run(["sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -xO "$1"', package, member]).stdout
    fields = ("name", "version", "file", "sha256")
    return [Wheel(**{key: wheel[key] for key in fields}) for wheel in json.loads(info)["wheels"]]


def _write_keys(folder: Path, host: Host) -> None:
    """Write the cluster's keys as the files that `etcd put-json` reads, one for each subject."""
    folder.mkdir()
    begin = "/sorna/local/"
    apt(host, "install", "etcd-client")
    printed = host.run(["etcdctl", "get", "--prefix", begin]).stdout.splitlines()
    trees: dict[str, dict[str, object]] = {}
    for key, value in zip(printed[::2], printed[1::2], strict=True):
        words = key.removeprefix(begin).split("/")
        if words[0] == "nodes":
            continue
        depth = 2 if words[0] == "config" else 1
        tree = trees.setdefault("+".join(words[:depth]), {})
        for word in words[depth:-1]:
            found = tree.setdefault(word, {})
            assert isinstance(found, dict), key
            tree = found
        tree[words[-1]] = value
    for name, tree in trees.items():
        (folder / f"{name}.json").write_text(json.dumps(tree))
