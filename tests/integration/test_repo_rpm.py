"""dnf and zypper against a repository over HTTP: install, upgrade, stay, and refuse.

What is damaged here is damaged on the server, behind the repository's back, as a failing
disk, a half-done copy or somebody else would.
"""

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import docker
import pytest

from builder.repo.gpg import Gpg, private_home
from builder.repo.serve import _Handler
from builder.verify.hosts import HostError
from tests.integration.images import Images
from tests.integration.site import (
    NAME,
    Client,
    Site,
    ask_for_credentials,
    give_credentials,
    make_key,
    open_client,
    open_site,
    set_up_dnf,
)

pytestmark = pytest.mark.docker

_DNF = "dnf --quiet --assumeyes"
_USE_BASEURL = (
    "sed -i 's|^mirrorlist=\\(.*\\)/mirrorlist$|baseurl=\\1/|' "
    "/etc/yum.repos.d/*.repo /etc/zypp/repos.d/*.repo; grep -q ^baseurl= /etc/yum.repos.d/*.repo"
)
_PASSWORD = "s3cret%2B+@:~"
_KEY_LASTS_S = 25  # enough to sign with
_ZYPPER = "zypper --quiet --non-interactive --gpg-auto-import-keys"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A repository with two versions."""
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        opened.add("1.0")
        opened.publish("--snapshot")
        opened.add("1.1")
        opened.publish()
        yield opened


@pytest.fixture
def client(engine: docker.DockerClient, images: Images, site: Site) -> Iterator[Client]:
    """A host with dnf and zypper that knows the repository and nothing else."""
    with open_client(engine, images.rpm(), "repo-rpm") as opened:
        set_up_dnf(opened, site)
        yield opened


def test_dnf_installs_upgrades_and_keeps_a_pinned_version(client: Client, site: Site) -> None:
    client.run(f"{_DNF} install {NAME}-1.0")
    assert client.has() == "1.0"
    client.run(f"{_DNF} upgrade")
    assert client.has() == "1.1"
    client.run(f"{_DNF} downgrade {NAME}-1.0")
    assert client.has() == "1.0"
    client.run("sed -i '/^\\[main\\]/a excludepkgs=tiny-1.1*' /etc/dnf/dnf.conf")
    client.run(f"{_DNF} upgrade")
    assert client.has() == "1.0"
    files = client.run(f"{_DNF} repoquery --list {NAME}").stdout
    assert f"/usr/share/{NAME}/version" in files
    client.run(f"{_DNF} remove {NAME}")
    assert not client.has()
    # A snapshot has what was published then, and no newer version.
    client.run("sed -i '/^excludepkgs=/d' /etc/dnf/dnf.conf")
    set_up_dnf(client, site, site.snapshot)
    client.run(f"{_DNF} install {NAME}")
    assert client.has() == "1.0"


def test_dnf_knows_which_update_fixes_what(client: Client, site: Site) -> None:
    """And installs by that alone: ``upgrade --security`` leaves what fixes nothing."""
    plain = {"version": "1.0", "revision": 1, "day": "2026-11-25", "changes": ["First packages."]}
    fix = {
        **plain,
        "version": "1.1",
        "urgency": "high",
        "changes": ["Update <a library>."],
        "fixes": ["CVE-2026-12345", "GHSA-aaaa-bbbb-cccc"],
    }
    client.run(f"{_DNF} install {NAME}-1.0")
    site.publish_advisories({**fix, "fixes": []}, plain)
    client.run(f"{_DNF} --refresh upgrade --security")
    assert client.has() == "1.0"
    site.publish_advisories(fix, plain)
    listed = client.run("dnf --refresh --quiet updateinfo list").stdout.split("\n")
    assert [line.split() for line in listed if line] == [
        ["BACKENDAI-1.1-1", "Important/Sec.", "tiny-1.1-1.noarch"]
    ]
    shown = client.run("dnf --quiet updateinfo info").stdout
    for text in ("security", "Important", "CVE-2026-12345", "tiny 1.1-1: Update <a library>."):
        assert text in shown
    assert "CVE-2026-12345" in client.run("dnf --quiet updateinfo list --with-cve").stdout
    client.run(f"{_DNF} upgrade --security")
    assert client.has() == "1.1"
    site.publish()


def test_zypper_installs_upgrades_and_keeps_a_pinned_version(client: Client, site: Site) -> None:
    client.run(f"{_ZYPPER} refresh")
    client.run(f"{_ZYPPER} install {NAME}=1.0-1")
    assert client.has() == "1.0"
    client.run(f"{_ZYPPER} addlock {NAME} && {_ZYPPER} update")
    assert client.has() == "1.0"
    client.run(f"{_ZYPPER} removelock {NAME} && {_ZYPPER} update")
    assert client.has() == "1.1"
    client.run(f"{_ZYPPER} install --oldpackage {NAME}=1.0-1")
    assert client.has() == "1.0"


def test_what_is_promoted_is_seen_without_a_copy(client: Client, site: Site) -> None:
    set_up_dnf(client, site, channel="testing")
    with pytest.raises(HostError, match=f"(?i)unable to find a match: {NAME}"):
        client.run(f"{_DNF} install {NAME}")
    pool = sorted((site.public / "pool").rglob("*.*"))
    site.builder("promote", f"{NAME}=1.0-1", "--from", "stable", "--to", "testing")
    site.publish()
    client.run(f"{_DNF} --refresh install {NAME}")
    assert client.has() == "1.0"
    assert sorted((site.public / "pool").rglob("*.*")) == pool


def test_plain_baseurl_works_too(client: Client, site: Site) -> None:
    """For mirrors and proxies that rewrite addresses."""
    client.run(_USE_BASEURL)
    client.run(f"{_DNF} install {NAME}")
    assert client.has() == "1.1"


def test_a_private_repository_is_read_with_credentials_alone(
    client: Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = site.root / "repo.toml"
    with changed(config, config.read_bytes().replace(b"# private = true", b"private = true")):
        site.publish()
        ask_for_credentials(monkeypatch, "reader", _PASSWORD, ("keys", "setup"))
        set_up_dnf(client, site)
        done = client.run(f"dnf --assumeyes --refresh install {NAME} 2>&1", check=False)
        assert done.status != 0
        assert "401" in done.stdout
        files = give_credentials(client, site, "reader", _PASSWORD)
        assert f"/etc/dnf/vars/{NAME}_password" in files
        client.run(f"{_DNF} --refresh install {NAME}")
        assert client.has()
    monkeypatch.undo()
    site.publish()


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """The file with other content for as long as the block runs."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def flip(data: bytes) -> bytes:
    """One bit of it is another."""
    place = len(data) * 2 // 3
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def served(site: Site, name: str) -> Path:
    """The file of the newest snapshot that dnf reads first, or one beside it."""
    mirrorlist = (site.public / "rpm/stable/main/x86_64/mirrorlist").read_text()
    folder = site.public / mirrorlist.strip().removeprefix(f"{site.url}/")
    (found,) = folder.glob(f"repodata/{name}")
    return found


def refuses(client: Client, site: Site, *words: str) -> None:
    """dnf, zypper and ``check`` each refuse; dnf says one of ``words``."""
    done = client.run(f"dnf --assumeyes --refresh install {NAME} 2>&1", check=False)
    assert done.status != 0, done.stdout
    assert any(word.lower() in done.stdout.lower() for word in words), done.stdout
    client.run(f"{_ZYPPER} refresh", check=False)
    assert client.run(f"{_ZYPPER} install {NAME}", check=False).status != 0
    assert not client.has()
    assert site.builder("check", check=False).status != 0


@pytest.mark.parametrize("name", ["*-primary.xml.gz", "repomd.xml", "repomd.xml.asc"])
def test_a_flipped_bit_in_an_index_is_refused(client: Client, site: Site, name: str) -> None:
    path = served(site, name)
    with changed(path, flip(path.read_bytes())):
        refuses(client, site, "checksum", "signature", "GPG", "metadata")


def test_a_flipped_bit_in_a_package_is_refused(client: Client, site: Site) -> None:
    path = site.public / "pool/main/t/tiny/tiny-1.1-1.noarch.rpm"
    with changed(path, flip(path.read_bytes())):
        refuses(client, site, "checksum", "does not match")


def test_a_truncated_upload_is_refused(client: Client, site: Site) -> None:
    path = served(site, "*-primary.xml.gz")
    with changed(path, path.read_bytes()[:-40]):
        refuses(client, site, "checksum", "metadata")
    path = site.public / "pool/main/t/tiny/tiny-1.1-1.noarch.rpm"
    with changed(path, path.read_bytes()[:-40]):
        refuses(client, site, "checksum", "does not match", "size", "download")


def test_an_index_that_names_another_package_is_refused(client: Client, site: Site) -> None:
    """Whoever can write to the server, but has no key, swaps in a list of their own."""
    primary = served(site, "*-primary.xml.gz")
    forged = gzip.compress(gzip.decompress(primary.read_bytes()).replace(b"1.1", b"9.9"))
    with changed(primary, forged):
        refuses(client, site, "checksum", "metadata")


def test_a_signature_by_another_key_is_refused(client: Client, site: Site) -> None:
    _, key = make_key("Somebody else <else@localhost>")
    entry = served(site, "repomd.xml")
    with private_home() as home:
        gpg = Gpg(home)
        gpg.import_keys(key)
        signature = home / "signature"
        gpg.call(["--armor", "--output", signature, "--detach-sign", entry])
        foreign = signature.read_bytes()
    with changed(served(site, "repomd.xml.asc"), foreign):
        refuses(client, site, "signature", "GPG")


def test_an_unsigned_package_is_refused_by_a_signed_repository(
    client: Client, site: Site, tmp_path: Path
) -> None:
    """The index says so, and the index is well signed: rpm's own check must catch it."""
    config = site.root / "repo.toml"
    text = config.read_text()
    with changed(config, text.replace("packages = true", "packages = false").encode()):
        site.add("1.2", channel="nightly")
        site.publish()
        set_up_dnf(client, site, channel="nightly")
        client.run("sed -i 's/^gpgcheck=0/gpgcheck=1/' /etc/yum.repos.d/*.repo")
        done = client.run(f"dnf --assumeyes install {NAME} 2>&1", check=False)
    assert done.status != 0
    assert "not signed" in done.stdout
    site.publish()


@pytest.fixture
def publish_meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Site], None]:
    """Has the next reader of a repomd.xml get the old one while a publication happens."""
    send = _Handler.copyfile

    def arm(site: Site) -> None:
        waiting = ["publication"]

        def copyfile(handler: _Handler, source: BinaryIO, target: BinaryIO) -> None:
            if handler.path.endswith("/repomd.xml") and waiting:
                waiting.pop()
                site.publish()  # the old file is open already, and is what is sent
            send(handler, source, target)

        monkeypatch.setattr(_Handler, "copyfile", copyfile)

    return arm


@pytest.mark.parametrize("plain", [False, True])
def test_a_publication_between_an_index_and_its_signature(
    client: Client, site: Site, publish_meanwhile: Callable[[Site], None], plain: bool
) -> None:
    """By the mirrorlist nobody notices. By baseurl zypper fails; dnf tries again by itself."""
    if plain:
        client.run(_USE_BASEURL)
    newest = "2.1" if plain else "2.0"
    client.run(f"{_DNF} makecache; {_ZYPPER} refresh")
    site.add(newest, channel="nightly")
    site.builder("promote", NAME, "--from", "nightly", "--to", "stable")
    publish_meanwhile(site)
    refreshed = client.run(f"{_ZYPPER} refresh --force 2>&1", check=False)
    assert (refreshed.status == 0) is not plain, refreshed.stdout
    assert ("signature verification failed" in refreshed.stdout.lower()) is plain
    client.run(f"{_ZYPPER} refresh --force && {_ZYPPER} install {NAME}")
    assert client.has() == newest
    site.add(f"{newest}.1")
    publish_meanwhile(site)
    client.run(f"{_DNF} --refresh upgrade && {_DNF} --refresh upgrade")
    assert client.has() == f"{newest}.1"


def test_a_new_key_follows_an_old_one(
    engine: docker.DockerClient, images: Images, tmp_path: Path
) -> None:
    """With both keys in use, a host that has the old one alone goes on, and so does a new one."""
    with open_site(tmp_path) as site, open_client(engine, images.rpm(), "repo-rotate") as client:
        site.add("1.0")
        site.publish()
        set_up_dnf(client, site)
        client.run(f"{_DNF} install {NAME}")
        fingerprint, key = make_key("Tests, next year <next@localhost>")
        config = site.root / "repo.toml"
        old = f'"{site.fingerprint}"'
        config.write_text(config.read_text().replace(old, f'{old}, "{fingerprint}"'))
        both = tmp_path / "both.asc"
        both.touch(mode=0o600)
        both.write_text(site.key_file.read_text() + key)
        rotated = replace(site, key_file=both)
        rotated.add("1.1")
        rotated.publish()
        client.run(f"{_DNF} --refresh upgrade")
        assert client.has() == "1.1"  # by the old key
        # The new key first signs packages; hosts have got both by the keyring package.
        config.write_text(config.read_text().replace(f'{old}, "{fingerprint}"', f'"{fingerprint}"'))
        rotated.add("1.2")
        rotated.publish()
        done = client.run(f"dnf --assumeyes --refresh upgrade {NAME} 2>&1", check=False)
        assert done.status != 0 or client.has() == "1.1", done.stdout
        set_up_dnf(client, rotated)
        client.run(f"{_DNF} --refresh upgrade")
        assert client.has() == "1.2"


@pytest.mark.full  # test_repo_apt.py waits until a key has expired, another key is refused above
def test_an_expired_key_is_refused(
    engine: docker.DockerClient, images: Images, tmp_path: Path
) -> None:
    with (
        open_site(tmp_path, expires=f"seconds={_KEY_LASTS_S}") as site,
        open_client(engine, images.rpm(), "repo-expired") as client,
    ):
        expiry = time.monotonic() + _KEY_LASTS_S
        site.add("1.0")
        site.publish()
        set_up_dnf(client, site)
        time.sleep(max(0, expiry - time.monotonic()) + 1)
        done = client.run(f"dnf --assumeyes install {NAME} 2>&1", check=False)
        assert done.status != 0, done.stdout
        assert "signature" in done.stdout.lower()
        assert "expired" in site.builder("check", check=False).stderr
        assert "expired" in site.builder("publish", check=False).stderr
