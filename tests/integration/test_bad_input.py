"""Answers that cannot work, on a real host: one error each, and nothing half-written."""

from dataclasses import dataclass

import docker
import pytest

from builder.base.model import PackageFormat
from builder.verify.hosts import Host, HostSetup
from tests.integration.apt import apt, refresh_lists
from tests.integration.certificates import FUNCTIONS
from tests.integration.dist import MOUNT, Dist
from tests.integration.images import Images, Suite
from tests.integration.steps import Steps
from tests.integration.stores import start_stores

pytestmark = [pytest.mark.docker, pytest.mark.full]

_SITE = "/etc/backend.ai/site.toml"
_NAMED = '[node]\npublic-host = "node.example.com"\n'
_FOLDER = "/etc/backend.ai/pairs"
_SERVICES = ("webserver", "storage-proxy", "manager")
_REFUSED, _NOT_READY = 78, 69
_VOLUME = "/mnt/nowhere/volume1"
# What configuration writes; not what services write while they run.
_WRITTEN = (
    "find /etc /usr/local /var/lib/backendai/generated /var/lib/backendai/secrets"
    " /var/lib/backendai/trust /var/lib/backendai/tls -type f ! -path /etc/backend.ai/site.toml"
    " -exec sha256sum {} + 2>/dev/null | sort"
)
_PAIRS = f"""\
set -eu
mkdir -p {_FOLDER}
cd {_FOLDER}
{FUNCTIONS}
authority site
authority other
pair good site DNS:node.example.com -days 90
pair foreign site DNS:elsewhere.example.com -days 90
pair expired site DNS:node.example.com -not_before 20200101000000Z -not_after 20210101000000Z
chgrp 1100 *.key # the account's, which the installation makes
chmod 0640 *.key
"""


@dataclass(frozen=True, kw_only=True)
class Bad:
    """An answer to [tls], by the names of files, and what the error says of it."""

    certificate: str
    key: str
    authority: str = "site"
    says: str

    def __str__(self) -> str:
        """Return the text of site.toml."""
        files = {"certificate": self.certificate, "key": self.key, "ca": f"{self.authority}.pem"}
        lines = [f'{key} = "{_FOLDER}/{name}"' for key, name in files.items()]
        return f"{_NAMED}[tls]\n" + "\n".join(lines) + "\n"


_EXPIRED = Bad(certificate="expired.pem", key="expired.key", says="expired.pem: has expired")
_BAD = (
    _EXPIRED,
    Bad(certificate="foreign.pem", key="foreign.key", says="is not for node.example.com"),
    Bad(certificate="good.pem", key="foreign.key", says="does not belong to the certificate"),
    Bad(
        certificate="good.pem",
        key="good.key",
        authority="other",
        says="other.pem: does not verify /etc/backend.ai/pairs/good.pem",
    ),
    Bad(certificate="none.pem", key="good.key", says="none.pem: no such file or directory"),
)


def test_bad_answers(engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps) -> None:
    setup = HostSetup(image=images.stores(Suite.TRIXIE), name="bad", mounts={dist.folder: MOUNT})
    names = ("backendai-common", *(f"backendai-{service}" for service in _SERVICES))
    files = [f"{MOUNT}/{name}" for name in dist.names(PackageFormat.DEB, *names)]
    with Host(engine, setup) as host:
        refresh_lists(host)
        start_stores(host, Suite.TRIXIE)
        host.run(_PAIRS)
        with steps("installed with a certificate that has expired"):
            host.write(_SITE, str(_EXPIRED), mode=0o640)
            said = apt(host, "install", *files)
            assert said.count("error: tls.certificate") == len(_SERVICES)
            assert "webserver.conf" not in host.run(["ls", "/etc/backend.ai"]).stdout
        with steps("no certificate"):
            host.write(_SITE, _NAMED, mode=0o640)
            for service in _SERVICES:
                host.run(["backendai-ctl", "configure", service], timeout=300)
            host.run(["systemctl", "start", "--no-block", "backendai.target"])
            host.run(["backendai-ctl", "status", "--wait", "580"], timeout=600)
        for bad in _BAD:
            with steps(f"refused: {bad.says}"):
                refuse(host, bad)
        with steps("a certificate that fits"):
            fits = Bad(certificate="good.pem", key="good.key", says="")
            host.write(_SITE, str(fits), mode=0o640)
            host.run(["backendai-ctl", "configure", "webserver"], timeout=300)
        with steps("a volume that is missing"):
            miss_volume(host)
        with steps("a password that the database does not take"):
            give_wrong_password(host)


def refuse(host: Host, bad: Bad) -> None:
    """Each service refuses the answer by one error, and nothing is written."""
    host.write(_SITE, str(bad), mode=0o640)
    before = host.run(_WRITTEN).stdout
    for service in _SERVICES:
        done = host.run(["backendai-ctl", "configure", service], check=False, timeout=300)
        errors = [line for line in done.stderr.splitlines() if "error: " in line]
        assert (done.status, len(errors)) == (_REFUSED, 1), done.stderr
        assert bad.says in errors[0]
        assert "hint: " in done.stderr
    assert host.run(_WRITTEN).stdout == before


def miss_volume(host: Host) -> None:
    """It is a warning, as it may come later; until then the storage proxy does not start."""
    host.write(_SITE, f'{_NAMED}[storage]\npath = "{_VOLUME}"\n', mode=0o640)
    done = host.run(["backendai-ctl", "configure", "storage-proxy"], timeout=300)
    assert f"warning: {_VOLUME} (storage.path) is missing: mount it" in done.stderr
    unit = "backendai-storage-proxy"
    assert host.run(["systemctl", "restart", unit], check=False, timeout=300).status != 0
    said = host.run(["journalctl", "-u", unit, "-n", "20", "-o", "cat"]).stdout
    assert f"volume.volume1.path = {_VOLUME}: no such folder" in said
    host.run("test ! -e /mnt/nowhere")
    host.run(f"install -d -o backendai -g backendai -m 0750 {_VOLUME}")
    host.run(f"echo 3 >{_VOLUME}/version.txt")
    active = ["systemctl", "is-active", "--quiet", unit]
    host.wait_until("it starts", lambda: host.run(active, check=False).status == 0, timeout=300)


def give_wrong_password(host: Host) -> None:
    """The stores' own check names the role and what to do; nothing is seeded with it."""
    host.write(_SITE, f'{_NAMED}[database]\npassword = "not-this"\n', mode=0o640)
    host.run(["systemctl", "stop", "backendai-manager"])
    host.run("rm /etc/backend.ai/manager.toml /etc/backend.ai/alembic.ini")
    host.run(["backendai-ctl", "configure", "manager"], timeout=300)
    for command in ("check-stores manager", "seed apply"):
        done = host.run(["backendai-ctl", *command.split()], check=False, timeout=300)
        assert done.status == _NOT_READY
        assert 'password authentication failed for user "backend"' in done.stderr
        assert "correct it in site.toml" in done.stderr
        assert "not-this" not in done.stdout + done.stderr
