"""Volumes of a real host: mounted, not mounted, gone, hanging, added later and tried."""

import json
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from builder.verify.hosts import Host
from tests.integration import guide
from tests.integration.apt import apt
from tests.integration.clones import node_setup, start_clone
from tests.integration.dist import Dist
from tests.integration.images import Images
from tests.integration.steps import Steps
from tests.integration.stores import run_sql

pytestmark = pytest.mark.docker

_SITE = "/etc/backend.ai/site.toml"
_UNIT = "backendai-storage-proxy.service"
_DISK = "/srv/disk"  # what is mounted: it stands for a server's export
_POINT = "/mnt/nfs"
_PATH = f"{_POINT}/volume1"
_FAST = "/mnt/fast"
_NOT_READY = 69
_REFUSED = 78
# The storage proxy's own list of its volumes, by the API that the manager calls.
_LIST = """
import json, pathlib, urllib.request
secret = pathlib.Path("/var/lib/backendai/secrets/storage-proxy-manager-secret").read_text().strip()
request = urllib.request.Request("http://127.0.0.1:6022/volumes")
request.add_header("X-BackendAI-Storage-Auth-Token", secret)
with urllib.request.urlopen(request, timeout=20) as answer:
    print(",".join(sorted(each["name"] for each in json.load(answer)["volumes"])))
"""


@pytest.fixture
def host(engine: docker.DockerClient, images: Images, dist: Dist, steps: Steps) -> Iterator[Host]:
    """An installed node whose volume is on a mount."""
    setup = node_setup(images, dist, "volumes", devices=("/dev/fuse",))
    with Host(engine, setup) as opened:
        with steps("moved to a mounted volume"):
            move(opened)
        yield opened


def test_a_mount_that_is_missing_or_goes_away(host: Host, steps: Steps) -> None:
    with steps("no start without the mount"):
        refuse_without_mount(host)
    with steps("a mount that goes away"):
        lose_mount(host)
    with steps("bad answers"):
        refuse_answers(host)


@pytest.mark.full  # what is like a missing mount, and what a volume of the end-to-end cases has
def test_volumes_that_hang_or_are_added(host: Host, steps: Steps) -> None:
    with steps("the manager"):
        guide.start_manager(host)
    with steps("a server that hangs"):
        hang(host)
    with steps("a volume that is added"):
        add_volume(host)
    with steps("tried before use"):
        try_volumes(host)
    with steps("mounted by systemd"):
        let_systemd_mount(host)


def move(host: Host) -> None:
    """A bind mount by hand, as an operator tries it first."""
    host.run(["install", "-d", "-o", "1100", "-g", "1100", "-m", "0750", f"{_DISK}/volume1"])
    host.run(["mkdir", "-p", _POINT])
    host.run(["mount", "--bind", _DISK, _POINT])
    host.run(["backendai-ctl", "site", "set", "storage.path", _PATH])
    start_clone(host, services=())
    said = host.run(["backendai-ctl", "configure", "storage-proxy"])
    assert f"{_UNIT}: does not start without the mount {_POINT}" in said.stdout + said.stderr
    start_clone(host, services=("storage-proxy",))
    # What `status` says of the host is then what it says of this service.
    host.run(["systemctl", "disable", "backendai-manager", "backendai-webserver"])
    assert host.read(f"{_DISK}/volume1/version.txt") == "3\n"


def refuse_without_mount(host: Host) -> None:
    """The empty folder below is no volume; once it is mounted, the service starts by itself."""
    host.run(["systemctl", "restart", _UNIT])
    # One of its workers answers, and the others are still starting.
    host.run(["systemctl", "stop", _UNIT])
    assert host.run(["systemctl", "show", "-P", "Result", _UNIT]).stdout == "success\n"
    host.run(["umount", _POINT])
    # The account could use it: only the mount is missing.
    host.run(["install", "-d", "-o", "1100", "-g", "1100", _PATH])
    host.run(["systemctl", "start", "--no-block", _UNIT])
    message = f"{_POINT} is not mounted, so {_PATH} is not the volume"
    host.wait_until("it refuses", lambda: message in host.journal(_UNIT, lines=40), timeout=60)
    assert not answers(host)
    assert proxy(host)["mounted"] is False
    assert message in proxy(host)["problems"][0]
    assert "hint: mount /mnt/nfs" in host.journal(_UNIT, lines=40)
    configured = host.run(["backendai-ctl", "configure", "storage-proxy"])
    assert f"{_PATH} (storage.path) is not mounted: mount {_POINT}" in configured.stderr
    assert host.run(["find", _PATH, "-mindepth", "1"]).stdout == ""
    host.run(["mount", "--bind", _DISK, _POINT])
    guide.wait_until_up(host, ("storage-proxy",))
    assert proxy(host)["up"] is True


def lose_mount(host: Host) -> None:
    """The service runs on; status and doctor say what its users get."""
    host.run(["umount", "--lazy", _POINT])
    status = host.run(["backendai-ctl", "status"], check=False)
    assert status.status == _NOT_READY
    assert f"{_POINT} is not mounted" in " ".join(status.stdout.split())
    (found,) = doctor(host)
    assert (found["severity"], found["where"]) == ("error", _PATH)
    host.run(["mount", "--bind", _DISK, _POINT])
    assert host.run(["backendai-ctl", "status"]).status == 0
    assert doctor(host) == []


def hang(host: Host) -> None:
    """A FUSE file system whose process is stopped answers as a dead server of NFS does: never."""
    host.run(["systemctl", "stop", _UNIT])
    host.run(["umount", _POINT])
    apt(host, "install", "bindfs")
    host.run(["systemd-run", "--unit=fuse", "bindfs", "-f", "-o", "nonempty", _DISK, _POINT])
    host.wait_until("FUSE", lambda: " fuse " in host.read("/proc/self/mountinfo"), timeout=20)
    host.run(["systemctl", "start", _UNIT], timeout=300)
    guide.wait_until_up(host, ("storage-proxy",))
    host.run(["systemctl", "kill", "--signal=STOP", "fuse"])
    try:
        # The kernel answers from what it remembers for a second; the command has a limit.
        host.wait_until(
            "status misses an answer",
            lambda: "does not answer within 5 s" in " ".join(proxy(host)["problems"]),
            timeout=60,
        )
        assert "does not answer" in doctor(host)[0]["what"]
        listed = host.run(["backendai-ctl", "volume", "list"], check=False, timeout=60)
        assert (listed.status, "does not answer" in listed.stdout) == (_NOT_READY, True)
        checked = host.run(["backendai-ctl", "volume", "check"], check=False, timeout=60)
        assert checked.status == _NOT_READY
    finally:
        host.run(["systemctl", "kill", "--signal=CONT", "fuse"])
    host.wait_until("status is well", lambda: proxy(host)["up"] is True, timeout=60)
    host.run(["systemctl", "stop", _UNIT, "fuse"])
    host.run(["umount", "--lazy", _POINT], check=False)
    host.run(["mount", "--bind", _DISK, _POINT])
    host.run(["systemctl", "start", _UNIT], timeout=300)


def add_volume(host: Host) -> None:
    """A later volume is served and granted; a right that an admin removes stays removed."""
    host.run(["install", "-d", "-o", "1100", "-g", "1100", "-m", "0750", _FAST])
    host.write(_SITE, host.read(_SITE) + f'\n[storage.fast]\npath = "{_FAST}"\n')
    assert "volume fast" not in host.run(["backendai-ctl", "seed", "plan"], check=False).stdout
    host.run(["backendai-ctl", "configure", "storage-proxy"])
    assert host.read(f"{_FAST}/version.txt") == "3\n"
    host.run(["systemctl", "restart", _UNIT], timeout=300)
    guide.wait_until_up(host, ("storage-proxy",))
    assert {"volume1", "fast"} <= set(served(host).split(","))
    assert granted(host) == {"local:volume1"}
    host.run(["backendai-ctl", "seed", "apply"], timeout=300)
    assert granted(host) == {"local:volume1", "local:fast"}
    remove = "UPDATE domains SET allowed_vfolder_hosts = allowed_vfolder_hosts - 'local:fast'"
    run_sql(host, remove, database="backend")
    host.run(["backendai-ctl", "seed", "apply"], timeout=300)
    assert granted(host) == {"local:volume1"}


def try_volumes(host: Host) -> None:
    """A good volume, then one that the account cannot write; nothing is left on either."""
    before = host.run(["find", _PATH, _FAST]).stdout
    good = host.run(["backendai-ctl", "volume", "check", "--json"])
    table = json.loads(good.stdout)
    assert table["ok"] is True
    rows = {row["check"]: row["result"] for row in table["volumes"][0]["checks"]}
    assert rows["write"] == rows["owner"] == rows["root"] == rows["lock"] == "ok"
    host.run(["chown", "0:0", _FAST])
    bad = host.run(["backendai-ctl", "volume", "check", "fast"], check=False)
    assert bad.status == _NOT_READY
    assert "fast    write    failed  permission denied" in bad.stdout
    host.run(["chown", "1100:1100", _FAST])
    assert host.run(["find", _PATH, _FAST]).stdout == before


def refuse_answers(host: Host) -> None:
    """One clear message, and the configuration as it was."""
    good, made = host.read(_SITE), host.read("/etc/backend.ai/storage-proxy.toml")
    host.write(
        _SITE,
        good + f'\n[storage.fast]\npath = "{_FAST}"\n[storage.deep]\npath = "{_FAST}/deep"\n',
    )
    refused = host.run(["backendai-ctl", "configure", "storage-proxy"], check=False)
    assert refused.status == _REFUSED
    assert f"storage.deep.path = {_FAST}/deep: lies in storage.fast.path, {_FAST}" in refused.stderr
    assert host.read("/etc/backend.ai/storage-proxy.toml") == made
    host.write(_SITE, good)


def let_systemd_mount(host: Host) -> None:
    """With a line in fstab, starting the service mounts the volume first."""
    host.run(["systemctl", "stop", _UNIT])
    host.run(["umount", _POINT])
    host.write("/etc/fstab", f"{_DISK} {_POINT} none bind 0 0\n")
    host.run(["systemctl", "daemon-reload"])
    needed = host.run(["systemctl", "show", "--property=Requires", _UNIT]).stdout
    assert "mnt-nfs.mount" in needed
    host.run(["systemctl", "start", _UNIT], timeout=300)
    assert host.run(["findmnt", "-n", "-o", "TARGET", _POINT]).stdout.strip() == _POINT
    guide.wait_until_up(host, ("storage-proxy",))


def proxy(host: Host) -> dict[str, Any]:
    """What status has of the storage proxy."""
    result = host.run(["backendai-ctl", "status", "--json"], check=False, timeout=60)
    services = json.loads(result.stdout)["services"]
    return next(each for each in services if each["service"] == "storage-proxy")


def answers(host: Host) -> bool:
    """Whether the storage proxy does."""
    return bool(proxy(host)["answers"])


def doctor(host: Host) -> list[dict[str, Any]]:
    """What the doctor finds of volumes."""
    command = ["backendai-ctl", "doctor", "--only", "volume", "--json"]
    result = host.run(command, check=False, timeout=90)
    findings: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return findings


def served(host: Host) -> str:
    """The volumes that the storage proxy has, by their names."""
    host.write("/srv/list.py", _LIST)
    return host.run(["/opt/backendai/runtime/bin/python3", "/srv/list.py"]).stdout.strip()


def granted(host: Host) -> set[str]:
    """The volumes that the release's own domain may use."""
    found = run_sql(
        host,
        "SELECT jsonb_object_keys(allowed_vfolder_hosts) FROM domains WHERE name = 'default'",
        database="backend",
    )
    return set(found.split())
