"""Files that several runs write at once, and what killed runs leave."""

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.files import exclusive, private_writer
from backendai_ctl.base.temporary import is_temporary, new_file, remove_left

_RUNS = 6
_TURNS = 40


def at_once(act: Callable[[int, int], None]) -> None:
    """Call ``act`` with the number of a thread and of its turn; raise what any call raised."""
    raised: list[Exception] = []
    begin = threading.Barrier(_RUNS)

    def work(number: int) -> None:
        begin.wait()
        try:
            for turn in range(_TURNS):
                act(number, turn)
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_RUNS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is flushed to the disk is not what these tests look at."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def test_runs_replace_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "manager.log"

    def write(number: int, turn: int) -> None:
        private_writer().replace(path, f"{number} {turn}\n" * 100)
        assert len(set(path.read_text().splitlines())) == 1

    at_once(write)
    assert list(tmp_path.iterdir()) == [path]


def test_one_of_several_runs_creates_a_file(tmp_path: Path) -> None:
    made: list[int] = []

    def create(number: int, turn: int) -> None:
        if private_writer().create(tmp_path / str(turn), f"{number}\n"):
            made.append(turn)

    at_once(create)
    assert sorted(made) == list(range(_TURNS))
    assert len(list(tmp_path.iterdir())) == _TURNS


def test_runs_make_the_same_folder(tmp_path: Path) -> None:
    def make(number: int, turn: int) -> None:
        folder = tmp_path / str(turn) / "inner"
        private_writer().ensure_folder(folder, mode=0o750)
        (folder / str(number)).touch()

    at_once(make)
    for turn in range(_TURNS):
        assert len(list((tmp_path / str(turn) / "inner").iterdir())) == _RUNS
        assert [path.name for path in (tmp_path / str(turn)).iterdir()] == ["inner"]


def test_runs_make_one_key_pair(tmp_path: Path) -> None:
    def pair(folder: Path, name: str) -> None:
        token = os.urandom(8).hex()
        for suffix in ("key", "key_secret"):
            (folder / f"{name}.{suffix}").write_text(token)

    store = SecretStore(folder=tmp_path, writer=private_writer(), make_pair=pair)

    def ensure(_: int, turn: int) -> None:
        secret = store.ensure_pair(f"pair-{turn}")
        assert secret.read_text() == secret.with_suffix(".key").read_text()

    at_once(ensure)
    assert len(list(tmp_path.iterdir())) == 2 * _TURNS


def test_what_others_write_is_not_taken_for_what_was_left(tmp_path: Path) -> None:
    def write(number: int, turn: int) -> None:
        remove_left(tmp_path)
        private_writer().replace(tmp_path / str(number), str(turn))

    at_once(write)
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(n) for n in range(_RUNS)]


@pytest.mark.parametrize("name", [".log.backendai-tmp", ".log.0123abcd.backendai-tmp"])
def test_a_write_removes_what_killed_ones_left(tmp_path: Path, name: str) -> None:
    for left in (tmp_path / name, tmp_path / f".other{name}"):
        left.write_text("half")
    private_writer().replace(tmp_path / "log", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"log", f".other{name}"}
    remove_left(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_file_in_use_is_left(tmp_path: Path) -> None:
    with new_file(tmp_path / "log") as (temporary, _):
        assert is_temporary(temporary.name)
        remove_left(tmp_path)
        assert temporary.exists()
        private_writer().replace(tmp_path / "log", "of another run")
        assert temporary.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    private_writer().replace(tmp_path / "log", "whole")
    private_writer().ensure_folder(tmp_path / "folder")
    assert {path.name for path in tmp_path.iterdir()} == {"log", "folder"}


def test_a_run_that_waits_for_another_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    with exclusive(tmp_path, on_wait=lambda: said.append("nobody has it")):
        second = threading.Thread(target=lambda: _lock(tmp_path, said))
        second.start()
        while not said:
            os.sched_yield()
        said.append("the first ends")
    second.join()
    assert said == ["waits", "the first ends", "has it"]


def _lock(folder: Path, said: list[str]) -> None:
    with exclusive(folder, on_wait=lambda: said.append("waits")):
        said.append("has it")


def test_a_planted_pipe_does_not_keep_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".log.backendai-tmp")
    private_writer().replace(tmp_path / "log", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
