"""What the gateway reads before it answers: settings, subgraphs, the release's schemas."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from graphql_gateway import texts
from graphql_gateway.config import ReleaseSpec, load_release, load_settings
from graphql_gateway.errors import GatewayError
from graphql_gateway.server import PATH
from graphql_gateway.texts import Schemas, find_schemas, fingerprint

from builder.base.paths import PROJECT
from builder.base.run import run
from tests.unit.postinst.services.graphql_gateway.world import TOKEN

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
    spec = load_release(PROJECT / "postinst/services/graphql/subgraphs.toml")
    subgraphs = spec.subgraphs
    assert spec.sources
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
        '    def as_str(self): return \'"""About."""\\ntype Query { b: Int }\'\n'
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


def find(program: Path) -> Schemas:
    """What the gateway reads when it starts."""
    return asyncio.run(find_schemas(load_release(program / "subgraphs.toml"), str(program)))


@pytest.fixture
def dumps(program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with a line for each dump."""
    counter = tmp_path / "dumps"
    counter.touch()
    with (program / "release.py").open("a") as release:
        release.write(f"open({str(counter)!r}, 'a').write('dump\\n')\n")
    monkeypatch.setattr(texts, "SHIPPED", program / "schemas.json")
    return counter


def test_the_release_returns_its_schemas(program: Path, dumps: Path) -> None:
    (program / "subgraphs.toml").write_text(subgraphs_text("old", "new", "none"))
    found = find(program)
    assert found.described == {
        "old": "type Query { a: Int }",
        "new": '"""About."""\ntype Query { b: Int }',
    }
    assert found.plain == {
        "old": "type Query {\n  a: Int\n}",
        "new": "type Query {\n  b: Int\n}",
    }
    assert dumps.read_text() == "dump\n"


def test_shipped_schemas_are_used_while_the_release_is_the_same(
    program: Path, dumps: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release = tmp_path / "site"
    folder = release / "some_release-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "RECORD").write_text("release.py,sha256=abc,10\n../../../bin/x,sha256=d,1\n")
    monkeypatch.setattr(texts, "release_sites", lambda: [release])
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    spec = subgraphs_text("old") + '[release]\ndistributions = ["some.release"]\n'
    (program / "subgraphs.toml").write_text(spec)
    installed = fingerprint(load_release(program / "subgraphs.toml"), [release])
    shipped = {"format": 1, "release": installed, "plain": {"x": "y"}, "described": {}}
    (program / "schemas.json").write_text(json.dumps(shipped))
    assert find(program).plain == {"x": "y"}
    assert dumps.read_text() == ""
    # Wheels' tests, which packages leave out, and the place of a script make no difference.
    whole = "release.py,sha256=abc,10\ntypes/tests/test_x.py,sha256=f,1\nx/_tests/y.py,sha256=f,1\n"
    (folder / "RECORD").write_text(whole)
    assert find(program).plain == {"x": "y"}
    # Another release makes one, once.
    (folder / "RECORD").write_text("release.py,sha256=abc,10\n../../../bin/x,sha256=e,1\n")
    assert find(program).plain == {"x": "y"}
    (folder / "RECORD").write_text("release.py,sha256=other,10\n")
    monkeypatch.setattr(texts, "_ask_release", _dumped(program, release))
    for _ in range(2):
        assert find(program).plain == {"old": "type Query {\n  a: Int\n}"}
    assert dumps.read_text() == "dump\n"


def _dumped(program: Path, site: Path) -> Callable[[str], Awaitable[str]]:
    """As the child does it, with the folder of this test for the release's."""

    async def ask(_main: str) -> str:
        code = (
            "import sys; from pathlib import Path\n"
            f"sys.path.insert(0, {str(program)!r})\n"
            "from graphql_gateway.config import load_release\n"
            "from graphql_gateway.texts import dump\n"
            f"print(dump(load_release(Path({str(program)!r}) / 'subgraphs.toml'), "
            f"[Path({str(site)!r})]))"
        )
        return run([sys.executable, "-B", "-c", code]).stdout.strip().rpartition("\n")[2]

    return ask


def test_a_changed_module_is_another_release(tmp_path: Path) -> None:
    spec = ReleaseSpec(subgraphs=(), sources=("pack",))
    module = tmp_path / "pack" / "deep" / "schema.py"
    module.parent.mkdir(parents=True)
    module.write_text("a = 1\n")
    before = fingerprint(spec, [tmp_path])
    assert fingerprint(spec, [tmp_path, tmp_path]) == before
    module.write_text("a = 2\n")
    assert fingerprint(spec, [tmp_path]) != before


@pytest.mark.parametrize("text", ["", "{", '{"format": 0}', "[]"])
def test_damaged_schemas_are_dumped_again(program: Path, dumps: Path, text: str) -> None:
    (program / "subgraphs.toml").write_text(subgraphs_text("old"))
    (program / "schemas.json").write_text(text)
    assert set(find(program).plain) == {"old"}
    assert dumps.read_text() == "dump\n"


def test_a_release_without_a_schema_is_reported(program: Path) -> None:
    (program / "subgraphs.toml").write_text(subgraphs_text("old", "other"))
    with pytest.raises(GatewayError, match="status 1"):
        find(program)
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
        answer = httpx.post(
            f"http://127.0.0.1:{port}{PATH}", json={"query": "{ a b __typename }"}, headers=TOKEN
        )
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
