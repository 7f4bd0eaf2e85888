"""Root's own connection goes to the server's socket, and to nobody else's."""

import os
import pwd
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.programs import Done
from backendai_ctl.stores import local_server
from backendai_ctl.stores.local_server import LocalServer, find_local_server

ADDRESS = Address(host="127.0.0.1", port=5432)


def test_libpq_asks_for_the_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def run(_: Sequence[str], *, env: Mapping[str, str], **__: object) -> Done:
        seen.update(env)
        return Done(status=0, stdout="1\n", stderr="")

    monkeypatch.setattr(local_server, "run_program", run)
    assert LocalServer(socket_folder=tmp_path, port=5432).run("SELECT 1;") == "1\n"
    assert seen["PGREQUIREPEER"] == "postgres"
    assert seen["PATH"] == os.environ["PATH"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a socket of somebody else")
def test_a_socket_of_somebody_else_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder, owner in ((other, 65534), (mine, 4242)):
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / ".s.PGSQL.5432"))
        os.chown(folder / ".s.PGSQL.5432", owner, owner)
    monkeypatch.setattr(local_server, "is_root", lambda: True)
    monkeypatch.setattr(local_server, "_FOLDERS", (str(other), str(mine)))
    monkeypatch.setattr(local_server.shutil, "which", lambda name: name)  # type: ignore[attr-defined]
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_uid=4242))
    found = find_local_server([ADDRESS])
    assert found is not None
    assert found.socket_folder == mine
    (mine / ".s.PGSQL.5432").unlink()
    assert find_local_server([ADDRESS]) is None
