"""The etcd that a service's configuration names."""

from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.ports import answers
from backendai_ctl.stores.service_config import ServiceConfig


def find_etcd(config: ServiceConfig) -> Etcd:
    """Return the first member that answers among those in the service's configuration."""
    addresses = config.addresses("etcd.addr")
    return Etcd(
        address=next((address for address in addresses if answers(address)), addresses[0]),
        namespace=str(config.get("etcd.namespace")),
        user=str(config.get("etcd.user")),
        password=str(config.get("etcd.password")),
    )
