"""Ports, readiness and the admin's own configuration."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backendai_ctl import cli
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.recipe import Recipe, load_recipe
from backendai_ctl.stores.ports import check_port, wait_until_answering
from backendai_ctl.stores.readiness import check_needs

from tests.helpers.ports import free_port


@pytest.fixture
def recipe(layout: Layout) -> Recipe:
    """The manager's."""
    return load_recipe(layout, "manager")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Something that listens on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def listen_at(layout: Layout, port: int, host: str = "127.0.0.1") -> None:
    """Say in manager.toml where the manager listens."""
    text = f'[manager]\nservice-addr = {{ host = "{host}", port = {port} }}\n'
    (layout.etc / "manager.toml").write_text(text)


def test_taken_port_is_reported(layout: Layout, recipe: Recipe, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listen_at(layout, port)
    with pytest.raises(NotReadyError) as caught:
        check_port(layout, recipe)
    assert caught.value.message == (
        f"{layout.etc}/manager.toml: manager.service-addr = 127.0.0.1:{port}:"
        " cannot listen there: Address already in use"
    )
    assert f"sport = {port}" in str(caught.value.hint)


def test_a_port_of_the_monitor_that_an_outgoing_connection_has_is_reported(
    layout: Layout, recipe: Recipe, listener: socket.socket
) -> None:
    listen_at(layout, free_port())
    path = layout.etc / "manager.toml"
    with socket.create_connection(listener.getsockname()) as outgoing:
        taken = outgoing.getsockname()[1]
        path.write_text(path.read_text() + f"aiomonitor-webui-port = {taken}\n")
        with pytest.raises(NotReadyError) as caught:
            check_port(layout, recipe)
    assert f"manager.aiomonitor-webui-port = 127.0.0.1:{taken}: cannot" in caught.value.message
    assert f"ss -tanp 'sport = {taken}'" in str(caught.value.hint)


def test_free_port_is_fine(layout: Layout, recipe: Recipe) -> None:
    listen_at(layout, free_port())
    check_port(layout, recipe)


def test_waits_for_a_wildcard_on_loopback(layout: Layout, recipe: Recipe) -> None:
    port = free_port()
    listen_at(layout, port, "0.0.0.0")
    servers: list[socket.socket] = []

    def start() -> None:
        time.sleep(0.3)
        servers.append(socket.create_server(("127.0.0.1", port)))

    starter = threading.Thread(target=start)
    starter.start()
    address = wait_until_answering(layout, recipe, seconds=20, main_pid=os.getpid())
    starter.join()
    servers[0].close()
    assert str(address) == f"0.0.0.0:{port}"


def test_gives_up_in_time(layout: Layout, recipe: Recipe) -> None:
    listen_at(layout, free_port())
    with pytest.raises(NotReadyError, match=r"does not answer on .* after 0 s") as caught:
        wait_until_answering(layout, recipe, seconds=0, main_pid=None)
    assert "journalctl -u backendai-manager" in str(caught.value.hint)


def test_a_dead_server_ends_the_wait(layout: Layout, recipe: Recipe) -> None:
    listen_at(layout, free_port())
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(NotReadyError, match="manager ended before it answered"):
        wait_until_answering(layout, recipe, seconds=60, main_pid=child)


def test_needs_name_the_store_that_is_away(layout: Layout, recipe: Recipe) -> None:
    port = free_port()
    (layout.etc / "manager.toml").write_text(f'[etcd]\naddr = "127.0.0.1:{port}"\n')
    with pytest.raises(
        NotReadyError, match=rf"nothing answers on 127\.0\.0\.1:{port} .*etcd\.addr"
    ):
        check_needs(layout, recipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[manager]\n", "has no manager.service-addr"),
        ('[manager]\nservice-addr = "x"\n', "manager.service-addr = 'x' is not HOST:PORT"),
        ("[manager]\nservice-addr = 5\n", "manager.service-addr = 5 is not an address"),
        (
            '[manager]\nservice-addr = { host = "127.0.0.1", port = 80900, password = "p" }\n',
            "manager.service-addr = {'host': '127.0.0.1', 'port': 80900} is not an address",
        ),
        ("[manager\n", "is not TOML"),
    ],
)
def test_admins_mistake_is_reported(
    layout: Layout, recipe: Recipe, text: str, message: str
) -> None:
    (layout.etc / "manager.toml").write_text(text)
    with pytest.raises(HostError) as caught:
        check_port(layout, recipe)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{layout.etc}/manager.toml")


def test_no_configuration_yet(layout: Layout, recipe: Recipe) -> None:
    with pytest.raises(HostError, match="cannot read") as caught:
        check_port(layout, recipe)
    assert caught.value.hint == "`sudo backendai-ctl configure manager` makes it"


def run_cli(root: Path, *arguments: str) -> int:
    """The command line, on a tree that belongs to the tests."""
    return cli.main(["--root", str(root), "--as-caller", *arguments])


def test_sql_quotes_and_steps_hide(
    layout: Layout,
    capsys: pytest.CaptureFixture[str],
    configured: Callable[..., list[str]],
) -> None:
    configured(BACKENDAI_DATABASE_PASSWORD="it's \\ here", BACKENDAI_DATABASE_USER="back-end")
    assert run_cli(layout.root, "sql", "manager") == 0
    sql = capsys.readouterr().out
    assert """ALTER ROLE "back-end" PASSWORD E'it''s \\\\ here';""" in sql
    assert "\\gexec" in sql
    assert "{" not in sql
    assert run_cli(layout.root, "steps", "manager") == 0
    steps = capsys.readouterr().out
    assert "it's" not in steps
    assert "backendai-ctl seed status" in steps


def test_exit_statuses(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    layout.site.write_text("[x]\n")
    assert run_cli(layout.root, "configure", "manager") == 78
    assert run_cli(layout.root, "check-port", "manager") == 71
    listen_at(layout, free_port())
    assert run_cli(layout.root, "wait", "manager", "--timeout", "0") == 69
    assert run_cli(layout.root, "check-port", "manager") == 0
    assert run_cli(layout.root, "check-port", "nothing") == 1
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith(("backendai: error: ", "backendai: hint: ")) for line in lines)
