"""Clients of what was published to other places than the repository's own folder."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import docker
import pytest
from moto.server import ThreadedMotoServer

from builder.base.run import run
from tests.integration.images import Images, Suite
from tests.integration.site import (
    NAME,
    Client,
    Site,
    free_port,
    open_client,
    open_site,
    serving,
    set_up_apt,
    set_up_dnf,
    wait_for_port,
)

pytestmark = pytest.mark.docker

_BUCKET = "packages"
_READABLE = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{_BUCKET}/*",
        }
    ],
}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3-compatible store with a bucket that everybody may read."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket=_BUCKET)
    client.put_bucket_policy(Bucket=_BUCKET, Policy=json.dumps(_READABLE))
    client.close()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ssh_options(tmp_path: Path) -> Iterator[list[str]]:
    """How to log in to an ssh server of the test's own, as the user who runs the test."""
    for tool in ("/usr/sbin/sshd", "/usr/bin/rsync"):
        if not Path(tool).is_file():
            pytest.skip(f"{tool} is not here: apt-get install openssh-server rsync")
    keys = {name: tmp_path / name for name in ("host", "user")}
    for path in keys.values():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": keys["host"],
        "AuthorizedKeysFile": keys["user"].with_suffix(".pub"),
        "PasswordAuthentication": "no",
        "PermitRootLogin": "yes",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    command = ["/usr/sbin/sshd", "-D", "-f", "/dev/null", *options]
    with subprocess.Popen(command) as server:  # noqa: TID251 - in the background
        try:
            wait_for_port(port)
            known = ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null"]
            yield ["-p", str(port), "-i", str(keys["user"]), *known, "-oLogLevel=ERROR"]
        finally:
            server.terminate()


def _retarget(site: Site, url: str, target: str) -> Site:
    """The site as it is read at ``url``, with one more target."""
    config = site.root / "repo.toml"
    config.write_text(config.read_text().replace(site.url, url) + target)
    return replace(site, url=url)


def _upgrades(site: Site, apt: Client, dnf: Client) -> None:
    """Both clients install, and upgrade after a second publication."""
    site.add("1.0")
    site.publish()
    set_up_apt(apt, site)
    set_up_dnf(dnf, site)
    apt.run(f"apt-get update -o APT::Update::Error-Mode=any && apt-get install -y {NAME}")
    dnf.run(f"dnf --assumeyes install {NAME}")
    assert (apt.has(), dnf.has()) == ("1.0", "1.0")
    site.add("1.1")
    site.publish()
    apt.run("apt-get update -o APT::Update::Error-Mode=any && apt-get upgrade -y")
    dnf.run("dnf --assumeyes --refresh upgrade")
    assert (apt.has(), dnf.has()) == ("1.1", "1.1")


def test_clients_read_from_a_bucket(
    engine: docker.DockerClient, images: Images, store: str, tmp_path: Path
) -> None:
    target = (
        f'\n[targets.bucket]\nkind = "s3"\nbucket = "{_BUCKET}"\nprefix = "internal"\n'
        f'endpoint = "{store}"\nregion = "us-east-1"\n'
    )
    with (
        open_site(tmp_path) as own,
        open_client(engine, images.base(Suite.TRIXIE), "s3-apt") as apt,
        open_client(engine, images.rpm(), "s3-dnf") as dnf,
    ):
        site = _retarget(own, f"{store}/{_BUCKET}/internal", target)
        _upgrades(site, apt, dnf)
        site.builder("check", "--target", "bucket")
        client = boto3.Session().client("s3", endpoint_url=store)
        entry = client.get_object(Bucket=_BUCKET, Key="internal/dists/stable/InRelease")
        old = entry["Body"].read().replace(b"SHA256", b"SHA255")
        client.put_object(Bucket=_BUCKET, Key="internal/dists/stable/InRelease", Body=old)
        client.close()
        assert "InRelease" in site.builder("check", "--target", "bucket", check=False).stderr
        done = apt.run("apt-get update -o APT::Update::Error-Mode=any 2>&1", check=False)
        assert done.status != 0, done.stdout


def test_clients_read_what_rsync_sent_over_ssh(
    engine: docker.DockerClient, images: Images, ssh_options: list[str], tmp_path: Path
) -> None:
    www = tmp_path / "www"
    www.mkdir()
    target = (
        f'\n[targets.mirror]\nkind = "rsync"\ndestination = "127.0.0.1:{www}/packages"\n'
        f"ssh-options = {json.dumps(ssh_options)}\n"
    )
    with (
        open_site(tmp_path) as own,
        serving(www) as url,
        open_client(engine, images.base(Suite.BOOKWORM), "rsync-apt") as apt,
        open_client(engine, images.rpm(), "rsync-dnf") as dnf,
    ):
        site = _retarget(own, f"{url}/packages", target)
        _upgrades(site, apt, dnf)
        site.builder("check", "--target", "mirror")
        (package,) = (www / "packages/pool").rglob("tiny_1.0*.deb")
        package.write_bytes(package.read_bytes()[:-1])
        failed = site.builder("check", "--target", "mirror", check=False)
        assert package.name in failed.stderr
