"""A server that imports its modules while its stores are being filled."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from backendai_ctl.base.layout import Layout

from builder.base.paths import PROJECT

Process = subprocess.Popen[str]  # noqa: TID251 - in the background

_SERVER = """
import sys
print("imported", flush=True)

def main():
    print("runs", sys.argv, [name for name in sys.path if "postinst" in name], flush=True)
    wanted = ("schema", "absent", "pages.broken.below", "pages.last")
    print(*(name in sys.modules for name in wanted), flush=True)
    return 3
"""
_CALL = """
import sys
from pathlib import Path
from types import SimpleNamespace
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.first_start import run_first_start
from backendai_ctl.services.recipe import FirstStart
first = FirstStart(entry="server:main", imports=("schema", "absent", "broken", "pages.*"))
recipe = SimpleNamespace(service="manager", first_start=first)
run_first_start(Layout(root=Path(sys.argv[1])), recipe, ["-f", "server.conf"])
"""


@pytest.fixture
def server(layout: Layout, tmp_path: Path) -> Iterator[Process]:
    """A server that has imported its modules, and is held."""
    modules = {"server": _SERVER, "schema": "", "broken": "raise ValueError"}
    package = {
        "__init__": "",
        "broken/__init__": "raise ValueError",
        "broken/below": "",
        "last": "",
    }
    for name, text in (modules | {f"pages/{name}": text for name, text in package.items()}).items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    layout.held("manager").parent.mkdir(parents=True)
    layout.held("manager").touch()
    found = os.pathsep.join([str(PROJECT / "postinst"), str(tmp_path)])
    with Process(
        [sys.executable, "-c", _CALL, str(layout.root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": found},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "imported\n"
        yield process
        process.kill()


def test_it_begins_once_its_stores_are_filled(layout: Layout, server: Process) -> None:
    time.sleep(0.3)
    assert server.poll() is None
    layout.held("manager").unlink()
    printed, _ = server.communicate(timeout=30)
    assert printed == "runs ['server', '-f', 'server.conf'] []\nTrue False False True\n"
    assert server.returncode == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_before_it_begins(server: Process, number: signal.Signals) -> None:
    server.send_signal(number)
    printed, _ = server.communicate(timeout=30)
    assert printed == ""
    assert server.returncode == -number
