"""The step that publishes the manager's public key for the agents of the cluster."""

from dataclasses import dataclass

from backendai_ctl.seed.model import Finding, State
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.manager_key import PUBLISHED, published_key


@dataclass(frozen=True, kw_only=True)
class ManagerKeyStep:
    """The key of this node's manager.

    If another key is published, the pair was replaced since: an earlier step has made sure that
    this node's pair is the cluster's.
    """

    etcd: Etcd
    key: str
    name: str = "manager's key"

    def inspect(self) -> Finding:
        """Compare with the published key."""
        if published_key(self.etcd) == self.key:
            return Finding(state=State.EXISTS, detail="published for the agents")
        return Finding(state=State.CREATE, detail="publish it for the agents")

    def apply(self) -> None:
        """Publish the key for the agents."""
        self.etcd.put(PUBLISHED, self.key)
