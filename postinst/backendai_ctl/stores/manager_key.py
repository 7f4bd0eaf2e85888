"""The manager's public key, by which an agent answers to the manager alone.

It is no secret. The manager's node publishes it in etcd, below our own prefix; an agent's node
takes it from there once, or from site.toml. The agent's RPC asks for it when the configuration
names it together with the agent's own pair.
"""

import re
from pathlib import Path

from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import HostError, NotReadyError, SiteError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.find_etcd import find_etcd
from backendai_ctl.stores.service_config import ServiceConfig

PUBLISHED = "backendai-packages/rpc/manager-public-key"
PAIR = "manager-rpc"
_ANSWER = "agent.manager-key"
_Z85 = r"[0-9A-Za-z.:+=^!/*?&<>()\[\]{}@%$#-]{40}"
_IN_FILE = re.compile(rf'^\s*public-key\s*=\s*"({_Z85})"\s*$', re.MULTILINE)


def key_file(layout: Layout) -> Path:
    """Where a node has the public half."""
    return layout.secrets / f"{PAIR}.key"


def read_key(path: Path) -> str | None:
    """The public key in a certificate of ZeroMQ's; None where there is no such file.

    Raises HostError where the file has no key.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    found = _IN_FILE.search(text)
    if found is None:
        raise HostError(f"{path} has no public key", hint="remove it and run this again")
    return found[1]


def certificate(key: str) -> str:
    """The file that has ``key``, as ZeroMQ's certificates are."""
    return f'# The public key of the manager.\nmetadata\ncurve\n    public-key = "{key}"\n'


def has_own_pair(layout: Layout) -> bool:
    """Whether this node has the secret half, too: a manager's, or carried here."""
    return (layout.secrets / f"{PAIR}.key_secret").exists()


def take_key(layout: Layout, site: Site, config: ServiceConfig, store: SecretStore) -> str:
    """Make sure that this node has the manager's public key; returns it.

    Raises NotReadyError while nobody has published it, SiteError where the answer is none, and
    HostError where etcd has another than this node was given: it is believed once.
    """
    path = key_file(layout)
    known = read_key(path)
    answer = str(site[_ANSWER])
    if answer and not re.fullmatch(_Z85, answer):
        raise SiteError([f"{_ANSWER}: not a public key of ZeroMQ's, which has 40 characters"])
    if has_own_pair(layout) and known:
        return known
    wanted = answer or _published(find_etcd(config), known)
    if known is not None and known != wanted and not answer:
        raise HostError(
            f"etcd has another public key of the manager than {path}",
            hint=f"if the manager's pair was replaced: rm {path}, then systemctl restart"
            " backendai-agent",
        )
    if known != wanted:
        store.writer_of(path.name).replace(path, certificate(wanted))
    return wanted


def published_key(etcd: Etcd) -> str | None:
    """The key that the manager's node has published."""
    found = etcd.get(PUBLISHED)
    return found if found and re.fullmatch(_Z85, found) else None


def _published(etcd: Etcd, known: str | None) -> str:
    try:
        found = published_key(etcd)
    except TargetError:
        found = None
    if found or known:
        return found or str(known)
    raise NotReadyError(
        "the manager's public key is not known yet, so the agent's RPC stays open",
        hint="upgrade the manager's node, then systemctl restart backendai-agent",
    )
