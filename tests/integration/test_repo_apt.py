"""apt on clean Debian hosts: installs, upgrades, pins, follows a new key, refuses what is wrong."""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from builder.base.run import Result, run
from tests.integration.images import Images, Suite
from tests.integration.site import (
    NAME,
    Begun,
    Client,
    Site,
    ask_for_credentials,
    expire_key,
    give_credentials,
    make_key,
    open_client,
    open_site,
    set_up_apt,
)

pytestmark = pytest.mark.docker

_UPDATE = "apt-get update -q -o APT::Update::Error-Mode=any"
_INSTALL = "apt-get install -q -y --allow-downgrades"
_KEYRING = f"{NAME}-archive-keyring"
_KILLS = 12 if os.environ.get("BUILDER_FULL") else 6
_PASSWORD = "s3cret%2B+@:~"


@pytest.fixture(params=list(Suite))
def client(
    request: pytest.FixtureRequest, engine: docker.DockerClient, images: Images
) -> Iterator[Client]:
    """A clean host of each Debian."""
    with open_client(engine, images.base(request.param), f"apt-{request.param}") as opened:
        yield opened


# What both do alike is seen on one of them each time.
_ON_ONE = pytest.mark.parametrize(
    "client", [Suite.TRIXIE, pytest.param(Suite.BOOKWORM, marks=pytest.mark.full)], indirect=True
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """A repository with the first version, published."""
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        opened.add("1.0")
        opened.publish("--snapshot")
        yield Begun.of(opened)


@pytest.fixture
def site(published: Begun) -> Site:
    """The same for each test, whatever the one before has made of it."""
    return published.again()


def _update(client: Client, *, check: bool = True) -> Result:
    return client.run(_UPDATE, check=check)


def _refused(client: Client, command: str) -> str:
    result = client.run(command, check=False)
    assert result.status != 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def _use_keys(site: Site, keys: Sequence[tuple[str, str]]) -> Site:
    """The site from now on signed with these keys."""
    config = site.root / "repo.toml"
    names = json.dumps([name for name, _ in keys])
    config.write_text(re.sub(r"(?m)^keys = .*$", f"keys = {names}", config.read_text()))
    site.key_file.write_text("".join(secret for _, secret in keys))
    return replace(site, fingerprint=keys[0][0])


def _add_keyring(site: Site, revision: int) -> Path:
    out = site.root / "keyring"
    site.builder("keyring", "--out", str(out), "--revision", str(revision))
    site.builder("add", str(out), "--channel", "stable")
    return max(out.glob("*.deb"), key=lambda path: path.stat().st_mtime)


@_ON_ONE
def test_install_upgrade_pin_and_go_back(client: Client, site: Site) -> None:
    set_up_apt(client, site)
    _update(client)
    client.run(f"{_INSTALL} {NAME}")
    assert client.has() == "1.0"
    for version in ("1.9", "1.10", "2.0~rc1"):
        site.add(version)
    site.publish()
    _update(client)
    client.run("apt-get upgrade -q -y")
    assert client.has() == "2.0~rc1"
    listed = client.run(f"apt-cache madison {NAME}").stdout.splitlines()
    assert [line.split("|")[1].strip() for line in listed] == [
        "2.0~rc1-1",
        "1.10-1",
        "1.9-1",
        "1.0-1",
    ]
    # Of a version that is not installed, so that apt fetches it.
    changelog = client.run(f"PAGER=cat apt-get changelog -q {NAME}=1.10-1").stdout
    assert f"{NAME} (1.10-1) stable; urgency=high\n  * Fixes CVE-2026-12345.\n" in changelog
    client.run(f"{_INSTALL} {NAME}=1.9-1")
    assert client.has() == "1.9"
    pin = f"Package: {NAME}\\nPin: version 1.*\\nPin-Priority: 1001\\n"
    client.run(f"printf '{pin}' >/etc/apt/preferences.d/{NAME}; apt-get upgrade -q -y")
    assert client.has() == "1.10"
    # A snapshot has what was published then, and no newer version.
    set_up_apt(client, site, site.snapshot)
    _update(client)
    assert client.run("apt-cache policy").stdout.count("n=snapshots/") == 1
    client.run(f"rm /etc/apt/preferences.d/{NAME}; apt-get purge -q -y {NAME}; {_INSTALL} {NAME}")
    assert client.has() == "1.0"


# The option is of apt 2.9 and newer.
@pytest.mark.parametrize("client", [Suite.TRIXIE], indirect=True)
def test_apts_own_option_finds_a_snapshot(client: Client, site: Site) -> None:
    config = site.root / "repo.toml"
    config.write_text(f"{config.read_text()}\n[snapshots]\napt-option = true\n")
    site.add("1.1")
    site.publish()
    set_up_apt(client, site)
    _update(client)  # from Release apt learns where snapshots are
    day = site.snapshot.split("/")[1]
    _refused(client, f"{_UPDATE} --snapshot 2001-01-01")
    client.run(f"{_UPDATE} --snapshot {day}")
    client.run(f"{_INSTALL} --snapshot {day} {NAME}")
    assert client.has() == "1.0"
    client.run(f"{_INSTALL} {NAME}")
    assert client.has() == "1.1"


@_ON_ONE
def test_a_promoted_package_appears_and_a_pruned_one_goes(client: Client, site: Site) -> None:
    config = site.root / "repo.toml"
    config.write_text(
        config.read_text().replace("keep = 5", "keep = 1").replace("max-age-days = 90\n", "")
    )
    site.add("1.1", "testing")
    site.publish()
    set_up_apt(client, site)
    _update(client)
    assert "1.1-1" not in client.run(f"apt-cache madison {NAME}").stdout
    site.builder("promote", NAME, "--from", "testing", "--to", "stable")
    site.builder("prune")
    site.publish()
    _update(client)
    listed = client.run(f"apt-cache madison {NAME}").stdout
    assert "1.1-1" in listed
    assert "1.0-1" not in listed


def _would_upgrade(client: Client, machine: str) -> bool:
    """Whether a host with this machine id would upgrade."""
    said = client.run(f"apt-get -o APT::Machine-ID={machine} -s upgrade").stdout
    return f"Inst {NAME} " in said


@_ON_ONE
def test_a_phased_version_reaches_some_hosts_first(client: Client, site: Site) -> None:
    set_up_apt(client, site)
    _update(client)
    client.run(f"{_INSTALL} {NAME}")
    site.add("1.1", "testing")
    site.builder("promote", NAME, "--from", "testing", "--to", "stable", "--phased", "50")
    site.publish()
    _update(client)
    machines = [f"{number:032x}" for number in range(1, 17)]
    changelog = client.run(f"PAGER=cat apt-get changelog -q {NAME}=1.1-1").stdout
    assert f"{NAME} (1.1-1) stable; urgency=high" in changelog
    early = {machine for machine in machines if _would_upgrade(client, machine)}
    late = [machine for machine in machines if machine not in early]
    assert early
    assert late
    client.run(f"apt-get -o APT::Machine-ID={late[0]} upgrade -q -y")
    assert client.has() == "1.0"
    site.publish("--phased", "100")
    _update(client)
    assert _would_upgrade(client, late[0])
    # A newer version that is not phased, such as a security update, reaches every host at once.
    site.add("1.2", "testing")
    site.builder("promote", NAME, "--from", "testing", "--to", "stable", "--phased", "0")
    site.add("1.3")
    site.publish()
    _update(client)
    client.run(f"apt-get -o APT::Machine-ID={late[0]} upgrade -q -y")
    assert client.has() == "1.3"
    client.run(f"{_INSTALL} {NAME}=1.2-1")
    assert client.has() == "1.2"  # named, it is never held back


@_ON_ONE
def test_a_private_repository_is_read_with_credentials_alone(
    client: Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = site.root / "repo.toml"
    config.write_text(config.read_text().replace("# private = true", "private = true"))
    site.publish()
    ask_for_credentials(monkeypatch, "reader", _PASSWORD, ("keys", "setup"))
    set_up_apt(client, site)
    assert "401" in _refused(client, _UPDATE)
    assert give_credentials(client, site, "reader", _PASSWORD) == [
        f"/etc/apt/auth.conf.d/{NAME}.conf"
    ]
    _update(client)
    client.run(f"{_INSTALL} {NAME}")
    assert client.has() == "1.0"


@_ON_ONE
def test_the_keyring_brings_key_and_sources_and_follows_a_new_key(
    client: Client, site: Site
) -> None:
    old = (site.fingerprint, site.key_file.read_text())
    new = make_key("Successor <next@localhost>")
    _add_keyring(site, 1)
    site.publish()
    (first,) = site.public.glob(f"pool/main/t/{_KEYRING}/*-1_all.deb")
    client.run(
        f"""
        rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
        /usr/lib/apt/apt-helper download-file {site.url}/{first.relative_to(site.public)} /k.deb
        dpkg -i /k.deb
        """
    )
    _update(client)
    client.run(f"{_INSTALL} {NAME}")
    site = _use_keys(site, [old, new])
    _add_keyring(site, 2)
    site.publish()
    _update(client)  # the host knows the old key alone
    client.run("apt-get upgrade -q -y; cp -a /usr/share/keyrings /both")
    site = _use_keys(site, [new])
    site.add("1.1")
    site.publish()
    _update(client)
    client.run("apt-get upgrade -q -y")
    assert client.has() == "1.1"
    # One that never upgraded its keyring is left behind, and says why.
    ring = f"/usr/share/keyrings/{_KEYRING}.gpg"
    client.run(f"dpkg-deb --fsys-tarfile /k.deb | tar -xO .{ring} >{ring}")
    said = _refused(client, _UPDATE)
    assert "NO_PUBKEY" in said or "Missing key" in said
    client.run(f"cp /both/{_KEYRING}.gpg {ring}")
    _update(client)


def test_killed_while_it_publishes_readers_go_on_and_the_next_run_finishes(
    engine: docker.DockerClient, images: Images, site: Site
) -> None:
    begin = time.monotonic()
    site.publish("--refresh")
    whole = time.monotonic() - begin
    command = [sys.executable, "-m", "builder", "repo", "publish", "--root", str(site.root)]
    environment = {"BUILDER_SIGNING_KEY_FILE": str(site.key_file)}
    killed = 0
    with open_client(engine, images.base(Suite.TRIXIE), "apt-killed") as client:
        set_up_apt(client, site)
        for part in range(2, _KILLS):
            site.add(f"1.{part}")
            limit = ["timeout", "--signal=KILL", f"{whole * part / _KILLS:.2f}"]
            killed += run([*limit, *command], env=environment, check=False).status != 0
            client.run(f"rm -rf /var/lib/apt/lists/*; {_UPDATE}; {_INSTALL} --reinstall {NAME}")
        assert killed
        site.publish()
        _update(client)
        client.run("apt-get upgrade -q -y")
        assert client.has() == f"1.{_KILLS - 1}"
    site.builder("check")


def test_another_key_is_refused(client: Client, site: Site) -> None:
    set_up_apt(client, site)
    _update(client)
    other = _use_keys(site, [make_key("Intruder <i@localhost>")])
    other.publish()
    said = _refused(client, _UPDATE)
    assert "NO_PUBKEY" in said or "Missing key" in said


def test_a_key_that_has_expired_is_refused_and_named(
    engine: docker.DockerClient, images: Images, site: Site
) -> None:
    key = make_key("Brief <brief@localhost>")
    site = _use_keys(site, [key])
    site.publish()
    # It was good when it signed; from now on it has a second left.
    site.key_file.write_text(expire_key(key, site.public / "keys" / f"{NAME}.gpg"))
    with (
        open_client(engine, images.base(Suite.BOOKWORM), "apt-expired-12") as older,
        open_client(engine, images.base(Suite.TRIXIE), "apt-expired-13") as newer,
    ):
        for client in (older, newer):
            set_up_apt(client, site)
        time.sleep(2)
        assert "EXPKEYSIG" in _refused(older, _UPDATE)
        # Its apt judges by sqv, for which a signature stays as good as on the day it was made.
        _update(newer)
    # What a check says of a published key past its end is in tests/component/repo/test_check.py.
    problem = site.builder("publish", check=False)
    assert problem.status != 0
    assert f"key {key[0]} (Brief <brief@localhost>) expired on" in problem.stderr
    assert "--quick-set-expire" in problem.stderr


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@_ON_ONE
@pytest.mark.parametrize("name", ["InRelease", "Packages", "deb"])
def test_a_flipped_bit_is_refused(client: Client, site: Site, name: str) -> None:
    set_up_apt(client, site)
    dists = site.public / "dists" / "stable"
    match name:
        case "InRelease":
            _flip(dists / "InRelease")
            _refused(client, _UPDATE)
        case "Packages":
            for path in dists.rglob("*"):
                if path.is_file() and "binary-" in str(path) and path.stat().st_size:
                    _flip(path)
            assert "Hash Sum mismatch" in _refused(client, _UPDATE)
        case _:
            _update(client)
            for path in site.public.glob("pool/**/*.deb"):
                _flip(path)
            assert "Hash Sum mismatch" in _refused(client, f"{_INSTALL} {NAME}")
            assert client.has() == ""
    assert site.builder("check", check=False).status == 12


@_ON_ONE
def test_a_truncated_package_is_refused(client: Client, site: Site) -> None:
    set_up_apt(client, site)
    _update(client)
    for path in site.public.glob("pool/**/*.deb"):
        path.write_bytes(path.read_bytes()[:-10])
    said = _refused(client, f"{_INSTALL} {NAME}")
    assert "unexpected size" in said or "Hash Sum mismatch" in said or "size mismatch" in said
    problem = site.builder("check", check=False)
    assert "bytes, " in problem.stderr


@_ON_ONE
def test_an_index_that_was_rolled_back_is_not_taken(
    client: Client, site: Site, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(site.public / "dists", old)
    time.sleep(1)  # Release states seconds
    site.add("1.1")
    site.publish()
    set_up_apt(client, site)
    _update(client)
    shutil.copytree(old, site.public / "dists", dirs_exist_ok=True)
    _update(client, check=False)
    assert "1.1-1" in client.run(f"apt-cache madison {NAME}").stdout
    problem = site.builder("check", check=False)
    assert "it was rolled back" in problem.stderr


def test_an_index_past_its_date_is_refused(
    engine: docker.DockerClient, images: Images, site: Site
) -> None:
    """An intruder who can only withhold news is found out by Valid-Until."""
    config = site.root / "repo.toml"
    text = config.read_text()
    config.write_text(text.replace("# valid-until-days = 14", "valid-until-days = 1", 1))
    site.publish()
    release = (site.public / "dists" / "stable" / "Release").read_text()
    assert "Valid-Until: " in release
    with open_client(engine, images.base(Suite.TRIXIE), "apt-late") as late:
        set_up_apt(late, site)
        # Said again, because the image has the settings of the machine it was made on.
        update = f"{_UPDATE} -o Acquire::Check-Valid-Until=true -o Acquire::Check-Date=true"
        late.run(update)
        # The client's clock cannot be moved in a container; its idea of the age can.
        forget = "rm -rf /var/lib/apt/lists/*; sleep 2"
        said = _refused(late, f"{forget}; {update} -o Acquire::Max-ValidTime=1")
        assert "is expired" in said or "not valid anymore" in said


@_ON_ONE
def test_apt_file_finds_what_contents_says(client: Client, site: Site) -> None:
    set_up_apt(client, site)
    client.run(
        "printf 'Acquire::IndexTargets::deb::Contents-deb {"
        ' MetaKey "$(COMPONENT)/Contents-$(ARCHITECTURE)";'
        ' ShortDescription "Contents"; Description "Contents"; };\''
        " >/etc/apt/apt.conf.d/50contents"
    )
    _update(client)
    # apt verified it by Release; what it keeps may be compressed.
    found = client.run(
        "ls /var/lib/apt/lists/*Contents* && "
        "/usr/lib/apt/apt-helper cat-file /var/lib/apt/lists/*Contents*"
    ).stdout
    assert re.search(rf"^usr/share/{NAME}/version +[a-z]+/{NAME}$", found, re.MULTILINE), found
