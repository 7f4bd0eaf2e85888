"""[tls] self-signed: what a node makes for itself, and when it makes it anew."""

import stat
from pathlib import Path

import pytest
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.certificates import (
    CertificateError,
    examine_certificate,
    verify_certificate,
)
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.issue import issue_authority, issue_certificate, new_key
from backendai_ctl.base.layout import Layout
from backendai_ctl.services import self_signed
from backendai_ctl.services.self_signed import ensure_certificate
from backendai_ctl.services.tls_answers import take_tls_answers

from tests.unit.postinst.configs import Configured, made
from tests.unit.postinst.conftest import caller

HOST = "node.example.com"
ANSWERS = f'[node]\npublic-host = "{HOST}"\n[tls]\nself-signed = true\n'


def ensure(layout: Layout, host: str = HOST) -> list[str]:
    """Run once more; the names of the new files."""
    return [path.name for path in ensure_certificate(layout, host, caller())]


def texts(layout: Layout) -> dict[str, str]:
    """All that is there."""
    return {path.name: path.read_text() for path in layout.tls.iterdir()}


def modes(layout: Layout) -> dict[str, int]:
    """The mode of each file."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in layout.tls.iterdir()}


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.5", HOST, "Node.Example.Com", "node_1"])
def test_clients_that_trust_the_authority_accept_it(layout: Layout, host: str) -> None:
    assert ensure(layout, host) == ["ca.pem", "node.key", "node.pem"]
    pair = (layout.tls / "node.pem", layout.tls / "node.key")
    verify_certificate(*pair, layout.tls / "ca.pem")
    for name in (host, "localhost", "127.0.0.1"):
        assert examine_certificate(*pair, name).fits_host, name
    assert not examine_certificate(*pair, "other.example.com").fits_host
    assert modes(layout) == {"ca.pem": 0o644, "ca.key": 0o600, "node.pem": 0o644, "node.key": 0o640}


def test_a_second_run_changes_nothing(layout: Layout) -> None:
    ensure(layout)
    before = texts(layout)
    assert ensure(layout) == []
    assert texts(layout) == before


def test_a_renewal_keeps_the_authority_and_the_key(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure(layout)
    before = texts(layout)
    monkeypatch.setattr(self_signed, "_RENEW_DAYS", 181)  # as on a day four months later
    assert ensure(layout) == ["node.pem"]
    after = texts(layout)
    assert {name for name in after if after[name] != before[name]} == {"node.pem"}
    verify_certificate(layout.tls / "node.pem", layout.tls / "node.key", before["ca.pem"])


def test_another_name_needs_another_authority(layout: Layout) -> None:
    ensure(layout)
    former = texts(layout)
    assert ensure(layout, "10.0.0.5") == ["ca.pem", "node.pem"]
    pair = (layout.tls / "node.pem", layout.tls / "node.key")
    assert examine_certificate(*pair, "10.0.0.5").fits_host
    with pytest.raises(CertificateError):
        verify_certificate(*pair, former["ca.pem"])


@pytest.mark.parametrize("lost", ["ca.pem", "ca.key", "node.pem", "node.key"])
@pytest.mark.parametrize("is_broken", [True, False])
def test_a_run_after_one_that_was_killed_completes_it(
    layout: Layout, lost: str, is_broken: bool
) -> None:
    ensure(layout)
    path = layout.tls / lost
    path.write_text("broken") if is_broken else path.unlink()
    (layout.tls / ".node.pem.backendai-tmp").write_text("half")
    assert "node.pem" in ensure(layout)
    verify_certificate(layout.tls / "node.pem", layout.tls / "node.key", layout.tls / "ca.pem")
    assert ensure(layout) == []


def test_the_authority_signs_for_its_node_alone(tmp_path: Path) -> None:
    """Whoever has its key makes no certificate that is accepted for another site."""
    authority_key, key = new_key(), new_key()
    authority = issue_authority(authority_key, [HOST, "localhost"])
    for names in (["www.example.org"], [HOST, "www.example.org"]):
        (tmp_path / "other.pem").write_text(issue_certificate(authority, authority_key, key, names))
        (tmp_path / "other.key").write_text(key)
        with pytest.raises(CertificateError, match="permitted subtree violation"):
            verify_certificate(tmp_path / "other.pem", tmp_path / "other.key", authority)


def test_services_show_it_and_trust_its_authority(services: Layout, configured: Configured) -> None:
    services.site.write_text(ANSWERS)
    said = configured("storage-proxy")
    assert f"made {services.tls / 'node.pem'}" in said
    client = made(services, "storage-proxy.toml")["api"]["client"]
    assert isinstance(client, dict)
    assert client["ssl-cert"] == "/var/lib/backendai/tls/node.pem"
    assert load_site(services)["storage-proxy.client-url"] == f"https://{HOST}:6021"
    for name in ("site.pem", "site-bundle.pem"):
        assert (services.tls / "ca.pem").read_text() in (services.trust / name).read_text()
    again = configured("webserver")
    assert not [line for line in again if "/tls/" in line]


def test_a_named_certificate_beside_it_is_refused(services: Layout, configured: Configured) -> None:
    services.site.write_text(f'{ANSWERS}certificate = "/etc/ssl/node.pem"\n')
    with pytest.raises(SiteError, match=r"tls.certificate = /etc/ssl/node.pem: must be empty"):
        configured("webserver")
    assert not services.tls.exists()


def test_without_it_the_authority_is_trusted_no_more(layout: Layout) -> None:
    for text, expected in ((ANSWERS, 2), ("[tls]\nself-signed = false\n", 0)):
        layout.site.write_text(text)
        take_tls_answers(layout, load_site(layout), caller(), print, shows=False)
        assert len(list(layout.trust.iterdir())) == expected


def test_the_authority_of_another_node_is_trusted_beside_its_own(layout: Layout) -> None:
    key = new_key()
    other = issue_authority(key, ["other.example.com"])
    (layout.etc / "cluster-ca.pem").write_text(other)
    layout.site.write_text(f'{ANSWERS}ca = "/etc/backend.ai/cluster-ca.pem"\n')
    take_tls_answers(layout, load_site(layout), caller(), print, shows=True)
    own = (layout.tls / "ca.pem").read_text()
    assert (layout.trust / "site.pem").read_text() == other + own
