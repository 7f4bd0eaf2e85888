"""The doctor: each check by fakes, how findings weigh together, what people and machines see."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.base.errors import ExitCode, ToolError
from builder.cli import doctor as cli
from builder.doctor import host, network
from builder.doctor.check import (
    Check,
    Status,
    assess_runtime,
    assess_wheels,
    found,
    is_ready,
    lacking,
)
from builder.net.http import RetryPolicy
from builder.runtime.buildhost import Dependency
from tests.helpers.servers import release_server

_QUICK = RetryPolicy(tries=1, connect_s=1.0, read_s=0.3)
OK = found("x", "here")
NOT = lacking("x", "not here", "get it")


@pytest.fixture(autouse=True)
def no_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BUILDER_MIRROR", "BUILDER_PYTHON_MIRROR"):
        monkeypatch.delenv(name, raising=False)


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.status.value for check in checks}


# -- this host -------------------------------------------------------------------------


def test_python_that_is_too_old_is_named() -> None:
    check = host.check_python((3, 10, 4))
    assert check.status is Status.MISSING
    assert check.detail == "3.10.4, older than 3.11"
    assert check.remedy == "make setup PYTHON=python3.11"
    assert host.check_python((3, 11, 0)).is_ok


def test_an_architecture_that_is_none_of_ours() -> None:
    def unknown() -> str:
        raise ValueError("no architecture is called 'riscv64'")

    check = host.check_arch(unknown)
    assert (check.status, check.detail) == (
        Status.MISSING,
        "no architecture is called 'riscv64'",
    )
    assert host.check_arch(lambda: "arm64").detail == "arm64"


def test_a_tool_that_is_not_found_keeps_its_hint() -> None:
    def find() -> Path:
        raise ToolError("nfpm not found on PATH", hint="point BUILDER_NFPM at it")

    check = host.check_tool("nfpm", find)
    assert check == lacking("nfpm", "nfpm not found on PATH", "point BUILDER_NFPM at it")


def test_the_compiler_check_gives_the_one_command() -> None:
    missing = [
        Dependency(name="make", program="make", deb="make", rpm="make"),
        Dependency(name="zlib", header="zlib.h", deb="zlib1g-dev", rpm="zlib-devel"),
    ]
    check = host.check_compiler(missing, {"ID": "debian"})
    assert check.detail == "compiling CPython needs make, zlib"
    assert check.remedy is not None
    assert check.remedy.endswith("make zlib1g-dev")
    assert check.remedy.startswith("apt-get update && apt-get install")
    assert "dnf install" in (host.check_compiler(missing, {"ID": "fedora"}).remedy or "")
    assert host.check_compiler(missing, {}).remedy == "install them with their headers"
    assert host.check_compiler([], {}).is_ok


def test_a_folder_is_judged_without_being_made(tmp_path: Path) -> None:
    wanted = tmp_path / "deep" / "cache"
    asked = []

    def space(path: Path) -> int:
        asked.append(path)
        return 2_000_000_000

    check = host.check_folder("cache", wanted, needed=10**9, setting="BUILDER_CACHE", space=space)
    assert check == found("cache", f"{wanted} (2.0 GB free)")
    assert asked == [tmp_path]
    assert not wanted.parent.exists()
    small = host.check_folder("cache", wanted, needed=3 * 10**9, setting="--out", space=space)
    assert small.status is Status.MISSING
    assert "a build needs about 3.0 GB" in small.detail
    assert "--out" in (small.remedy or "")


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = host.check_folder("out", tmp_path / "file" / "dist", needed=0, setting="--out")
    assert check == lacking("out", f"{tmp_path / 'file'} is no folder", "point --out at a folder")


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    check = host.check_folder("out", tmp_path, needed=0, setting="--out")
    assert check == lacking("out", f"{tmp_path} cannot be written", "point --out elsewhere")


@contextmanager
def engine(path: Path, answer: bytes) -> Iterator[str]:
    """Something that listens where a Docker engine would, and gives one answer."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"unix://{path}"
        thread.join(5)


def test_docker_reports_its_version(tmp_path: Path) -> None:
    body = b'{"Version": "27.1"}'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with engine(tmp_path / "s", head + body) as address:
        assert host.check_docker({"DOCKER_HOST": address}) == found("docker", "engine 27.1")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    ],
)
def test_what_is_no_docker_is_optional(tmp_path: Path, answer: bytes) -> None:
    with engine(tmp_path / "s", answer) as address:
        check = host.check_docker({"DOCKER_HOST": address})
    assert check.status is Status.OPTIONAL
    assert check.remedy == ".ci/engine start"


@pytest.mark.parametrize("address", ["unix:///nowhere/docker.sock", "ssh://host", "nonsense"])
def test_no_docker_is_optional_and_names_the_address(address: str) -> None:
    check = host.check_docker({"DOCKER_HOST": address})
    assert check.status is Status.OPTIONAL
    assert address in check.detail


# -- the network -----------------------------------------------------------------------


def test_probe_says_why(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    assert network.probe_url((tmp_path / "here").as_uri()) is None
    assert network.probe_url((tmp_path / "gone").as_uri()) == "no such file"
    assert network.probe_url("gopher://host/file") is not None
    with release_server() as server:
        server.add("/file", b"content")
        assert network.probe_url(f"{server.url}/file", _QUICK) is None
        assert "404" in (network.probe_url(f"{server.url}/other", _QUICK) or "")


def test_a_silent_server_does_not_hold_the_probe() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        port = silent.getsockname()[1]
        assert network.probe_url(f"http://127.0.0.1:{port}/x", _QUICK) == "the server fell silent"


def test_places_are_asked_until_one_answers() -> None:
    asked = []

    def probe(url: str) -> str | None:
        asked.append(url)
        return None if "two" in url else "no such host"

    urls = ["https://one.example/f", "https://two.example/f", "https://three.example/f"]
    check = network.check_places("tarball", urls, remedy="r", probe=probe)
    assert check == found("tarball", "available from two.example")
    assert asked == urls[:2]


def test_places_that_all_fail_are_all_named() -> None:
    def probe(url: str) -> str | None:
        return f"cannot fetch {url}: answered 404" if "one" in url else "no such host"

    urls = ["https://one.example/f", "https://user:secret@two.example/f", "file:///mnt/f"]
    check = network.check_places("tarball", urls, remedy="fix it", probe=probe)
    assert check.detail == (
        "one.example: answered 404; two.example: no such host; /mnt: no such host"
    )
    assert check.remedy == "fix it"
    assert "no place" in network.check_places("tarball", [], remedy="r").detail


def test_a_check_that_hangs_is_given_up() -> None:
    release = threading.Event()

    def hang() -> Check:
        release.wait(30)
        return OK

    begun = time.monotonic()
    late, later, quick = network.gather([("a", hang), ("b", hang), ("c", lambda: OK)], limit_s=0.2)
    release.set()
    assert quick == OK
    assert late.detail == later.detail == "no answer within 0 s"
    assert time.monotonic() - begun < 10  # a bound on hanging, not on speed


def test_a_fault_in_a_check_is_not_swallowed() -> None:
    def broken() -> Check:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        network.gather([("a", broken)])


# -- assessing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prepared", "standalone", "tarball", "compiler", "ready"),
    [
        (OK, NOT, NOT, NOT, True),
        (NOT, OK, NOT, NOT, True),
        (NOT, NOT, OK, OK, True),
        (NOT, NOT, OK, NOT, False),
        (NOT, NOT, NOT, OK, False),
        (NOT, NOT, NOT, NOT, False),
    ],
)
def test_one_way_to_a_cpython_is_enough(
    prepared: Check, standalone: Check, tarball: Check, compiler: Check, ready: bool
) -> None:
    checks = assess_runtime(
        prepared=prepared, standalone=standalone, tarball=tarball, compiler=compiler
    )
    assert len(checks) == 4
    assert is_ready(checks) is ready
    assert checks[0].status is not Status.MISSING


def test_wheels_come_from_the_cache_or_the_index() -> None:
    assert states([*assess_wheels(cached=OK, source=NOT)]) == {"x": "optional"}
    filled = assess_wheels(cached=NOT, source=OK)
    assert is_ready(filled)
    assert filled[0].remedy is None
    assert not is_ready(assess_wheels(cached=NOT, source=NOT))
    assert not is_ready(assess_wheels(cached=NOT, source=None))
    assert is_ready(assess_wheels(cached=OK, source=None))


# -- the command -----------------------------------------------------------------------

CHECKS = [
    found("python", "3.13.5"),
    lacking("nfpm", "nfpm not found on PATH", "make setup"),
    Check(name="docker", status=Status.OPTIONAL, detail="no engine", remedy=".ci/engine start"),
]


def test_people_see_the_remedies_and_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(cli, "examine", lambda _: CHECKS)
    done = CliRunner().invoke(cli.doctor_command, ["--offline"])
    assert done.exit_code == ExitCode.TOOL
    lines = [line.rstrip() for line in done.output.splitlines()]
    assert "nfpm: make setup" in lines
    assert "docker: .ci/engine start" in lines
    assert lines[-1] == "a build cannot work here yet"
    assert lines.index("nfpm: make setup") < lines.index("docker: .ci/engine start")


def test_machines_see_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "examine", lambda _: [CHECKS[0], CHECKS[2]])
    done = CliRunner().invoke(cli.doctor_command, ["--json"])
    assert done.exit_code == ExitCode.OK
    report = json.loads(done.stdout)
    assert report["ready"] is True
    assert report["checks"][1] == {
        "name": "docker",
        "status": "optional",
        "detail": "no engine",
        "remedy": ".ci/engine start",
    }
