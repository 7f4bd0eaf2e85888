"""The images that clean hosts are made of, built on this machine from Debian's mirror.

Three layers, each made once and kept in the engine under a tag that carries the hash of
its recipe: ``base`` (what debootstrap gives, plus systemd), ``stores`` (the distribution's
PostgreSQL, Redis or Valkey, and etcd, installed but disabled), and ``rpm`` (dnf and the
like on top of the trixie stores). ``python -m tests.integration.images`` makes them all.
"""

import fcntl
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import docker
import docker.errors

from builder.base import log
from builder.base.cache import key_of
from builder.base.errors import ToolError
from builder.base.model import Arch
from builder.base.paths import cache_root
from builder.base.run import find_tool, run
from builder.verify.engine import connect
from builder.verify.hosts import Host, HostSetup

REPOSITORY = "backendai-test"
# Raise it when code below changes what an image holds.
_RECIPE = 3
_BASE_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "ca-certificates",
    "iproute2",
    "procps",
    "adduser",
)
# An emulator needs minutes for the links of ca-certificates: what this machine has in one file is
# copied. The others are for evidence of a failure.
_FOREIGN_PACKAGES = ("systemd", "systemd-sysv", "dbus")
_RPM_PACKAGES = ("dnf", "rpm", "zypper", "createrepo-c")
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_UPDATE_CERTIFICATES = "usr/sbin/update-ca-certificates"
_LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_APT_TIMEOUT_S = 420
_BASE_TIMEOUT_S = 540
_FOREIGN_TIMEOUT_S = 3600  # the emulator runs every maintainer script
# A container cannot give these units the user namespace they ask for.
_DROP_INS = {
    f"etc/systemd/system/{unit}.service.d/container.conf": "[Service]\nPrivateUsers=false\n"
    for unit in ("valkey-server", "redis-server")
}
# Their ``apt-get check`` takes dpkg's lock whenever they please, and a kept image makes up for
# the days it has slept: a test's own apt would find the lock taken.
_MASKED_UNITS = ("apt-daily.timer", "apt-daily-upgrade.timer")
# Keeps apt from starting what it installs while a layer is made.
_NO_START = "/usr/sbin/policy-rc.d"


class Suite(StrEnum):
    """A Debian release to test on."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"

    @property
    def store_packages(self) -> tuple[str, ...]:
        """The distribution's own database, key-value store and etcd."""
        redis = {Suite.BOOKWORM: "redis-server", Suite.TRIXIE: "valkey-server"}[self]
        return ("postgresql", redis, "etcd-server", "etcd-client")

    @property
    def store_units(self) -> tuple[str, ...]:
        """The units of those."""
        redis = {Suite.BOOKWORM: "redis-server", Suite.TRIXIE: "valkey-server"}[self]
        return ("postgresql", redis, "etcd")


@dataclass(frozen=True, kw_only=True)
class AptAccess:
    """How this machine reaches Debian: its mirrors, proxies and extra authorities."""

    mirror: str
    security: str | None
    settings: str
    certificates: dict[str, str]

    def sources(self, suite: Suite) -> str:
        """The sources.list of a host of ``suite``."""
        lines = [
            f"deb {self.mirror} {suite} main",
            f"deb {self.mirror} {suite}-updates main",
        ]
        if self.security:
            lines.append(f"deb {self.security} {suite}-security main")
        return "\n".join([*lines, ""])


def find_apt_access() -> AptAccess:
    """Read this machine's apt configuration; ToolError where it has no Debian mirror."""
    listed = run(["apt-get", "indextargets", "--format", "$(LABEL)\t$(REPO_URI)"]).stdout
    uris: dict[str, str] = {}
    for line in listed.splitlines():
        label, _, uri = line.partition("\t")
        uris.setdefault(label, uri.rstrip("/"))
    if "Debian" not in uris:
        raise ToolError(
            "apt on this machine knows no Debian mirror",
            hint="add one to /etc/apt/sources.list.d and run apt-get update",
        )
    dump = run(["apt-config", "dump", "--format", '%F "%v";%n', "Acquire"]).stdout
    passed = re.compile(r"Acquire::(\w+::Proxy\b|Check-Valid-Until|Check-Date|Retries)")
    return AptAccess(
        mirror=uris["Debian"],
        security=uris.get("Debian-Security"),
        settings="".join(f"{line}\n" for line in dump.splitlines() if passed.match(line)),
        certificates={
            path.name: path.read_text() for path in sorted(_LOCAL_CERTIFICATES.glob("*.crt"))
        },
    )


class Images:
    """Makes the images that are not there yet; safe to use from several processes."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._access = find_apt_access()

    def base(self, suite: Suite) -> str:
        """The image of a minimal host with systemd."""
        tag = f"{suite}-{_short(self._base_recipe(suite))}"
        with self.missing(tag, alias=suite) as missing:
            if missing:
                self._make_base(suite, tag)
        return f"{REPOSITORY}:{tag}"

    def foreign(self, suite: Suite, arch: Arch) -> str:
        """The same of another architecture, whose programs this machine's kernel emulates."""
        recipe = [*self._base_recipe(suite), arch, _FOREIGN_PACKAGES]
        tag = f"{suite}-{arch}-{_short(recipe)}"
        with self.missing(tag, alias=f"{suite}-{arch}") as missing:
            if missing:
                self._make_base(suite, tag, arch=arch)
        return f"{REPOSITORY}:{tag}"

    def stores(self, suite: Suite) -> str:
        """The base with the stores installed, disabled, and apt's lists filled."""
        parent = self.base(suite)
        tag = f"{suite}-stores-{_short([parent, suite.store_packages, _RECIPE])}"
        with self.missing(tag, alias=f"{suite}-stores") as missing:
            if missing:
                with self.layer(parent, f"{suite}-stores", tag) as host, _unstarted(host):
                    _apt_install(host, suite.store_packages)
                    host.run(["systemctl", "disable", *suite.store_units])
        return f"{REPOSITORY}:{tag}"

    def rpm(self) -> str:
        """The trixie stores with rpm, dnf and zypper; a stub of a distribution is to come."""
        parent = self.stores(Suite.TRIXIE)
        tag = f"rpm-{_short([parent, _RPM_PACKAGES, _RECIPE])}"
        with self.missing(tag, alias="rpm") as missing:
            if missing:
                with self.layer(parent, "rpm", tag) as host, _unstarted(host):
                    _apt_install(host, _RPM_PACKAGES)
        return f"{REPOSITORY}:{tag}"

    def _base_recipe(self, suite: Suite) -> list[object]:
        access = self._access
        settings = [access.sources(suite), access.settings, access.certificates]
        return [suite, _BASE_PACKAGES, _DROP_INS, _MASKED_UNITS, settings, _RECIPE]

    @contextmanager
    def missing(self, tag: str, *, alias: str) -> Iterator[bool]:
        """Hold the lock of ``tag``, say whether it has to be made, and name the result."""
        folder = cache_root() / "images"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{tag}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            missing = not self._has(tag)
            begin = time.monotonic()
            if missing:
                log.step(f"making image {REPOSITORY}:{tag}")
            yield missing
            if missing:
                self._client.images.get(f"{REPOSITORY}:{tag}").tag(REPOSITORY, alias)
                log.step(f"made {REPOSITORY}:{tag} in {time.monotonic() - begin:.0f} s")

    def _has(self, tag: str) -> bool:
        try:
            self._client.images.get(f"{REPOSITORY}:{tag}")
        except docker.errors.ImageNotFound:
            return False
        return True

    def _make_base(self, suite: Suite, tag: str, *, arch: Arch | None = None) -> None:
        debootstrap = find_tool("debootstrap", hint="run: apt-get install debootstrap")
        with tempfile.TemporaryDirectory(prefix=f"{suite}-") as folder:
            root = Path(folder) / "root"
            include = ",".join(_FOREIGN_PACKAGES if arch else _BASE_PACKAGES)
            options = ["--variant=minbase", f"--include={include}"]
            options += [f"--arch={arch}"] if arch else []
            limit = ["timeout", str(_FOREIGN_TIMEOUT_S if arch else _BASE_TIMEOUT_S)]
            run([*limit, debootstrap, *options, suite, root, self._access.mirror])
            self._configure(root, suite)
            archive = Path(folder) / "root.tar"
            run(["tar", "-C", root, "-cf", archive, "."])
            self._client.api.import_image_from_file(str(archive), REPOSITORY, tag)

    def _configure(self, root: Path, suite: Suite) -> None:
        files = {
            "etc/apt/sources.list": self._access.sources(suite),
            "etc/apt/apt.conf.d/90host": self._access.settings,
            **_DROP_INS,
            "etc/machine-id": "",  # each host makes its own at boot
        }
        for name, text in self._access.certificates.items():
            files[f"{_LOCAL_CERTIFICATES.relative_to('/')}/{name}"] = text
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for unit in _MASKED_UNITS:
            (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
        if (root / _UPDATE_CERTIFICATES).exists():
            run(["chroot", root, f"/{_UPDATE_CERTIFICATES}"])
        else:
            (root / _CERTIFICATES).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(f"/{_CERTIFICATES}", root / _CERTIFICATES)
        run(["chroot", root, "apt-get", "clean"])

    @contextmanager
    def layer(
        self, parent: str, name: str, tag: str, mounts: Mapping[Path, str] | None = None
    ) -> Iterator[Host]:
        """A host of ``parent`` without volumes, kept as ``tag`` when the block ends well.

        What runs on it then must have been stopped: of a running store half a write is kept.
        """
        setup = HostSetup(
            image=parent, name=f"image-{name}", hostname=name, volumes=(), mounts=mounts or {}
        )
        with Host(self._client, setup) as host:
            yield host
            host.run(["apt-get", "clean"])
            # The next host is another machine, with a journal of its own.
            host.run("rm -rf /var/log/journal/* /etc/machine-id; : >/etc/machine-id; sync")
            host.snapshot(REPOSITORY, tag)

    def remove_former(self, prefix: str, keep: int) -> None:
        """Remove the images whose tags begin with ``prefix``, but for the newest ones.

        What a host runs on is left to the next call.
        """
        found = {
            tag: image.attrs["Created"]
            for image in self._client.images.list(REPOSITORY)
            for tag in image.tags
            if tag.startswith(f"{REPOSITORY}:{prefix}")
        }
        for tag in sorted(found, key=lambda tag: found[tag], reverse=True)[keep:]:
            with suppress(docker.errors.APIError):
                self._client.images.remove(tag)


@contextmanager
def _unstarted(host: Host) -> Iterator[None]:
    """Packages that are installed in this block do not start what they bring."""
    host.write(_NO_START, "#!/bin/sh\nexit 101\n", mode=0o755)
    yield
    host.run(["rm", _NO_START])


def _apt_install(host: Host, packages: Sequence[str]) -> None:
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    host.run(["apt-get", "update", "-qq"], timeout=_APT_TIMEOUT_S)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    host.run(command, timeout=_APT_TIMEOUT_S, env=env)


def _short(recipe: list[object]) -> str:
    return key_of(*recipe)[:12]


def main() -> None:
    """Make every image, the suites at the same time."""
    log.configure(0)
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda suite: Images(connect()).stores(suite), Suite))
    for tag in (*made, Images(connect()).rpm()):
        log.step(tag)


if __name__ == "__main__":
    main()
