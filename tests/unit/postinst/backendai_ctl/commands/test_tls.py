"""`backendai-ctl tls renew`: what the timer calls each day."""

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.commands import tls

from tests.unit.postinst.configs import Configured

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
