"""`backendai-ctl join` on a node made up in a folder, against an invite on loopback."""

import io
import json
import os
import stat
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.commands import joining
from backendai_ctl.join import client, follow
from backendai_ctl.join.server import End
from backendai_ctl.join.state import Joined, Pending

from tests.unit.postinst.backendai_ctl.join.invites import (
    CLUSTER,
    TOKEN,
    Served,
    files_of,
    new_node,
    open_invite,
    payload,
)
from tests.unit.postinst.conftest import caller, fake_pair, install_recipe

OWN = ("--address", "10.0.0.7")
IDS = {"account.uid": caller().uid, "account.gid": caller().gid}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A node on which backendai-agent is installed, and nothing configured."""
    monkeypatch.delenv("BACKENDAI_JOIN", raising=False)
    monkeypatch.setattr("backendai_ctl.answers.secretstore.make_curve_pair", fake_pair)
    return new_node(tmp_path / "node", "agent")


def join(node: Layout, *words: str) -> int:
    """Run the command; its exit status."""
    return main(["--root", str(node.root), "--as-caller", "join", *OWN, *words])


def give(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    """Give the line by stdin."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{served.invite}\n"))


def agent_toml(node: Layout) -> dict[str, Any]:
    """What the agent would read."""
    return tomllib.loads((node.etc / "agent.toml").read_text())


def test_a_node_joins_by_the_line_on_stdin(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    brought = payload(secrets={"storage-proxy-manager-secret": "volume-word\n"})
    with open_invite(brought.as_table) as served:
        give(monkeypatch, served)
        assert join(node) == 0
        assert served.end() is End.USED
    site = tomllib.loads(node.site.read_text())
    assert site["etcd"]["addresses"] == ["10.0.0.1:2379"]
    assert site["agent"]["address"] == "10.0.0.7:6001"
    assert site["agent"]["container-host"] == "10.0.0.7"
    assert agent_toml(node)["etcd"]["addr"] == {"host": "10.0.0.1", "port": 2379}
    secret = node.secrets / "storage-proxy-manager-secret"
    assert secret.read_text() == "volume-word\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(node.site.stat().st_mode) == 0o640
    assert Joined.load(node).cluster == CLUSTER
    assert Pending.load(node) is None
    said = capsys.readouterr()
    for word in ("etcd-word", "volume-word", TOKEN.decode(), str(served.invite)):
        assert word not in said.out + said.err
    for path in node.join.iterdir():
        assert "-word" not in path.read_text()


def test_the_same_line_again_does_nothing_and_asks_nobody(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_invite() as served:
        give(monkeypatch, served)
        assert join(node) == 0
        served.end()
    before = files_of(node)
    give(monkeypatch, served)
    assert join(node) == 0
    assert files_of(node) == before
    assert "has joined by this invite already" in capsys.readouterr().err


def test_what_the_packages_made_before_is_no_conflict(
    node: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--root", str(node.root), "--as-caller", "configure", "agent"]) == 0
    assert agent_toml(node)["etcd"]["addr"]["host"] == "127.0.0.1"
    with open_invite() as served:
        give(monkeypatch, served)
        assert join(node) == 0
    assert agent_toml(node)["etcd"]["addr"]["host"] == "10.0.0.1"


def test_what_the_admin_has_answered_stays(node: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    node.site.write_text('# mine\n[agent]\naddress = "10.5.5.5:6001" # my network\n')
    with open_invite() as served:
        give(monkeypatch, served)
        assert join(node) == 0
    text = node.site.read_text()
    assert text.startswith('# mine\n[agent]\naddress = "10.5.5.5:6001" # my network\n')
    assert agent_toml(node)["agent"]["rpc-listen-addr"]["host"] == "10.5.5.5"


def test_all_conflicts_are_one_error_and_nothing_is_written(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.site.write_text('[etcd]\naddresses = ["10.9.9.9:2379"]\npassword = "other-word"\n')
    before = files_of(node)
    with open_invite() as served:
        give(monkeypatch, served)
        assert join(node) == 78
        said = capsys.readouterr().err
        assert "etcd.addresses" in said
        assert "10.9.9.9:2379" in said
        assert "etcd.password" in said
        assert "-word" not in said
        assert "nothing was changed" in said
        assert files_of(node) == before
        # The invite is still there for a second attempt, of this node.
        node.site.unlink()
        give(monkeypatch, served)
        assert join(node) == 0
        assert served.end() is End.USED


@pytest.mark.parametrize("when", ["fetched", "applied", "configured"])
def test_a_run_that_is_killed_goes_on_without_the_line(
    node: Layout, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    places = {
        "fetched": (follow, "apply_change"),
        "applied": (follow, "_forget_configs"),
        "configured": (joining, "forget_pending"),
    }
    with open_invite() as served, monkeypatch.context() as patch:
        patch.setattr(*places[when], kill)
        give(patch, served)
        with pytest.raises(Killed):
            join(node)
        assert served.end() is End.USED
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert join(node) == 0
    assert agent_toml(node)["etcd"]["addr"]["host"] == "10.0.0.1"
    assert Pending.load(node) is None


def begun(node: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has got everything, and was killed."""

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with open_invite() as served, monkeypatch.context() as patch:
        patch.setattr(follow, "apply_change", kill)
        give(patch, served)
        with pytest.raises(Killed):
            join(node)


def test_another_line_is_not_passed_over_while_an_invite_is_unfinished(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(node, monkeypatch)
    before = files_of(node)
    with open_invite() as served:
        other = replace(served.invite, token=bytes(len(TOKEN)))
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{other}\n"))
        assert join(node) == 77
    assert "has begun to join by another invite" in capsys.readouterr().err
    assert files_of(node) == before


@pytest.mark.parametrize("is_open", [True, False])
def test_a_pipe_without_a_line_does_not_hold_an_unfinished_run(
    node: Layout, monkeypatch: pytest.MonkeyPatch, *, is_open: bool
) -> None:
    begun(node, monkeypatch)
    monkeypatch.setattr("backendai_ctl.commands.join._PIPE_WAIT_S", 0.1)
    reading, writing = os.pipe()
    if not is_open:
        os.close(writing)
    with open(reading) as empty:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr("sys.stdin", empty)
        assert join(node) == 0
    if is_open:
        os.close(writing)
    assert Pending.load(node) is None


def test_a_run_that_is_killed_before_it_has_stored_anything_comes_again(
    node: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with open_invite() as served:
        with monkeypatch.context() as patch:
            patch.setattr(Pending, "with_payload", kill)
            give(patch, served)
            with pytest.raises(Killed):
                join(node)
        give(monkeypatch, served)
        assert join(node) == 0


def test_another_clusters_invite_is_refused_before_it_is_used(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Joined(cluster="0123456789ab", roles={"agent": "x"}).save(node)
    before = files_of(node)
    with open_invite() as served:
        give(monkeypatch, served)
        assert join(node) == 77
        said = capsys.readouterr().err
        assert "belongs to another cluster (0123456789ab); the invite is of c0ffee000001" in said
        assert files_of(node) == before
        assert not served.said


def test_a_refused_line_leaves_no_file(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_invite() as served:
        with client.fetch(served.invite, lambda: "of another node"):
            pass
        give(monkeypatch, served)
        assert join(node) == 77
        assert "the invite was used already, by 127.0.0.1" in capsys.readouterr().err
        assert not list(node.join.iterdir())
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{served.invite}"[:-3]))
    assert join(node) == 65
    assert not list(node.join.iterdir())


def test_another_line_does_not_replace_what_an_invite_has_brought(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_invite() as served:
        give(monkeypatch, served)
        assert join(node, "--fetch") == 0
    before = (node.join / "pending.json").read_bytes()
    other = replace(served.invite, token=b"u" * len(TOKEN))
    assert join(node, str(other)) == 77
    assert "has begun to join by another invite, as agent" in capsys.readouterr().err
    assert (node.join / "pending.json").read_bytes() == before
    assert join(node) == 0
    assert agent_toml(node)["etcd"]["addr"]["host"] == "10.0.0.1"


def test_a_seeded_managers_node_is_a_cluster_of_its_own(
    node: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.secrets.mkdir()
    node.credentials.mkdir()
    (node.secrets / "manager-secret").write_text("of its own\n")
    with open_invite() as served:
        give(monkeypatch, served)
        (node.credentials / "manager.toml").write_text("")
        assert join(node) == 77
        (node.credentials / "manager.toml").unlink()  # never seeded: made by the installation
        give(monkeypatch, served)
        assert join(node) == 0


@pytest.mark.parametrize(
    "case",
    [
        ("storage", 71, "backendai-storage-proxy is not installed here"),
        ("chef", 65, "there is no role 'chef'"),
    ],
)
def test_a_role_that_cannot_be_here_is_refused(
    node: Layout,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, int, str],
) -> None:
    role, status, words = case
    with open_invite() as served:
        served.invite = replace(served.invite, role=role)
        give(monkeypatch, served)
        assert join(node) == status
        assert words in capsys.readouterr().err
        assert not node.site.exists()
        assert not served.said


def test_an_invite_of_a_newer_release_is_refused(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "installed_release", lambda _: "26.9.6")
    with open_invite(release="26.10.0") as served:
        give(monkeypatch, served)
        assert join(node) == 71
        said = capsys.readouterr().err
        assert "the invite is of release 26.10.0, which is newer than this node's packages" in said
        assert "upgrade the packages of this node first" in said


def test_another_uid_is_a_conflict(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    brought = replace(payload(), answers={**payload().answers, **IDS, "account.uid": 4242})
    with open_invite(brought.as_table) as served:
        give(monkeypatch, served)
        assert join(node) == 78
        said = capsys.readouterr().err
        assert f"account.uid is {caller().uid} on this host, and the cluster's is 4242" in said
        assert not node.site.exists()


def test_an_edited_configuration_is_kept_and_named(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--root", str(node.root), "--as-caller", "configure", "agent"])
    edited = (node.etc / "agent.toml").read_text() + "# mine\n"
    (node.etc / "agent.toml").write_text(edited)
    with open_invite() as served:
        give(monkeypatch, served)
        assert join(node) == 0
    assert (node.etc / "agent.toml").read_text() == edited
    assert "agent.toml was edited here" in capsys.readouterr().err


def test_an_argument_warns_and_a_file_does_not(
    node: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_invite() as served:
        assert join(node, str(served.invite)) == 0
        assert "in your shell's history" in capsys.readouterr().err
        line = tmp_path / "line"
        line.write_text(f"{served.invite}\n")
        assert join(node, "--file", str(line)) == 0
        assert "history" not in capsys.readouterr().err
        assert join(node, "--file", str(tmp_path / "absent")) == 71


@pytest.mark.parametrize("by", ["variable", "file", "preseed"])
def test_an_installation_joins_by_a_variable(
    node: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    install = ["--root", str(node.root), "--as-caller", "configure", "agent"]
    children: list[Any] = []
    monkeypatch.setattr(follow, "fetch", _watched(client.fetch, children))
    with open_invite() as served:
        line = tmp_path / "line"
        line.write_text(str(served.invite))
        if by == "variable":
            monkeypatch.setenv("BACKENDAI_JOIN", str(served.invite))
        elif by == "file":
            monkeypatch.setenv("BACKENDAI_JOIN_FILE", str(line))
        else:
            node.preseed.write_text(f"BACKENDAI_JOIN_FILE='{line}'\n")
        assert main(install) == 0
        assert served.end() is End.USED
    assert agent_toml(node)["etcd"]["addr"]["host"] == "10.0.0.1"
    assert children == [False]
    assert main(install) == 0  # as the next package's script does, without the first node


def test_what_was_fetched_is_used_by_configure_without_a_network(
    node: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_invite() as served:
        give(monkeypatch, served)
        assert join(node, "--fetch") == 0
        assert served.end() is End.USED
    assert not node.site.exists()
    pending = node.join / "pending.json"
    assert stat.S_IMODE(pending.stat().st_mode) == 0o600
    assert stat.S_IMODE(node.join.stat().st_mode) == 0o700
    assert main(["--root", str(node.root), "--as-caller", "configure", "agent"]) == 0
    assert agent_toml(node)["etcd"]["addr"]["host"] == "10.0.0.1"
    assert not pending.exists()


def _watched(real: Callable[..., Any], seen: list[Any]) -> Callable[..., Any]:
    def fetch(*words: object) -> Any:
        import os  # noqa: PLC0415

        seen.append("BACKENDAI_JOIN" in os.environ)
        return real(*words)

    return fetch


def test_an_installation_whose_invite_is_over_configures_nothing(
    node: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_invite(seconds=0.1) as served:
        served.end()
    monkeypatch.setenv("BACKENDAI_JOIN", str(served.invite))
    assert main(["--root", str(node.root), "--as-caller", "configure", "agent"]) == 77
    assert not node.site.exists()
    assert not (node.etc / "agent.toml").exists()


def test_a_storage_node_beside_the_first_ones_gets_its_hosts_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = new_node(tmp_path / "node")
    monkeypatch.setattr("socket.gethostname", lambda: "store_7.example.org")
    install_recipe(node, "storage-proxy")
    brought = replace(payload(taken={"storage-proxy.name": "local"}), role="storage")
    monkeypatch.setattr(joining, "installed_services", lambda _: [])  # its sample is not here
    with open_invite(brought.as_table, role="storage") as served:
        give(monkeypatch, served)
        assert join(node) == 0
    site = tomllib.loads(node.site.read_text())["storage-proxy"]
    assert site["name"] == "store-7"
    assert site["manager-address"] == "10.0.0.7:6022"
    assert site["manager-url"] == "http://10.0.0.7:6022"


def test_a_damaged_note_says_how_to_go_on(
    node: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.join.mkdir()
    (node.join / "pending.json").write_text(json.dumps({"id": "x"}))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert join(node) == 71
    assert "pending.json is damaged" in capsys.readouterr().err
