"""What the gateway reads before it answers: settings, subgraphs, the release's schemas."""

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest
from graphql_gateway.config import load_settings, load_subgraphs
from graphql_gateway.errors import GatewayError
from graphql_gateway.server import PATH
from graphql_gateway.texts import ask_release

from builder.base.paths import PROJECT
from builder.base.run import run

_SETTINGS = (PROJECT / "postinst/services/graphql/graphql.toml").read_text()


def settings_text(port: int = 4000) -> str:
    """The file as a host has it."""
    found = _SETTINGS.replace("{graphql.address!host}", "127.0.0.1")
    found = found.replace("{graphql.address!port}", str(port))
    return found.replace("{manager.url!toml}", "http://127.0.0.1:8081/")


def test_the_shipped_settings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "graphql.toml"
    path.write_text(settings_text())
    settings = load_settings(path)
    assert (settings.host, settings.port) == ("127.0.0.1", 4000)
    assert settings.manager_url == "http://127.0.0.1:8081"
    assert settings.introspection is False


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[manager]", "[managers]", "has no manager"),
        ("port = 4000", 'port = "4000"', "port is not of its kind"),
        ("introspection = false", 'introspection = "no"', "introspection is not of its kind"),
        ('url = "http:', 'url = "ftp:', "is not a URL"),
        ('url = "http://127.0.0.1:8081/"', "url = 1", "is not of its kind"),
        ("[gateway]", "[gateway", "graphql.toml"),
    ],
)
def test_wrong_settings_are_reported(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "graphql.toml"
    path.write_text(settings_text().replace(old, new))
    with pytest.raises(GatewayError, match=says):
        load_settings(path)


def test_settings_that_are_missing_are_reported(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"nothing\.toml"):
        load_settings(tmp_path / "nothing.toml")


def test_the_shipped_subgraphs_are_below_the_managers_path() -> None:
    subgraphs = load_subgraphs(PROJECT / "postinst/services/graphql/subgraphs.toml")
    assert [subgraph.name for subgraph in subgraphs] == ["graphene", "strawberry", "public"]
    assert all(subgraph.path.startswith(PATH) for subgraph in subgraphs)
    assert all(subgraph.schema.startswith("ai.backend.manager.api.") for subgraph in subgraphs)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The gateway as it is installed, with a release of two schemas beside it."""
    shipped = tmp_path / "graphql"
    shipped.mkdir()
    (shipped / "graphql_gateway").symlink_to(PROJECT / "postinst/services/graphql/graphql_gateway")
    (shipped / "__main__.py").write_text(
        (PROJECT / "postinst/services/graphql/graphql_gateway/__main__.py").read_text()
    )
    (shipped / "release.py").write_text(
        "print('a line of the release')\n"
        "class S:\n"
        "    def as_str(self): return 'type Query { b: Int }'\n"
        "old = 'type Query { a: Int }'\n"
        "new = S()\n"
    )
    return shipped


def subgraphs_text(*names: str) -> str:
    """Subgraphs of that release."""
    return "".join(
        f'[[subgraph]]\nname = "{name}"\npath = "/{name}"\nschema = "release:{name}"\n'
        f"optional = {str(name == 'none').lower()}\n"
        for name in names
    )


def test_the_release_returns_its_schemas(program: Path) -> None:
    (program / "subgraphs.toml").write_text(subgraphs_text("old", "new", "none"))
    found = asyncio.run(ask_release(str(program)))
    assert found == {"old": "type Query { a: Int }", "new": "type Query { b: Int }"}


def test_a_release_without_a_schema_is_reported(program: Path) -> None:
    (program / "subgraphs.toml").write_text(subgraphs_text("old", "other"))
    with pytest.raises(GatewayError, match="status 1"):
        asyncio.run(ask_release(str(program)))
    done = run([sys.executable, "-I", "-B", str(program), "dump"], check=False)
    assert "release of this release has no other" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_serves_until_it_is_stopped(program: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (program / "subgraphs.toml").write_text(subgraphs_text("old", "new"))
    # Nobody answers at the discard port.
    (program / "graphql.toml").write_text(settings_text(port).replace(":8081", ":9"))
    command = [sys.executable, "-I", "-B", str(program), "serve", str(program / "graphql.toml")]
    pid = os.posix_spawn(sys.executable, command, {"PATH": os.defpath})
    try:
        assert _answers(f"http://127.0.0.1:{port}/readiness")
        # What it is asked needs no manager; what needs one says so.
        answer = httpx.post(f"http://127.0.0.1:{port}{PATH}", json={"query": "{ a b __typename }"})
        assert answer.status_code == 200
        assert answer.json()["data"] == {"a": None, "b": None, "__typename": "Query"}
        taken = run(command, check=False)
        assert taken.status == 1
        assert f"cannot listen on 127.0.0.1:{port}" in taken.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def _answers(url: str) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            return httpx.get(url).status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
    return False


def test_an_unknown_command_is_reported(program: Path) -> None:
    done = run([sys.executable, "-I", "-B", str(program), "other"], check=False)
    assert (done.status, "usage" in done.stderr) == (2, True)
