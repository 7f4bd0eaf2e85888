"""Bundles on hosts without a network: installed, upgraded, removed, and refused in one error."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder.base.paths import PROJECT
from builder.base.run import Result, run
from tests.helpers.repos import DebPackage
from tests.integration.images import Images, Suite
from tests.integration.site import NAME, Client, Site, open_client, open_site

pytestmark = pytest.mark.docker

_MEDIUM = "/media/bundle"
_STATE = "/var/lib/backendai-bundle"
_SOURCE = "/etc/apt/sources.list.d/backendai-bundle.sources"
_REPO = "/etc/yum.repos.d/backendai-bundle.repo"
_ZYPPER_REPO = "/etc/zypp/repos.d/backendai-bundle.repo"
_HOST, _PACKAGES, _IMAGES = 5, 6, 7


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A repository with two versions of a package, and one that needs what is nowhere."""
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        opened.add("1.0")
        opened.add("1.1")
        needy = DebPackage(
            name="needy", version="1", arch="all", extra=f"Depends: {NAME}, libabsent9 (>= 2)\n"
        )
        packed = str(needy.write(opened.root / "dist"))
        opened.builder("add", "--channel", "stable", "--no-manifest", packed)
        opened.publish()
        yield opened


@pytest.fixture(scope="module")
def medium(site: Site) -> Path:
    """A folder with bundles: of the former and the newest version, and of what is needy."""
    out = site.root / "medium"
    make(site, out, f"{NAME}=1.0-1", "--name", "former")
    make(site, out, NAME)
    make(site, out, "needy", "--name", "needy", "--format", "deb")
    make(site, out, NAME, "--name", "foreign", "--arch", "arm64")
    return out


def make(site: Site, out: Path, *words: str) -> None:
    """Make a bundle as a release engineer does."""
    own = {"BUILDER_SIGNING_KEY_FILE": str(site.key_file)}
    given = {name: text for name, text in os.environ.items() if name.startswith("BUILDER_")}
    options = ["--root", str(site.root), "--out", str(out)]
    command = [sys.executable, "-m", "builder", "--quiet", "bundle", *words, *options]
    run(command, cwd=PROJECT, env={**given, **own})


@pytest.fixture(params=[Suite.TRIXIE, pytest.param(Suite.BOOKWORM, marks=pytest.mark.full)])
def client(
    request: pytest.FixtureRequest, engine: docker.DockerClient, images: Images, medium: Path
) -> Iterator[Client]:
    """A clean host of each Debian, with loopback alone."""
    name = f"bundle-{request.param}"
    mounts = {medium: _MEDIUM}
    image = images.base(request.param)
    with open_client(engine, image, name, network="none", mounts=mounts) as opened:
        yield opened


def call(client: Client, name: str, *words: str) -> Result:
    """Call the script of a bundle."""
    return client.run(f"sh {_MEDIUM}/{name}-*.bundle {' '.join(words)}", check=False)


def refused(done: Result, status: int) -> str:
    """What it said when it refused, in one error."""
    assert done.status == status, done.stdout + done.stderr
    assert done.stderr.count("error: ") == 1
    return done.stderr


def test_install_upgrade_and_remove(client: Client, site: Site) -> None:
    pin = ("--fingerprint", site.fingerprint)
    assert "nothing was changed" in call(client, "former", "install", "--dry-run", *pin).stdout
    assert client.run(f"ls {_SOURCE} {_STATE}", check=False).stdout == f"{_STATE}:\n"
    assert call(client, "former", "install", *pin).status == 0
    assert client.has() == "1.0"
    assert f"{_STATE}/former-1.0-1-amd64" in client.run(f"cat {_SOURCE}").stdout
    assert call(client, NAME, "install", *pin).status == 0
    assert client.has() == "1.1"
    assert client.run(f"ls {_STATE}").stdout == f"{NAME}-1.1-1-amd64\n"
    # The source that stays is one that apt can read, today and tomorrow.
    client.run("rm -f /etc/apt/sources.list; apt-get update -o APT::Update::Error-Mode=any")
    assert f"file:{_STATE}" in client.run(f"apt-cache policy {NAME}").stdout
    # A version that is older than the host's is no reason to go back.
    call(client, "former", "install", *pin)
    assert client.has() == "1.1"
    assert call(client, NAME, "remove").status == 0
    assert client.run(f"ls {_SOURCE} {_STATE}", check=False).stdout == ""
    assert client.has() == "1.1"


def test_what_does_not_fit_the_host_changes_nothing(client: Client) -> None:
    said = refused(call(client, "needy", "install"), _PACKAGES)
    assert "needy : Depends: libabsent9 (>= 2)" in said
    assert "builder bundle --with-dependencies" in said
    said = refused(call(client, "foreign", "install"), _HOST)
    assert "this host is amd64, and the bundle is for arm64" in said
    as_nobody = f"setpriv --reuid=65534 --clear-groups sh {_MEDIUM}/{NAME}-*.bundle install"
    assert "install is for root" in refused(client.run(as_nobody, check=False), _HOST)
    assert client.run(f"ls {_SOURCE} {_STATE}", check=False).stdout == f"{_STATE}:\n"
    assert client.has() == ""


@pytest.mark.parametrize(
    ("words", "folder"), [(("install",), _STATE), (("unpack", "/srv/small/new"), "/srv/small")]
)
def test_a_full_disk_is_found_before_anything_is_written(
    engine: docker.DockerClient, images: Images, medium: Path, words: tuple[str, ...], folder: str
) -> None:
    image = images.base(Suite.TRIXIE)
    mounts, tmpfs = {medium: _MEDIUM}, {folder: "size=8k"}
    with open_client(
        engine, image, "bundle-full", network="none", mounts=mounts, tmpfs=tmpfs
    ) as client:
        said = refused(call(client, NAME, *words), _HOST)
        assert f"error: {folder}: " in said
        assert "MiB are needed, and 0 MiB are free" in said
        assert set(client.run(f"ls -A {folder}").stdout.split()) <= {".lock"}
        assert client.run(f"ls {_SOURCE}", check=False).stdout == ""
        assert client.has() == ""


def test_a_killed_installation_can_be_run_again(client: Client) -> None:
    file = f"{_MEDIUM}/{NAME}-*.bundle"
    for moment in ("0.2", "0.5", "0.9", "1.5"):
        client.run(f"timeout -s KILL {moment} sh {file} install", check=False)
    client.run("dpkg --configure -a")
    assert call(client, NAME, "install").status == 0
    assert client.has() == "1.1"
    assert client.run(f"ls -A {_STATE}").stdout == f".lock\n{NAME}-1.1-1-amd64\n"


def install_signed(client: Client, site: Site, source: str) -> None:
    """Install the rpm: by a source that demands signatures, and signed by the site's key."""
    done = call(client, NAME, "install", "--fingerprint", site.fingerprint)
    assert done.status == 0, done.stdout + done.stderr
    assert client.has() == "1.1"
    said = client.run(f"cat {source}; rpm -qi {NAME}").stdout
    assert "gpgcheck=1" in said
    assert site.fingerprint[-16:].lower() in said


def test_dnf(engine: docker.DockerClient, images: Images, site: Site, medium: Path) -> None:
    mounts = {medium: _MEDIUM, site.root / "dist": "/dist"}
    with open_client(engine, images.rpm(), "bundle-rpm", network="none", mounts=mounts) as client:
        client.run(
            "rm -rf /etc/yum.repos.d/*; mkdir -p /etc/dnf/vars; echo 9 >/etc/dnf/vars/releasever"
        )
        # A host of rpms has some: this one has another version already.
        client.run(f"rpm --install /dist/{NAME}-1.0-1.noarch.rpm")
        assert call(client, NAME, "install", "--dry-run").status == 0
        assert client.has() == "1.0"
        install_signed(client, site, _REPO)
        assert "the bundle has no package for dnf" in refused(
            call(client, "needy", "install"), _HOST
        )
        assert call(client, NAME, "remove").status == 0
        assert client.run(f"ls {_REPO} {_STATE}", check=False).stdout == ""


def test_zypper(engine: docker.DockerClient, images: Images, site: Site, medium: Path) -> None:
    mounts = {medium: _MEDIUM, site.root / "dist": "/dist"}
    with open_client(
        engine, images.rpm(), "bundle-zypper", network="none", mounts=mounts
    ) as client:
        # A source of the host's own, which no host without a network reaches.
        client.run(
            "echo ID_LIKE=suse >>/etc/os-release; mkdir -p /etc/zypp/repos.d;"
            " printf '[main]\nbaseurl=https://example.org/\nenabled=1\n' >/etc/zypp/repos.d/m.repo"
        )
        client.run(f"rpm --install /dist/{NAME}-1.0-1.noarch.rpm")
        done = call(client, NAME, "install", "--dry-run")
        assert done.status == 0, done.stdout + done.stderr
        assert "1.0-1 -> 1.1-1" in done.stdout
        assert client.has() == "1.0"
        assert client.run(f"ls {_ZYPPER_REPO}", check=False).stdout == ""
        install_signed(client, site, _ZYPPER_REPO)
        # A version that is older than the host's is no reason to go back.
        call(client, "former", "install")
        assert client.has() == "1.1"
        assert "the bundle has no package for zypper" in refused(
            call(client, "needy", "install"), _HOST
        )
        assert call(client, NAME, "remove").status == 0
        assert client.run(f"ls {_ZYPPER_REPO} {_STATE}", check=False).stdout == ""
