"""Files of ours that others can read, and links in their place."""

import os

import pytest
from backendai_ctl.base.account import Owner
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks import host
from backendai_ctl.doctor.examine import fix_findings

from tests.unit.postinst.host_views import host_view

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="tries another account")
STRANGER = Owner(uid=54321, gid=54321)


@NEEDS_ROOT
def test_files_that_others_can_read(node: Layout) -> None:
    node.secrets.mkdir()
    secret = node.secrets / "a-secret"
    secret.write_text("x\n")
    secret.chmod(0o644)
    shared = node.secrets / "shared-secret"
    shared.write_text("x\n")
    shared.chmod(0o640)
    own = node.secrets / "manager-rpc.key_secret"  # which the manager reads
    own.write_text("x\n")
    own.chmod(0o640)
    for path in (node.etc, node.secrets):
        path.chmod(0o750)
    for path in node.etc.iterdir():
        path.chmod(0o640)
    os.chown(node.etc / "agent.toml", STRANGER.uid, 0)
    findings = list(host.check_files(host_view(node, account=STRANGER)))
    assert [(finding.where, finding.value) for finding in findings] == [
        ("/etc/backend.ai/agent.toml", f"uid {STRANGER.uid}"),
        ("/var/lib/backendai/secrets/a-secret", "0644"),
        ("/var/lib/backendai/secrets/shared-secret", "0640"),
    ]
    fix_findings(findings)
    assert {path.name: path.stat().st_mode & 0o777 for path in node.secrets.iterdir()} == {
        "a-secret": 0o600,
        "shared-secret": 0o600,
        "manager-rpc.key_secret": 0o640,
    }
    assert (node.etc / "agent.toml").stat().st_uid == 0
    assert not list(host.check_files(host_view(node, account=STRANGER)))


@NEEDS_ROOT
def test_everybody_may_read_a_certificate_without_its_key(node: Layout) -> None:
    """A key that services read as others stays readable to them once it is closed."""
    for path in node.etc.iterdir():
        path.chmod(0o640)
    node.etc.chmod(0o750)
    certificate, key = "-----BEGIN CERTIFICATE-----\nMIIB\n", "-----BEGIN PRIVATE KEY-----\nMIIE\n"
    texts = {"web.crt": certificate, "web.key": key, "both.pem": certificate + key, "open.pem": ""}
    for name, text in texts.items():
        (node.etc / name).write_text(text)
        (node.etc / name).chmod(0o644)
        os.chown(node.etc / name, 0, 0)
    (node.etc / "open.crt").write_text(certificate)
    (node.etc / "open.crt").chmod(0o646)
    findings = list(host.check_files(host_view(node, account=STRANGER)))
    assert [finding.where.rpartition("/")[2] for finding in findings] == [
        "both.pem",
        "open.crt",
        "open.pem",
        "web.key",
    ]
    fix_findings(findings)
    for name, mode in (("both.pem", 0o640), ("web.key", 0o640), ("web.crt", 0o644)):
        assert (node.etc / name).stat().st_mode & 0o777 == mode
    assert (node.etc / "web.key").stat().st_gid == STRANGER.gid
    assert (node.etc / "open.crt").stat().st_mode & 0o777 == 0o644
    assert not list(host.check_files(host_view(node, account=STRANGER)))


def test_what_a_link_leads_to_is_not_the_doctors(node: Layout) -> None:
    for path in node.etc.iterdir():
        path.chmod(0o640)
    node.secrets.mkdir(parents=True, exist_ok=True)
    bundle = node.root / "usr/share/ca.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_text("of the distribution")
    bundle.chmod(0o644)
    (node.etc / "ca.pem").symlink_to(bundle)
    (node.secrets / "a-secret").symlink_to(bundle)
    for folder in (node.etc, node.secrets):
        folder.chmod(0o750)
    findings = list(host.check_files(host_view(node)))
    fix_findings(findings)
    assert findings == []
    assert bundle.stat().st_mode & 0o777 == 0o644


def test_a_file_that_became_a_link_is_not_fixed(node: Layout) -> None:
    for path in node.etc.iterdir():
        path.chmod(0o640)
    secret = node.etc / "a.toml"
    secret.write_text("x")
    secret.chmod(0o644)
    node.etc.chmod(0o750)
    (finding,) = host.check_files(host_view(node))
    bundle = node.root / "bundle"
    bundle.write_text("x")
    bundle.chmod(0o644)
    secret.unlink()
    secret.symlink_to(bundle)
    done, failed = fix_findings([finding])
    assert done == []
    assert "is a link" in failed[0]
    assert bundle.stat().st_mode & 0o777 == 0o644
