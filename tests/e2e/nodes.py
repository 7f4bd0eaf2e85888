"""A node of a cluster: a clean host with the stores of its distribution, and our repository."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from builder.base import log
from builder.base.paths import PROJECT
from builder.verify.engine import Client
from builder.verify.hosts import Host, HostSetup
from tests.e2e.repository import Repository
from tests.integration.apt import apt, refresh_lists
from tests.integration.dnf import install_stub
from tests.integration.images import Images, Suite
from tests.integration.stores import start_stores
from tests.integration.stub import Release

SERVICES = ("manager", "storage-proxy", "webserver")
WEB_PORT = 8090
VOLUME_HOST = "local:volume1"
API = "http://127.0.0.1:8081"
_INSTALL_TIMEOUT_S = 900
_READY_TIMEOUT_S = 900  # two cores that many hosts share
_DOCKER_DROP_IN = "/etc/systemd/system/docker.service.d/container.conf"
_DOCKER_SETTING = "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n"
_KEEP_LISTS = ("-o", "APT::Get::List-Cleanup=0")
# Hosts that are up, for the evidence of a test that fails.
OPEN: dict[str, Host] = {}


class Kind(StrEnum):
    """What a node is."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"
    RPM = "rpm"  # by dnf
    ZYPPER = "zypper"

    @property
    def has_rpms(self) -> bool:
        """Whether a stub stands in for its distribution; apt has what that would bring."""
        return self in (Kind.RPM, Kind.ZYPPER)

    @property
    def suite(self) -> Suite:
        """Whose stores it has."""
        return Suite.BOOKWORM if self is Kind.BOOKWORM else Suite.TRIXIE


@dataclass(frozen=True, kw_only=True)
class Login:
    """An account of the cluster."""

    email: str
    password: str
    access_key: str
    secret_key: str


@dataclass(frozen=True, kw_only=True)
class World:
    """What every node is made in: the engine, the repository, a folder for scratch files."""

    client: Client
    repository: Repository
    scratch: Path


@dataclass(kw_only=True)
class Node:
    """One host, by its package manager."""

    host: Host
    kind: Kind
    scratch: Path
    installed: str = ""  # what the first installation printed
    people: dict[str, Login] = field(default_factory=dict)  # accounts that cases have added

    def install(self, *names: str) -> None:
        """Install packages from the repository."""
        done = self.host.run(self._words("install", names), timeout=_INSTALL_TIMEOUT_S)
        self.installed = self.installed or done.stdout

    def upgrade(self) -> str:
        """Bring every package to the version that apt prefers, or dnf's newest; what is printed."""
        action = "upgrade" if self.kind.has_rpms else "full-upgrade"
        return self.host.run(self._words(action, ()), timeout=_INSTALL_TIMEOUT_S).stdout

    def remove(self, *names: str) -> None:
        """Remove packages, and leave what the operator may want to keep."""
        self.host.run(self._words("remove", names), timeout=_INSTALL_TIMEOUT_S)

    def state(self, service: str) -> str:
        """What systemd says of a service."""
        command = ["systemctl", "is-active", f"backendai-{service}.service"]
        return self.host.run(command, check=False).stdout.strip()

    def wait_for(self, *services: str) -> float:
        """Wait until all are active, and return the seconds it took."""
        return self.host.wait_until(
            f"active: {', '.join(services)}",
            lambda: all(self.state(service) == "active" for service in services),
            timeout=_READY_TIMEOUT_S,
        )

    def login(self) -> Login:
        """The superadmin that the installation made."""
        shown = self.host.run(["backendai-ctl", "credentials", "--show", "--json"]).stdout
        (admin,) = [account for account in json.loads(shown) if account["role"] == "superadmin"]
        return Login(**{name: admin[name] for name in Login.__annotations__})

    def client(
        self,
        login: Login,
        *words: str,
        timeout: int = 90,
        cwd: str = "/srv/user",
        api: str = API,
    ) -> str:
        """Call the published client as anybody on the host; what it prints."""
        env = {
            "HOME": "/srv/user",
            "BACKEND_ENDPOINT": api,
            "BACKEND_ENDPOINT_TYPE": "api",
            "BACKEND_ACCESS_KEY": login.access_key,
            "BACKEND_SECRET_KEY": login.secret_key,
        }
        self.host.run("mkdir -p /srv/user/back && chown nobody /srv/user /srv/user/back")
        script = 'cd "$0" && exec backend.ai "$@"'
        command = ["sh", "-c", script, cwd, *words]
        return self.host.run(command, user="nobody", env=env, timeout=timeout).stdout

    def query(self, login: Login, *words: str) -> Any:
        """The same, with ``--output=json``."""
        return json.loads(self.client(login, "--output=json", *words))

    def _words(self, action: str, names: Sequence[str]) -> list[str]:
        if self.kind is Kind.RPM:
            release = self.host.read("/etc/dnf/vars/releasever").strip()
            return ["dnf", f"--releasever={release}", "--assumeyes", action, *names]
        if self.kind is Kind.ZYPPER:
            options = ["--no-recommends"] if action == "install" else []
            quiet = ["--non-interactive", "--gpg-auto-import-keys"]
            return ["zypper", *quiet, action, *options, *names]
        options = ["--yes", "--no-install-recommends", "--allow-downgrades"]
        return ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, action, *names]


def evidence_folder(case: str, host: str) -> Path:
    """Where what explains a failure of a case is kept: one folder a case, one in it a host."""
    root = Path(os.environ.get("BUILDER_EVIDENCE") or PROJECT / "build" / "evidence")
    return root / "e2e" / case.replace("/", "-") / host


def current_case() -> str:
    """The test that pytest runs now, as its folder of evidence is called."""
    named = os.environ.get("PYTEST_CURRENT_TEST", "no-test")
    return named.rpartition("::")[2].partition(" ")[0]


@contextmanager
def open_node(  # noqa: PLR0913 - by name
    world: World,
    kind: Kind,
    name: str,
    *,
    stores: bool = True,
    mounts: Mapping[Path, str] | None = None,
    shared: Mapping[str, str] | None = None,
) -> Iterator[Node]:
    """A node that knows the repository and has nothing of ours yet; its stores run or are not."""
    with open_host(
        world.client, kind, name, world.scratch, stores=stores, mounts=mounts, shared=shared
    ) as node:
        if kind is Kind.RPM:
            world.repository.set_up_dnf(node.host)
        elif kind is Kind.ZYPPER:
            world.repository.set_up_zypper(node.host)
        else:
            world.repository.set_up_apt(node.host)
            only_ours = "Dir::Etc::sourcelist=sources.list.d/backendai.sources"
            sources = ("-o", only_ours, "-o", "Dir::Etc::sourceparts=-")
            apt(node.host, "update", *sources, *_KEEP_LISTS)
        log.detail(f"{node.host.name}: has the repository")
        yield node


@contextmanager
def open_host(  # noqa: PLR0913 - by name
    client: Client,
    kind: Kind,
    name: str,
    scratch: Path,
    *,
    stores: bool = True,
    mounts: Mapping[Path, str] | None = None,
    shared: Mapping[str, str] | None = None,
) -> Iterator[Node]:
    """The same without any repository of ours."""
    images = Images(client)
    if kind.has_rpms:
        image = images.rpm()
    else:
        image = images.stores(kind.suite) if stores else images.base(kind.suite)
    setup = HostSetup(
        image=image,
        name=name,
        mounts=mounts or {},
        shared=shared or {},
        # Docker's layers need a file system of the disk's own.
        volumes=("/opt", "/var/lib/docker", "/var/lib/containerd"),
        # Containers for sessions ask for the first two; a command in one of the halfstack's, whose
        # first process is not root's, for the last.
        capabilities=("IPC_LOCK", "SYS_NICE", "SYS_PTRACE"),
        evidence=evidence_folder(current_case(), name),
    )
    with Host(client, setup) as host:
        OPEN[name] = host
        try:
            # Without it, Docker refuses networks where the kernel has IPv6 and the host has not.
            host.run(["mkdir", "-p", _DOCKER_DROP_IN.rpartition("/")[0]])
            host.write(_DOCKER_DROP_IN, _DOCKER_SETTING)
            if kind.has_rpms:
                # The oldest release that has what packages built here ask for.
                install_stub(host, Release.EL9, scratch)
            else:
                refresh_lists(host)
            if stores:
                start_stores(host, kind.suite)
            yield Node(host=host, kind=kind, scratch=scratch)
        finally:
            del OPEN[name]
