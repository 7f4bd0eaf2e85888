"""What the shells complete: by the shipped script, with tables made as on a host."""

import os
import shutil
import time
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import run
from builder.plan.render import Renderer
from builder.plan.sources import read_sources

FOLDER = PROJECT / "postinst/completion"
# Stands for a service's run script and its Python: it makes the table, slowly enough to see.
FAKE_RUN = """#!/bin/sh
echo call >>"$HOME/calls"
printf '%s\\t%s\\n' mgr 'etcd schema --help' 'mgr etcd' 'get put --help' \\
    'mgr etcd put' '--scope --help' >"$6.1"
mv "$6.1" "$6"
rm "$6.lock"
"""


@pytest.fixture
def lib(tmp_path: Path) -> Path:
    """The shipped folder of a host with the manager."""
    lib = tmp_path / "lib"
    for name in ("dispatch.d", "recipes", "completion"):
        (lib / name).mkdir(parents=True)
    table = Renderer(read_sources(PROJECT)).render("postinst/completion/backendai-ctl.j2", {})
    (lib / "completion/backendai-ctl").write_bytes(table)
    for service in ("manager", "agent"):
        (lib / f"recipes/{service}.toml").touch()
    (tmp_path / "run-manager").write_text(FAKE_RUN)
    (tmp_path / "run-manager").chmod(0o755)
    (lib / "dispatch.d/mgr").write_text(f"{tmp_path}/run-manager\n/etc/backend.ai/manager.toml\n")
    return lib


def complete(lib: Path, program: str, current: str, *words: str) -> list[str]:
    """What may stand there."""
    env = {"BACKENDAI_LIB": str(lib), "HOME": str(lib.parent), "PATH": os.environ["PATH"]}
    return run(["sh", FOLDER / "complete", program, current, *words], env=env).stdout.split()


def test_commands_of_the_tool(lib: Path) -> None:
    assert {"configure", "sql", "site"} <= set(complete(lib, "backendai-ctl", ""))
    assert complete(lib, "backendai-ctl", "", "site") == ["get", "set"]
    assert complete(lib, "backendai-ctl", "", "configure") == ["agent", "manager"]
    assert complete(lib, "backendai-ctl", "", "configure", "agent") == []
    assert complete(lib, "backendai-ctl", "-", "wait", "agent") == ["--help", "--timeout"]


def test_commands_of_a_service_are_collected_once(lib: Path) -> None:
    assert complete(lib, "backend.ai", "") == ["mgr"]
    # Importing the service takes seconds: nobody waits for it.
    assert complete(lib, "backend.ai", "", "mgr") == []
    until = time.monotonic() + 10
    while not complete(lib, "backend.ai", "", "mgr"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert complete(lib, "backend.ai", "", "mgr") == ["etcd", "schema"]
    assert complete(lib, "backend.ai", "", "mgr", "etcd") == ["get", "put"]
    assert complete(lib, "backend.ai", "", "mgr", "--debug", "etcd") == ["get", "put"]
    assert complete(lib, "backend.ai", "--", "mgr", "etcd", "put", "key") == ["--scope", "--help"]
    assert (lib.parent / "calls").read_text() == "call\n"
    # The next version has other commands.
    (lib.parent / "run-manager").chmod(0o700)
    time.sleep(1.1)
    (lib.parent / "run-manager").chmod(0o755)
    complete(lib, "backend.ai", "", "mgr")
    while len((lib.parent / "calls").read_text().split()) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_nothing_is_installed(tmp_path: Path) -> None:
    assert complete(tmp_path, "backend.ai", "") == []
    assert complete(tmp_path, "backend.ai", "", "mgr") == []


BASH = """
. {0}/backend.ai.bash
COMP_WORDS=(backendai-ctl si) COMP_CWORD=1
_backendai
echo "${{COMPREPLY[@]}}"
"""
ZSH = """
compadd() {{ shift; print -- ${{(P)1}} }}
words=(backendai-ctl si) CURRENT=2
. {0}/_backend.ai
"""


@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("zsh", ZSH)])
def test_a_shell_asks_the_script(shell: str, script: str, lib: Path, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    folder = tmp_path / "shell"
    shutil.copytree(FOLDER, folder)
    for name in ("backend.ai.bash", "_backend.ai"):
        text = (folder / name).read_text()
        assert "/usr/lib/backendai/completion/complete" in text
        path = f"env BACKENDAI_LIB={lib} sh {folder}/complete"
        (folder / name).write_text(text.replace("/usr/lib/backendai/completion/complete", path))
    found = run([shell, "-c", script.format(folder)]).stdout.split()
    assert "site" in found
    assert ("sql" in found) is (shell == "zsh")  # which filters by itself
