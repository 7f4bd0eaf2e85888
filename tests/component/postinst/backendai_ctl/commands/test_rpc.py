"""`close-rpc` before and after the manager has published its key."""

from collections.abc import Callable

import pytest
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.errors import Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.commands import rpc
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores import manager_key
from backendai_ctl.stores.service_config import ServiceConfig, is_rpc_closed

from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.manager_keys import KEY, SAMPLE, Kept

TIMER = "backendai-agent-key"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the cluster's etcd has."""
    kept: dict[str, str] = {}
    monkeypatch.setattr(manager_key, "find_etcd", lambda _: Kept(kept))
    return kept


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What systemd is asked for."""
    found: list[tuple[str, ...]] = []

    def repeat(_: Layout, name: str, words: list[str], *, seconds: int, with_unit: str) -> None:
        assert seconds <= 60
        found.append(("repeat", name, " ".join(words), with_unit))

    monkeypatch.setattr(rpc, "repeat", repeat)
    monkeypatch.setattr(rpc, "ask", lambda _, action, unit: found.append((action, unit)))
    return found


@pytest.fixture
def agent(layout: Layout, store: SecretStore, configured: Callable[..., list[str]]) -> Layout:
    """A node with an agent alone, which no manager's key has reached."""
    layout.samples("agent").mkdir(parents=True)
    (layout.samples("agent") / "agent.toml").write_text(SAMPLE)
    install_recipe(layout, "agent")
    (layout.recipes / "manager.toml").unlink()
    configured("agent")
    store.ensure_pair("agent-rpc")  # the command's own needs the service's CPython
    return layout


def close(layout: Layout, *words: str) -> int:
    """Run the command; its exit status."""
    return main(["--root", str(layout.root), "--as-caller", "close-rpc", *words])


def test_an_open_agent_closes_itself_once_there_is_a_key(
    agent: Layout, published: dict[str, str], asked: list[tuple[str, ...]]
) -> None:
    again = "/usr/bin/backendai-ctl close-rpc --restart"
    assert close(agent) == Status.NOT_READY
    assert asked == [("repeat", TIMER, again, "backendai-agent.service")]
    asked.clear()
    published[manager_key.PUBLISHED] = KEY
    assert close(agent, "--restart") == Status.OK
    assert is_rpc_closed(ServiceConfig.load(agent, load_recipe(agent, "agent")))
    assert asked == [("stop", f"{TIMER}.timer"), ("restart", "backendai-agent.service")]
    asked.clear()
    # The unit itself calls it before each start, and must not be restarted by that.
    assert close(agent) == Status.OK
    assert asked == [("stop", f"{TIMER}.timer")]


def test_an_edited_file_is_left_to_the_admin(
    agent: Layout, published: dict[str, str], asked: list[tuple[str, ...]]
) -> None:
    published[manager_key.PUBLISHED] = KEY
    path = agent.etc / "agent.toml"
    path.write_text(f"{path.read_text()}# the admin\n")
    assert close(agent, "--restart") == Status.HOST
    assert asked == [("stop", f"{TIMER}.timer")]
