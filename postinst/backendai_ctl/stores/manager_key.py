"""The manager's public key, with which an agent accepts calls of the manager alone.

It is no secret. The manager's node publishes it in etcd, below this tool's own prefix; an
agent's node reads it from there once, or from site.toml. The agent's RPC requires it when
the configuration names it together with the agent's own pair.
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
    """Return the path of the public half on a node."""
    return layout.secrets / f"{PAIR}.key"


def read_key(path: Path) -> str | None:
    """Return the public key in a ZeroMQ certificate; None if there is no such file.

    Raises HostError if the file has no key.
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
    """Return the text of a ZeroMQ certificate with ``key``."""
    return f'# The public key of the manager.\nmetadata\ncurve\n    public-key = "{key}"\n'


def has_own_pair(layout: Layout) -> bool:
    """Whether this node has the secret half, too: a manager's node, or one that imported it."""
    return (layout.secrets / f"{PAIR}.key_secret").exists()


def take_key(layout: Layout, site: Site, config: ServiceConfig, store: SecretStore) -> str:
    """Make sure that this node has the manager's public key; return it.

    Raises NotReadyError while nobody has published it, SiteError if the answer is no key, and
    HostError if etcd's differs from the key on this node: the first one is trusted.
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
    """Return the key that the manager's node has published."""
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
        hint="upgrade the manager's node: the agent restarts by itself once the key is there",
    )
