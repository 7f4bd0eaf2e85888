"""`backend.ai`: which service's package a word leads to, and what it says without one."""

import os
import shutil
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import run
from tests.unit.postinst.rendered import other, payload_text, render, spec


def dispatcher(tmp_path: Path, config: Path | None) -> dict[str, str]:
    """A host on which one service is installed, with a run script that prints its arguments."""
    table = tmp_path / "dispatch.d"
    table.mkdir()
    (tmp_path / "commands").write_text(payload_text("/usr/lib/backendai/commands"))
    runner = tmp_path / "run-manager"
    runner.write_text('#!/bin/sh\nprintf "[%s]" "$@"\n')
    runner.chmod(0o755)
    (table / "mgr").write_text(f"{runner}\n{config or ''}\n")
    return {"BACKENDAI_DISPATCH": str(table)}


def backend_ai(env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run the dispatcher."""
    result = run(["sh", PROJECT / "postinst/bin/backend.ai", *arguments], env=env, check=False)
    return result.status, result.stdout, result.stderr


def messages(*lines: str) -> str:
    """What the dispatcher says."""
    return "".join(f"backend.ai: {line}\n" for line in lines)


def test_dispatcher_reaches_the_service(tmp_path: Path) -> None:
    config = tmp_path / "manager.toml"
    config.touch()
    env = dispatcher(tmp_path, config)
    assert backend_ai(env, "mgr", "etcd", "put", "a b", "$c") == (
        0,
        "[backend.ai][mgr][etcd][put][a b][$c]",
        "",
    )


def test_dispatch_table_entry_is_what_the_dispatcher_reads(tmp_path: Path) -> None:
    entry = payload_text("/usr/lib/backendai/dispatch.d/mgr")
    assert entry == "/opt/backendai/manager/bin/run-manager\n/etc/backend.ai/manager.toml\n"
    assert (
        render("postinst/services/dispatch.j2", other()) == "/opt/backendai/agent/bin/run-agent\n\n"
    )


def test_every_word_of_a_service_leads_to_its_package() -> None:
    words = dict(line.split() for line in payload_text("/usr/lib/backendai/commands").splitlines())
    assert words == {
        package.service.command: name
        for name, package in spec().packages.items()
        if package.service and package.service.command not in (None, "_")
    }
    assert words["app-proxy-worker"] == "backendai-appproxy-worker"


def test_dispatcher_says_which_package(tmp_path: Path) -> None:
    env = dispatcher(tmp_path, None)
    assert backend_ai(env, "storage", "x") == (
        1,
        "",
        messages(
            "'storage' is not installed on this host", "install the package backendai-storage-proxy"
        ),
    )
    status, _, message = backend_ai(env, "mrg")
    assert status == 1
    assert message == messages(
        "no command is called 'mrg'",
        "commands on this host: mgr",
        "the commands for users (session, vfolder, ...) are in the package backendai-client",
    )
    assert backend_ai(env, "../mgr")[0] == 1
    empty = {"BACKENDAI_DISPATCH": str(tmp_path / "none")}
    assert "none (install backendai-manager" in backend_ai(empty, "--help")[1]
    assert backend_ai(empty)[0] == 2


def test_dispatcher_gives_the_client_what_no_service_has(tmp_path: Path) -> None:
    env = dispatcher(tmp_path, tmp_path / "manager.toml")
    (tmp_path / "manager.toml").touch()
    runner = tmp_path / "run-client"
    runner.write_text('#!/bin/sh\nprintf "client[%s]" "$@"\n')
    runner.chmod(0o755)
    (tmp_path / "dispatch.d/_").write_text(f"{runner}\n\n")
    assert backend_ai(env, "session", "list") == (
        0,
        "client[backend.ai]client[session]client[list]",
        "",
    )
    assert backend_ai(env, "--version") == (0, "client[backend.ai]client[--version]", "")
    # A service's commands stay its own, and a missing one is still named.
    assert backend_ai(env, "mgr")[1] == "[backend.ai][mgr]"
    assert "install the package backendai-agent" in backend_ai(env, "ag", "--help")[2]
    assert backend_ai(env, "_", "x")[0] == 1
    shown = backend_ai(env, "--help")[1]
    assert "commands on this host: mgr\n" in shown
    assert "and those of the client" in shown


def test_client_has_commands_and_no_server(tmp_path: Path) -> None:
    entry = payload_text("/usr/lib/backendai/dispatch.d/_")
    assert entry == "/opt/backendai/client/bin/run-client\n\n"
    script = payload_text("/opt/backendai/client/bin/run-client")
    assert 'exec "$prefix/bin/backend.ai"\n' in script
    assert "BACKEND_CONFIG_FILE" not in script
    assert " -m " not in script


def test_dispatcher_before_configuration(tmp_path: Path) -> None:
    env = dispatcher(tmp_path, tmp_path / "manager.toml")
    status, _, message = backend_ai(env, "mgr", "etcd", "get", "x")
    assert status == 1
    assert "manager.toml does not exist" in message
    assert "sudo backendai-ctl configure manager" in message
    assert backend_ai(env, "mgr", "--help")[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_dispatcher_as_somebody_else() -> None:
    # Not below tmp_path, which only its owner may enter.
    folder = Path("/var/tmp") / f"backendai-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        (folder / "etc").mkdir(mode=0o700)
        (folder / "etc/manager.toml").touch()
        env = dispatcher(folder, folder / "etc/manager.toml")
        result = run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-s", "mgr", "x"],
            env=env,
            stdin=(PROJECT / "postinst/bin/backend.ai").read_text(),
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert result.status == 1
    assert "may not read" in result.stderr
    assert "use sudo, or let an administrator add you to the group" in result.stderr
