"""The manager's public key: published once, believed once, and what an agent does with it."""

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import HostError, NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks.rpc import check_rpc
from backendai_ctl.doctor.examine import fix_findings
from backendai_ctl.seed.model import State
from backendai_ctl.seed.steps.manager_key import ManagerKeyStep
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.services.record import Record
from backendai_ctl.services.secrets_archive import pack_secrets, unpack_secrets
from backendai_ctl.stores import manager_key
from backendai_ctl.stores.manager_key import certificate, key_file, read_key, take_key
from backendai_ctl.stores.service_config import (
    AGENT_PAIR,
    MANAGER_KEY,
    ServiceConfig,
    is_rpc_closed,
)

from tests.unit.postinst.conftest import fake_pair, install_recipe
from tests.unit.postinst.host_views import host_view
from tests.unit.postinst.manager_keys import KEY, OTHER, SAMPLE, Kept


@pytest.fixture
def node(layout: Layout) -> Layout:
    """A node with an agent alone."""
    layout.samples("agent").mkdir(parents=True)
    (layout.samples("agent") / "agent.toml").write_text(SAMPLE)
    install_recipe(layout, "agent")
    (layout.recipes / "manager.toml").unlink()
    return layout


@pytest.fixture
def agent(node: Layout, configured: Callable[..., list[str]]) -> Layout:
    """The same, configured."""
    configured("agent")
    return node


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the cluster's etcd has."""
    kept: dict[str, str] = {}
    monkeypatch.setattr(manager_key, "find_etcd", lambda _: Kept(kept))
    return kept


def config(node: Layout) -> ServiceConfig:
    """What the agent reads."""
    return ServiceConfig.load(node, load_recipe(node, "agent"))


def take(node: Layout, store: SecretStore) -> str:
    """What the agent's unit does before each start."""
    return take_key(node, load_site(node), config(node), store)


def test_a_certificate_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert read_key(path) is None
    path.write_text(certificate(KEY))
    assert read_key(path) == KEY
    path.write_text(certificate(KEY[:-1]))
    with pytest.raises(HostError, match="has no public key"):
        read_key(path)


def test_an_agent_of_a_new_node_opens_until_the_key_is_known(
    node: Layout,
    store: SecretStore,
    configured: Callable[..., list[str]],
    published: dict[str, str],
) -> None:
    configured("agent")
    assert not is_rpc_closed(config(node))
    assert not (node.secrets / "agent-rpc.key_secret").exists()
    with pytest.raises(NotReadyError, match="not known yet"):
        take(node, store)
    published[manager_key.PUBLISHED] = KEY
    assert take(node, store) == KEY
    assert key_file(node).stat().st_mode & 0o777 == 0o600
    assert configured("agent") == [f"made {node.etc}/agent.toml anew, which nobody has edited"]
    agent = tomllib.loads((node.etc / "agent.toml").read_text())["agent"]
    assert agent["rpc-auth-agent-keypair"] == str(node.secrets / "agent-rpc.key_secret")
    assert agent["rpc-auth-manager-public-key"] == str(node.secrets / "manager-rpc.key")
    assert (node.secrets / "agent-rpc.key_secret").stat().st_mode & 0o777 == 0o600
    assert configured("agent") == []  # nothing is new


def test_addons_that_were_enabled_stay_so(
    node: Layout, configured: Callable[..., list[str]]
) -> None:
    configured("agent")
    path, record = node.etc / "agent.toml", node.generated / "agent.toml"
    text = path.read_text().replace(
        'mode = "docker"', 'allow-compute-plugins = ["x"]\nmode = "docker"'
    )
    path.write_text(text)
    known = Record.load(record)
    assert known is not None
    left = hashlib.sha256(text.encode()).hexdigest()
    record.write_text(str(Record(made=True, digest=known.digest, left=left)))
    assert configured("agent") == []
    key_file(node).write_text(certificate(KEY))
    assert configured("agent") == [f"made {path} anew, which nobody has edited"]
    assert is_rpc_closed(config(node))
    assert config(node).get("agent.allow-compute-plugins") == ["x"]
    assert "# kept" in path.read_text()
    again = Record.load(record)
    assert again is not None
    assert again.is_unedited(path)
    assert not again.is_of(path)


def test_a_key_is_believed_once(
    agent: Layout, store: SecretStore, published: dict[str, str]
) -> None:
    published[manager_key.PUBLISHED] = KEY
    take(agent, store)
    published[manager_key.PUBLISHED] = OTHER
    with pytest.raises(HostError, match="another public key"):
        take(agent, store)
    assert read_key(key_file(agent)) == KEY
    published.clear()  # etcd was emptied, or does not answer
    assert take(agent, store) == KEY


def test_site_toml_has_the_last_word(
    agent: Layout, store: SecretStore, published: dict[str, str]
) -> None:
    published[manager_key.PUBLISHED] = OTHER
    agent.site.write_text(f'[agent]\nmanager-key = "{KEY}"\n')
    key_file(agent).write_text(certificate(OTHER))
    assert take(agent, store) == KEY
    assert read_key(key_file(agent)) == KEY
    agent.site.write_text('[agent]\nmanager-key = "none"\n')
    with pytest.raises(SiteError, match="manager-key"):
        take(agent, store)


def test_a_managers_own_pair_is_the_truth(
    agent: Layout, store: SecretStore, published: dict[str, str]
) -> None:
    key_file(agent).write_text(certificate(KEY))
    (agent.secrets / "manager-rpc.key_secret").write_text("x\n")
    published[manager_key.PUBLISHED] = OTHER
    assert take(agent, store) == KEY


def test_the_manager_publishes_its_key() -> None:
    kept: dict[str, str] = {}
    step = ManagerKeyStep(etcd=Kept(kept), key=KEY)
    assert step.inspect().state is State.CREATE
    step.apply()
    assert kept == {manager_key.PUBLISHED: KEY}
    assert step.inspect().state is State.EXISTS
    kept[manager_key.PUBLISHED] = OTHER  # of a pair that was replaced
    assert step.inspect().state is State.CREATE


def test_a_nodes_own_pair_does_not_travel(node: Layout, store: SecretStore) -> None:
    node.secrets.mkdir(parents=True)
    fake_pair(node.secrets, "agent-rpc")
    (node.secrets / "manager-secret").write_text("x\n")
    assert set(unpack_secrets(pack_secrets(node))) == {"manager-secret"}


def test_the_doctor_reports_an_open_agent(
    node: Layout, configured: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured("agent")
    path = node.etc / "agent.toml"
    path.write_text(path.read_text() + "# edited\n")
    (found,) = check_rpc(host_view(node))
    assert found.value == "127.0.0.1:6001"
    assert found.fix is None
    key_file(node).write_text(certificate(KEY))
    fake_pair(node.secrets, "agent-rpc")  # which only an agent's CPython could make
    (found,) = check_rpc(host_view(node))
    done, failed = fix_findings([found])
    assert failed == []
    assert "systemctl restart backendai-agent" in done[0]
    assert {str(config(node).get(key)) for key in (AGENT_PAIR, MANAGER_KEY)} == {
        str(node.secrets / "agent-rpc.key_secret"),
        str(node.secrets / "manager-rpc.key"),
    }
    assert path.read_text().endswith("# edited\n")
    assert not list(check_rpc(host_view(node)))
    monkeypatch.setattr("backendai_ctl.doctor.checks.rpc.published_key", lambda _: OTHER)
    monkeypatch.setattr("backendai_ctl.doctor.checks.rpc.first_etcd", lambda _: Kept({}))
    (found,) = check_rpc(host_view(node))
    assert "another public key" in found.what
