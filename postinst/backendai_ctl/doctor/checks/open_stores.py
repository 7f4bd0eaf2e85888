"""Checks that etcd and Redis require a login: on loopback, every user of the host reaches them."""

from collections.abc import Iterator

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import TargetError
from backendai_ctl.doctor.checks.cluster import first_etcd
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, warning
from backendai_ctl.stores.etcd_users import EtcdUsers
from backendai_ctl.stores.redis_admin import RedisAdmin


def check_open_stores(view: HostView) -> Iterator[Finding]:
    """Check that each store refuses clients without a password; silent stores are left out."""
    etcd = first_etcd(view)
    if etcd is not None and _lets_in(EtcdUsers(address=etcd.address, namespace=etcd.namespace)):
        yield _open("etcd", etcd.address, "the secrets of the volumes and of Redis are in it")
    if view.site is None or view.site["redis.sentinels"] or etcd is None:
        return
    address = Address.parse(str(view.site["redis.address"]))
    if _lets_in(RedisAdmin(address=address)):
        yield _open("Redis", address, "events and sessions of the Web UI are in it")


def _lets_in(store: EtcdUsers | RedisAdmin) -> bool:
    try:
        return store.is_open() if isinstance(store, EtcdUsers) else store.lets_in()
    except TargetError:
        return False  # another check reports a store that does not answer


def _open(store: str, address: Address, holds: str) -> Finding:
    who = "every user of this host" if address.is_loopback else "whoever reaches it"
    return warning(
        f"{store} lets {who} read and write: {holds}",
        f"{store} on {address}",
        "sudo backendai-ctl stores secure"
        if address.is_loopback
        else "make users and passwords there, and put them into site.toml and the configurations",
    )
