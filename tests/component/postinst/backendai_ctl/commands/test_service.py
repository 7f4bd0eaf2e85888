"""A service is stopped while its server starts workers, which it does one after the other."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.processes import repeat_signal

from builder.base.paths import PROJECT
from builder.base.run import run
from tests.helpers.ports import free_port

Process = subprocess.Popen[str]  # noqa: TID251 - in the background

# As the release's: it hands a signal to the workers that it has, and waits for all. The second
# worker is started after a line of input.
_SERVER = """
import signal, subprocess, sys, time
workers, signals = [], 0

def hand_on(number, frame):
    global signals
    signals += 1
    for worker in workers:
        worker.send_signal(number)

signal.signal(signal.SIGTERM, hand_on)
for _ in range(2):
    if workers:
        sys.stdin.readline()
    command = [sys.executable, "-c", sys.argv[1]]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    worker.stdout.readline()
    workers.append(worker)
    print("worker", flush=True)
for worker in workers:
    worker.wait()
signal.signal(signal.SIGTERM, signal.SIG_DFL)
time.sleep(1)
print("tidied up", flush=True)
"""
_WORKER = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
time.sleep(600)
"""
_TOOL = "import sys; from backendai_ctl.cli import main; sys.exit(main(sys.argv[1:]))"


# Prints what the entry point holds back while the command's modules are imported.
_HELD = """
import signal, sys, types
command = lambda: print(*sorted(each.name for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])))
sys.modules["backendai_ctl.cli"] = types.SimpleNamespace(main=command)
from backendai_ctl.__main__ import main
main()
"""


@pytest.fixture
def server() -> Iterator[Process]:
    """A server that has one of its two workers."""
    with Process(
        [sys.executable, "-c", _SERVER, _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "worker\n"
        # As systemd does: a process that has ended is gone.
        threading.Thread(target=process.wait, daemon=True).start()
        yield process
        kill_group(process)


def kill_group(process: Process) -> None:
    """End the server and its workers."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def start_tool(layout: Layout, server: Process, *words: str) -> Process:
    """Start the tool as systemd starts it beside the main process of a unit."""
    env = {**os.environ, "PYTHONPATH": str(PROJECT / "postinst"), "MAINPID": str(server.pid)}
    command = [sys.executable, "-c", _TOOL, f"--root={layout.root}", *words]
    return Process(command, env=env, stderr=subprocess.PIPE, text=True)


def start_second_worker(server: Process) -> None:
    """Let the server start its other worker, and wait until it has it."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("\n")
    server.stdin.flush()
    assert server.stdout.readline() == "worker\n"


def rest_of(server: Process) -> str:
    """What the server prints until its end; empty where a signal has ended it."""
    assert server.stdout is not None
    return server.stdout.read()


def wait_for_handler(process: Process) -> None:
    """Wait until a process has a handler for SIGTERM."""
    path = Path(f"/proc/{process.pid}/status")
    bit = 1 << (signal.SIGTERM - 1)
    while not any(
        int(line.split()[1], 16) & bit
        for line in path.read_text().splitlines()
        if line.startswith("SigCgt:")
    ):
        time.sleep(0.05)


def test_a_stop_ends_a_worker_that_is_started_after_the_signal(
    layout: Layout, server: Process
) -> None:
    with start_tool(layout, server, "stop", "manager") as tool:
        # The first worker has got the signal, the second one is not there yet.
        assert server.stdout is not None
        first = Path(f"/proc/{server.pid}/task/{server.pid}/children")
        while any(is_alive(int(child)) for child in first.read_text().split()):
            time.sleep(0.05)
        start_second_worker(server)
        assert tool.wait() == 0
    assert rest_of(server) == "tidied up\n"


def is_alive(pid: int) -> bool:
    """Whether a child of the server runs; it has no state but Z before the server waits for it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_start_that_is_stopped_ends_its_server_and_has_not_failed(
    layout: Layout, server: Process
) -> None:
    address = f'{{ host = "127.0.0.1", port = {free_port()} }}'
    (layout.etc / "manager.toml").write_text(f"[manager]\nservice-addr = {address}\n")
    with start_tool(layout, server, "wait", "manager") as tool:
        wait_for_handler(tool)
        for process in (server, tool):
            process.send_signal(signal.SIGTERM)
        start_second_worker(server)
        assert tool.wait() == 0
    assert rest_of(server) == "tidied up\n"


@pytest.mark.parametrize(("command", "held"), [("wait", "SIGINT SIGTERM"), ("stop", "")])
def test_the_program_that_waits_holds_signals_until_it_heeds_them(command: str, held: str) -> None:
    env = {"PYTHONPATH": str(PROJECT / "postinst")}
    assert run([sys.executable, "-c", _HELD, command, "manager"], env=env).stdout.strip() == held


def test_a_server_that_does_not_end_is_reported(server: Process) -> None:
    assert not repeat_signal(server.pid, signal.SIGUSR1, seconds=0.4)
    assert server.poll() is None


def test_only_a_unit_stops_its_service(
    layout: Layout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from backendai_ctl.cli import main  # noqa: PLC0415

    monkeypatch.delenv("MAINPID", raising=False)
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    assert main([f"--root={layout.root}", "stop", "manager"]) == 0  # the server has ended by itself
    monkeypatch.delenv("INVOCATION_ID")
    assert main([f"--root={layout.root}", "stop", "manager"]) == 77
    assert "hint: sudo systemctl stop backendai-manager.service" in capsys.readouterr().err
