"""Checks that only the manager can call the agent's RPC, whose callers are root on its node."""

from collections.abc import Callable, Iterator
from pathlib import Path

from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks.cluster import first_etcd
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error
from backendai_ctl.services.edit import edit_toml
from backendai_ctl.stores.manager_key import key_file, published_key, read_key
from backendai_ctl.stores.service_config import AGENT_PAIR, MANAGER_KEY, is_rpc_closed

_RESTART = "systemctl restart backendai-agent (sessions continue)"


def check_rpc(view: HostView) -> Iterator[Finding]:
    """Check that the agent refuses callers without the manager's key, and has the right key."""
    config = view.configs.get("agent")
    if config is None or not view.is_root:
        return
    path = key_file(view.layout)
    if is_rpc_closed(config):
        yield from _look_at_key(view, path)
    else:
        has_key = path.exists()
        yield error(
            "the agent lets everybody call it: whoever reaches its port is root on this node",
            config.label,
            f"`doctor --fix`, then {_RESTART}"
            if has_key
            else "upgrade or seed the manager: the agent restarts by itself once the key is there",
            value=str(config.addresses("agent.rpc-listen-addr")[0]),
            fix=_closer(view.layout, Path(config.label), view.account) if has_key else None,
        )


def _look_at_key(view: HostView, path: Path) -> Iterator[Finding]:
    etcd = first_etcd(view)
    try:
        published = published_key(etcd) if etcd else None
        known = read_key(path)
    except TargetError:
        return  # another check reports that etcd does not answer
    if published and known and published != known:
        yield error(
            "the agent has another public key of the manager than the cluster, whose calls it"
            " refuses",
            str(path),
            f"if the manager's pair was replaced: rm {path}, then {_RESTART}",
        )


def _closer(layout: Layout, path: Path, account: Owner | None) -> Callable[[], str]:
    """Return a fix that adds both keys to an edited agent.toml and keeps the rest of the file."""

    def close() -> str:
        owner = Owner(uid=0, gid=account.gid) if account else Owner.caller()
        writer = Writer(owner=owner)
        pair = SecretStore(folder=layout.secrets, writer=writer).ensure_pair("agent-rpc")
        settings = {AGENT_PAIR: str(pair), MANAGER_KEY: str(key_file(layout))}
        text = edit_toml(path.read_text(encoding="utf-8"), settings, ())
        writer.replace(path, text)
        return f"{path} names the manager's key; now {_RESTART}"

    return close
