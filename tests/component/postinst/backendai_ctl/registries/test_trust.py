"""Certificates of private authorities: what is read, kept, and given to Docker."""

from pathlib import Path

import pytest
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.registries.model import Registry
from backendai_ctl.registries.trust import (
    docker_authority,
    kept_authorities,
    read_ca,
    sync_trust,
    trusted_bundle,
)

from tests.unit.postinst.backendai_ctl.registries.authorities import make_authority
from tests.unit.postinst.backendai_ctl.registries.hub import registry

NAME = "hub.example.org:5000"


@pytest.fixture
def host(layout: Layout) -> Layout:
    """A host that has Docker, and the authority of a registry in /etc/backend.ai."""
    socket = layout.root / "run/docker.sock"
    socket.parent.mkdir(parents=True)
    socket.touch()
    make_authority(layout.etc)
    return layout


def private(name: str = NAME, ca: str = "/etc/backend.ai/authority.pem") -> Registry:
    """A registry by TLS of a private authority."""
    return registry(f"https://{name}", name, ca=ca)


def sync(layout: Layout, *registries: Registry) -> list[str]:
    """Bring this host's trust up to date; returns what was said."""
    said: list[str] = []
    sync_trust(layout, registries, said.append)
    return said


def records(layout: Layout) -> list[str]:
    """What is remembered of the files that Docker got."""
    return sorted(path.name for path in (layout.state / "trust/docker").glob("*"))


def test_docker_gets_the_authority_where_it_looks_for_it(host: Layout) -> None:
    pem = read_ca(host, private())
    assert sync(host, private()) == [f"made {docker_authority(host, NAME)}"]
    path = host.root / "etc/docker/certs.d" / NAME / "ca.crt"
    assert path.read_text() == pem == kept_authorities(host).read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    assert sync(host, private()) == []


def test_without_docker_the_manager_still_trusts(layout: Layout) -> None:
    make_authority(layout.etc)
    assert sync(layout, private()) == []
    assert kept_authorities(layout).exists()
    assert not (layout.root / "etc/docker").exists()


def test_another_authority_is_followed_and_none_is_taken_back(host: Layout) -> None:
    sync(host, private())
    make_authority(host.etc, "newer")
    newer = private(ca="/etc/backend.ai/newer.pem")
    assert sync(host, newer) == [f"made {docker_authority(host, NAME)}"]
    assert docker_authority(host, NAME).read_text() == read_ca(host, newer)
    assert sync(host, registry()) == [
        f"removed {docker_authority(host, NAME)}: no registry of site.toml needs it"
    ]
    assert not docker_authority(host, NAME).parent.exists()
    assert not kept_authorities(host).exists()
    assert records(host) == []


@pytest.mark.parametrize("edited", [False, True])
def test_the_file_of_an_admin_stays(host: Layout, edited: bool) -> None:
    if edited:  # after this tool had made it
        sync(host, private())
    path = docker_authority(host, NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("of the admin\n")
    assert sync(host, private()) == [f"warning: kept {path}, which is not what site.toml names"]
    assert path.read_text() == "of the admin\n"
    sync(host)
    assert path.read_text() == "of the admin\n"


def test_an_admins_file_that_is_the_same_is_not_taken_over(host: Layout) -> None:
    path = docker_authority(host, NAME)
    path.parent.mkdir(parents=True)
    path.write_text(read_ca(host, private()))
    assert sync(host, private()) == []
    assert records(host) == []
    sync(host)
    assert path.exists()


@pytest.mark.parametrize("is_written", [False, True])
def test_a_run_that_was_killed_is_finished(host: Layout, is_written: bool) -> None:
    sync(host, private())
    old = docker_authority(host, NAME).read_text()
    make_authority(host.etc, "newer")
    newer = private(ca="/etc/backend.ai/newer.pem")
    record = host.state / "trust/docker" / NAME
    (record.with_name(f"{NAME}.next")).write_text(read_ca(host, newer))
    docker_authority(host, NAME).write_text(read_ca(host, newer) if is_written else old)
    sync(host, newer)
    assert docker_authority(host, NAME).read_text() == read_ca(host, newer)
    assert records(host) == [NAME]
    sync(host)
    assert records(host) == []
    assert not docker_authority(host, NAME).exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no such file or directory"),
        ("nothing of the kind\n", "holds no certificate in PEM"),
        (b"\xff\xfe\x00", "is no PEM file"),
        (
            "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n",
            "holds a broken certificate",
        ),
    ],
)
def test_a_file_that_is_not_fit_is_named(
    host: Layout, text: str | bytes | None, reason: str
) -> None:
    path = host.etc / "broken.pem"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SiteError) as caught:
        read_ca(host, private(ca="/etc/backend.ai/broken.pem"))
    assert caught.value.problems[0].startswith("registry.ca = /etc/backend.ai/broken.pem: ")
    assert reason in caught.value.problems[0]
    sync(host, private(ca="/etc/backend.ai/broken.pem"))
    assert not kept_authorities(host).exists()


def test_nothing_but_certificates_leaves_the_admins_file(host: Layout) -> None:
    authority = host.etc / "authority.pem"
    key = (host.etc / "authority.key").read_text()
    authority.write_text(f"Bag Attributes\n{key}{authority.read_text()}")
    sync(host, private())
    for path in (docker_authority(host, NAME), kept_authorities(host)):
        assert "PRIVATE" not in path.read_text()
        assert "Bag" not in path.read_text()


def test_the_bundle_has_the_hosts_own_and_the_registries(
    host: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert trusted_bundle(host) is None
    system = host.root / "etc/pki/tls/cert.pem"
    system.parent.mkdir(parents=True)
    system.write_text("of the distribution")
    assert trusted_bundle(host) == system
    sync(host, private())
    bundle = trusted_bundle(host)
    assert bundle is not None
    assert bundle.read_text() == f"of the distribution\n{read_ca(host, private())}"
    other = Path(host.root / "other.pem")
    other.write_text("of the admin")
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    made = trusted_bundle(host)
    assert made is not None
    assert made.read_text().startswith("of the admin\n")
