"""What `status` does not do: it is called often, by people and by monitoring."""

import importlib
import os
import ssl
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import tomlkit
from backendai_ctl import commands
from backendai_ctl.answers.kinds import Address
from backendai_ctl.base import systemd
from backendai_ctl.base import toml as toml_reader
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import Done
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.stores.etcd import Etcd

from builder.base.paths import PROJECT
from builder.base.run import run

_LIST_MODULES = """
import sys
from backendai_ctl import cli
cli.main(["--root", sys.argv[1], "--as-caller", "status"])
print("modules", *sys.modules)
"""
# Each of these takes longer to import than all that `status` needs of the tool.
_OTHERS = (
    "backendai_ctl.backup",
    "backendai_ctl.doctor.examine",
    "backendai_ctl.registries",
    "backendai_ctl.seed.session",
    "backendai_ctl.services.configure",
    "asyncpg",
    "tarfile",
)


def test_only_the_modules_of_the_command_are_imported(layout: Layout) -> None:
    words = [sys.executable, "-c", _LIST_MODULES, os.fspath(layout.root)]
    path = os.pathsep.join([str(PROJECT / "postinst"), *filter(None, sys.path)])
    printed = run(words, env={"PYTHONPATH": path}).stdout
    modules = printed.rpartition("modules ")[2].split()
    assert "backendai_ctl.commands.health" in modules
    assert not [name for name in modules if name.startswith(_OTHERS)]
    others = {name for name in modules if name.startswith("backendai_ctl.commands.")}
    assert others == {"backendai_ctl.commands.base", "backendai_ctl.commands.health"}


def test_every_command_is_found_by_its_name() -> None:
    for module, names in commands._MODULES.items():
        loaded = importlib.import_module(f"backendai_ctl.commands.{module}")
        assert tuple(command.name for command in loaded.COMMANDS) == names
        for name in names:
            assert commands.commands_with(name) == loaded.COMMANDS
    every = [command.name for command in commands.commands_with(None)]
    assert len(every) == len(set(every)) == sum(map(len, commands._MODULES.values()))
    assert [command.name for command in commands.commands_with("nothing")] == every


def test_systemd_is_queried_once_for_all_units(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Sequence[str]] = []

    def answer(command: Sequence[str], *, seconds: float) -> Done:
        del seconds
        called.append(command)
        units = [word for word in command if word.endswith(".service")]
        blocks = [f"Id={unit}\nActiveState=active\nEmpty=\n" for unit in units]
        return Done(status=0, stdout="\n".join(blocks), stderr="")

    monkeypatch.setattr(systemd, "run_program", answer)
    text = (layout.recipes / "manager.toml").read_text()
    other = text.replace('service = "manager"', 'service = "other"', 1)
    (layout.recipes / "other.toml").write_text(other)
    view = HostView(layout)
    services = [recipe.service for recipe in view.recipes]
    assert services == ["manager", "other"]
    assert {service: state["Id"] for service, state in view.units.items()} == {
        service: f"backendai-{service}.service" for service in services
    }
    assert len(called) == 1


def test_a_file_is_read_by_the_fast_parser_and_errors_are_the_other_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    parse = toml_reader.parse_document

    def ask(text: str) -> tomlkit.TOMLDocument:
        asked.append(text)
        return parse(text)

    monkeypatch.setattr(toml_reader, "parse_document", ask)
    assert toml_reader.parse_table("a.b = 1\n[c]\nd = [2026-11-26]\n")["a"] == {"b": 1}
    assert not asked
    with pytest.raises(toml_reader.NotTomlError, match="is not TOML: "):
        toml_reader.parse_table("a = \n")
    assert asked == ["a = \n"]


class _Member(BaseHTTPRequestHandler):
    """An etcd that has nothing, or sends callers elsewhere."""

    def do_POST(self) -> None:
        """Answer any question."""
        if self.path.endswith("alarm"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


def test_plain_http_reads_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("TLS")

    monkeypatch.setattr(ssl, "create_default_context", refuse)
    monkeypatch.setattr(ssl, "_create_default_https_context", refuse)
    monkeypatch.setattr(ssl, "SSLContext", refuse)
    server = HTTPServer(("127.0.0.1", 0), _Member)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        address = Address(host="127.0.0.1", port=server.server_address[1])
        etcd = Etcd(address=address, namespace="local")
        assert etcd.list("config/") == {}
        assert not etcd.has("nodes/manager")
        with pytest.raises(NotReadyError, match="refuses"):
            etcd.alarms()
    finally:
        server.shutdown()
        server.server_close()
