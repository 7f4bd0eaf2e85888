"""Files that a service's configuration names, and that its unit shows to it."""

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands import configuration as commands
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


@pytest.fixture
def proxied(host: Layout) -> Layout:
    """The same host, with a storage proxy and its volume."""
    install_recipe(host, "storage-proxy")
    unit = host.shipped_unit("backendai-storage-proxy.service")
    unit.write_text(payload_text(f"{UNITS}/backendai-storage-proxy.service"))
    host.site.write_text('[storage]\npath = "/data/volume1"\n')
    return host


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


def test_a_folder_below_a_hidden_one_is_shown(proxied: Layout) -> None:
    """Such as a volume that an admin made there; folders of services and of root stay hidden."""
    for name in ("volumes/one", "manager", "backup"):
        (proxied.state / name).mkdir(parents=True, exist_ok=True)
    state = "/var/lib/backendai"
    lines = [f'{key} = "{state}/{key}"' for key in ("manager", "backup")]
    configure(proxied, "storage-proxy", *lines, f'path = "{state}/volumes/one/"')
    recipe = load_recipe(proxied, "storage-proxy")
    assert hidden_files(proxied, recipe) == [f"{state}/volumes/one"]
    assert show_named_files(proxied, recipe)
    settings = drop_in(proxied, "storage-proxy").read_text().splitlines()[1:]
    assert settings == ["[Service]", f"BindPaths=-{state}/volumes/one"]


def test_users_folders_are_hidden_from_who_does_not_serve_them(proxied: Layout) -> None:
    configure(proxied, "storage-proxy", '[volume.volume1]\npath = "/data/volume1"')
    configure(proxied, "webserver", "[service]")
    assert not show_named_files(proxied, load_recipe(proxied, "storage-proxy"))
    recipe = load_recipe(proxied, "webserver")
    assert show_named_files(proxied, recipe)
    path = drop_in(proxied, "webserver")
    assert path.read_text().splitlines()[1:] == ["[Service]", "InaccessiblePaths=-/data/volume1"]
    configure(proxied, "webserver", 'a = "/data/volume1/themes"')
    assert show_named_files(proxied, recipe)
    assert not path.exists()
    # Below a folder that the unit hides, there is nothing to hide.
    configure(proxied, "webserver", "[service]")
    proxied.site.write_text('[storage]\npath = "/var/lib/backendai/volumes/one"\n')
    assert not show_named_files(proxied, recipe)


def test_a_service_that_comes_later_is_hidden_from_the_others(
    proxied: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configuring one service writes the drop-ins of all, and systemd reads them once."""
    reloads: list[Layout] = []
    monkeypatch.setattr(commands, "reload_units", reloads.append)
    configure(proxied, "storage-proxy", '[volume.volume1]\npath = "/data/volume1"')
    commands._follow_configurations(proxied)
    for name in ("manager", "webserver"):
        assert "InaccessiblePaths=-/data/volume1" in drop_in(proxied, name).read_text()
    assert not drop_in(proxied, "agent").exists()
    commands._follow_configurations(proxied)
    assert reloads == [proxied]


@pytest.mark.parametrize("letter", ["\x0c", "\x85", "\u2028", "\x1c"])
def test_lines_end_at_newlines_alone(host: Layout, letter: str) -> None:
    """In TOML and in alembic.ini; a comment does not end at another character."""
    comment = f'# a comment{letter}b = "/etc/backend.ai/other.pem"'
    (host.etc / "alembic.ini").write_text(f"[alembic]\n{comment}\nc = /etc/backend.ai/tls.pem\n")
    assert hidden_files(host, load_recipe(host, "manager")) == ["/etc/backend.ai/tls.pem"]
    configure(host, "webserver", comment, 'c = "/etc/backend.ai/tls.pem"')
    assert hidden_files(host, load_recipe(host, "webserver")) == ["/etc/backend.ai/tls.pem"]


def test_values_of_tables_and_lists_are_seen(host: Layout) -> None:
    """A line that looks like a comment in a text of several lines is none."""
    lines = (
        "a = [{ b = '/etc/backend.ai/tls.pem' }]",
        'c = """',
        "# /etc/backend.ai/other.pem",
        '"""',
    )
    configure(host, "webserver", *lines)
    assert hidden_files(host, load_recipe(host, "webserver")) == [
        "/etc/backend.ai/other.pem",
        "/etc/backend.ai/tls.pem",
    ]


def test_the_drop_in_of_an_earlier_package_is_replaced(host: Layout) -> None:
    configure(host, "webserver", 'ssl-cert = "/etc/backend.ai/tls.pem"')
    path = drop_in(host, "webserver")
    path.parent.mkdir(parents=True)
    head = (
        "# Made by `backendai-ctl configure`: files that the configuration of this service names."
    )
    path.write_text(f"{head}\n[Service]\nBindReadOnlyPaths=-/etc/backend.ai/other.pem\n")
    assert show_named_files(host, load_recipe(host, "webserver"))
    assert "tls.pem" in path.read_text()
