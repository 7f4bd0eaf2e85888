"""Files that a service's configuration names, and that its unit shows to it."""

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.services.shown_files import drop_in, hidden_files, show_named_files

from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.rendered import payload_text

UNITS = "/usr/lib/systemd/system"


@pytest.fixture
def host(services: Layout) -> Layout:
    """A host with the webserver's and the agent's units, and files beside the configuration."""
    install_recipe(services, "agent")
    for service in ("webserver", "agent", "manager"):
        path = services.root / f"usr/lib/systemd/system/backendai-{service}.service"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(payload_text(f"{UNITS}/backendai-{service}.service"))
    for name in ("tls.pem", "other.pem", "manager.toml", "manager.toml.new", "site.toml"):
        (services.etc / name).write_text("x\n")
    return services


def configure(host: Layout, service: str, *lines: str) -> None:
    """Let the configuration of ``service`` have these lines."""
    recipe = load_recipe(host, service)
    (host.etc / recipe.configs[0].file).write_text("\n".join(lines) + "\n")


def test_a_certificate_is_shown(host: Layout) -> None:
    configure(host, "webserver", "[service]", 'ssl-cert = "/etc/backend.ai/tls.pem"  # own')
    recipe = load_recipe(host, "webserver")
    assert hidden_files(host, recipe) == ["/etc/backend.ai/tls.pem"]
    assert show_named_files(host, recipe)
    path = drop_in(host, "webserver")
    assert path == host.root / "etc/systemd/system/backendai-webserver.service.d/50-files.conf"
    assert path.read_text().splitlines()[1:] == [
        "[Service]",
        "BindReadOnlyPaths=-/etc/backend.ai/tls.pem",
    ]
    assert path.stat().st_mode & 0o777 == 0o644
    assert hidden_files(host, recipe) == []
    assert not show_named_files(host, recipe)  # nothing is new


def test_the_drop_in_goes_with_its_reason(host: Layout) -> None:
    recipe = load_recipe(host, "webserver")
    configure(host, "webserver", 'ssl-cert = "/etc/backend.ai/tls.pem"')
    show_named_files(host, recipe)
    configure(host, "webserver", "[service]")
    assert show_named_files(host, recipe)
    assert not drop_in(host, "webserver").exists()


@pytest.mark.parametrize(
    "line",
    [
        '# ssl-cert = "/etc/backend.ai/tls.pem"',
        'a = "/etc/backend.ai/manager.toml"',
        'a = "/etc/backend.ai/manager.toml.new"',
        'a = "/etc/backend.ai/site.toml"',
        'a = "/etc/backend.ai/x/../site.toml"',
        'a = "/etc/backend.ai/webserver.d/tls.pem"',
        'a = "/etc/backend.ai/absent.pem"',
        'a = "/etc/ssl/tls.pem"',
    ],
)
def test_nothing_else_is_shown(host: Layout, line: str) -> None:
    configure(host, "webserver", line)
    recipe = load_recipe(host, "webserver")
    assert hidden_files(host, recipe) == []
    assert not show_named_files(host, recipe)
    assert not drop_in(host, "webserver").exists()


def test_a_unit_of_root_hides_nothing(host: Layout) -> None:
    configure(host, "agent", 'a = "/etc/backend.ai/tls.pem"')
    assert not show_named_files(host, load_recipe(host, "agent"))


def test_what_the_package_shows_needs_no_drop_in(host: Layout) -> None:
    host.secrets.mkdir(exist_ok=True)
    (host.secrets / "manager-rpc.key_secret").write_text("x\n")
    configure(host, "manager", 'a = "/var/lib/backendai/secrets/manager-rpc.key_secret"')
    assert hidden_files(host, load_recipe(host, "manager")) == []


def test_an_admins_drop_in_is_kept(host: Layout) -> None:
    configure(host, "webserver", 'ssl-cert = "/etc/backend.ai/tls.pem"')
    path = drop_in(host, "webserver")
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nBindReadOnlyPaths=/etc/backend.ai/tls.pem\n")
    assert not show_named_files(host, load_recipe(host, "webserver"))
    assert path.read_text().startswith("[Service]")
