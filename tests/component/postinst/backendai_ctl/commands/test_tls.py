"""`backendai-ctl tls`: what a timer calls each day, and what gives [tls] to an installed node."""

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.commands import tls
from backendai_ctl.doctor.checks.tls import check_tls
from backendai_ctl.seed.follow_addresses import AddressFollower

from tests.unit.postinst.configs import Configured, made
from tests.unit.postinst.host_views import host_view

_SITE = "[tls]\nself-signed = true\n"


@pytest.fixture
def restarted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every unit that a test restarts: of the services here, the storage proxy does not run."""
    found: list[str] = []

    def control(action: str, *units: str, **_: object) -> str:
        assert action == "restart"
        found.extend(units)
        return ""

    monkeypatch.setattr(tls, "control", control)
    monkeypatch.setattr(tls, "is_active", lambda unit: "storage" not in unit)
    return found


def renew(layout: Layout, *words: str) -> int:
    """Call the command on that target."""
    return main(["--as-caller", "--root", str(layout.root), "tls", "renew", *words])


def apply(layout: Layout) -> int:
    """Call the other command."""
    return main(["--as-caller", "--root", str(layout.root), "tls", "apply"])


def test_what_runs_and_shows_the_certificate_is_restarted_once(
    services: Layout, configured: Configured, restarted: list[str]
) -> None:
    services.site.write_text(_SITE)
    configured("manager")
    assert renew(services) == 0
    assert restarted == []  # nothing is new
    (services.tls / "node.pem").unlink()
    assert renew(services) == 0
    units = ["appproxy-coordinator", "appproxy-worker", "manager", "webserver"]
    assert restarted == [f"backendai-{unit}.service" for unit in units]
    assert renew(services) == 0
    assert len(restarted) == len(units)


def test_nothing_is_restarted_where_that_is_not_wanted(
    services: Layout, configured: Configured, restarted: list[str]
) -> None:
    services.site.write_text(_SITE)
    configured("manager")
    (services.tls / "node.pem").unlink()
    assert renew(services, "--no-restart") == 0
    assert (services.tls / "node.pem").exists()
    assert restarted == []


def test_a_wrong_answer_is_reported(services: Layout, configured: Configured) -> None:
    configured("manager")
    services.site.write_text('[tls]\ncertificate = "/etc/ssl/absent.pem"\nkey = "/etc/ssl/a.key"\n')
    assert renew(services) == 78


def test_apply_changes_these_keys_of_edited_files_alone(
    services: Layout, configured: Configured, restarted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AddressFollower, "follow", lambda *_: [])
    for service in ("manager", "storage-proxy", "webserver"):
        configured(service)
    path = services.etc / "storage-proxy.toml"
    path.write_text(path.read_text() + "# mine\n")
    before = path.read_text().splitlines()
    services.site.write_text(_SITE)
    assert apply(services) == 0
    assert made(services, "manager.toml")["manager"]["ssl-enabled"] is True
    assert made(services, "webserver.conf")["api"]["endpoint"] == "https://127.0.0.1:8081"
    after = path.read_text().splitlines()
    assert [line.partition(" ")[0] for line in after if line not in before] == [
        "ssl-enabled",
        "ssl-cert",
        "ssl-privkey",
    ]
    assert "backendai-manager.service" in restarted
    count = len(restarted)
    assert apply(services) == 0
    assert len(restarted) == count


def test_apply_follows_a_proxy_with_tls_that_comes_and_goes(
    services: Layout, configured: Configured, restarted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AddressFollower, "follow", lambda *_: [])
    configured("webserver")
    plain = made(services, "webserver.conf")
    services.site.write_text("[tls]\nproxied = true\n")
    assert apply(services) == 0
    found = made(services, "webserver.conf")
    assert found["security"]["cookie_secure"] is True
    assert found["service"]["force-endpoint-protocol"] == "https"
    assert "ssl-enabled" not in found["service"]
    # The node's services call each other as before.
    assert found["api"] == plain["api"]
    assert "backendai-webserver.service" in restarted
    assert not list(check_tls(host_view(services)))
    services.site.write_text("")
    assert apply(services) == 0
    assert made(services, "webserver.conf") == plain


def test_apply_leads_back_to_plain_http_in_an_edited_file_too(
    services: Layout, configured: Configured, restarted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AddressFollower, "follow", lambda *_: [])
    configured("webserver")
    path = services.etc / "webserver.conf"
    path.write_text(path.read_text() + "# mine\n")
    plain = made(services, "webserver.conf")
    services.site.write_text(_SITE)
    assert apply(services) == 0
    assert made(services, "webserver.conf")["service"]["ssl-enabled"] is True
    services.site.write_text("")
    assert apply(services) == 0
    assert made(services, "webserver.conf") == plain
    assert path.read_text().endswith("# mine\n")


def test_an_apply_that_was_killed_restarts_when_it_is_run_again(
    services: Layout, configured: Configured, restarted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured("manager")
    services.site.write_text(_SITE)

    def die(*_: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(AddressFollower, "follow", die)
    assert apply(services) != 0
    assert restarted == []
    monkeypatch.setattr(AddressFollower, "follow", lambda *_: [])
    assert apply(services) == 0
    assert "backendai-manager.service" in restarted


def test_apply_changes_nothing_where_the_certificate_is_wrong(
    services: Layout, configured: Configured
) -> None:
    configured("manager")
    before = (services.etc / "manager.toml").read_text()
    services.site.write_text('[tls]\ncertificate = "/etc/ssl/absent.pem"\nkey = "/etc/ssl/a.key"\n')
    assert apply(services) == 78
    assert (services.etc / "manager.toml").read_text() == before
