"""Checks that every member of a replicated store answers: a failover needs more than the last one.

The services themselves go on with the members that are left, and so report nothing.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import TargetError
from backendai_ctl.doctor.checks.cluster import first_etcd
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, warning
from backendai_ctl.stores.ports import answers
from backendai_ctl.stores.postgresql import Database, Target
from backendai_ctl.stores.redis import connected
from backendai_ctl.stores.service_config import ServiceConfig

_SECONDS = 3.0
_STANDBYS = "SELECT count(*) FROM pg_stat_replication"


def check_members(view: HostView) -> Iterator[Finding]:
    """Check etcd's members, the Sentinels with their servers, and the servers of PostgreSQL."""
    yield from _etcd_members(view)
    yield from _sentinels(view)
    for service, config in view.configs.items():
        if isinstance(config.table.get("db"), Mapping):
            yield from _databases(service, config)


def _etcd_members(view: HostView) -> Iterator[Finding]:
    listed = _members_of_etcd(view)
    up = [address for address in listed if answers(address)]
    silent = [address for address in listed if address not in up]
    # With none left, the check of the stores reports that.
    for address in silent if up else ():
        yield warning(
            f"{len(up)} of {len(listed)} members of etcd answer: {len(listed) // 2 + 1} have to",
            f"etcd on {address}",
            f"systemctl start etcd there; if that node is gone: etcdctl --endpoints={up[0]}"
            " member remove ID, and member add for its successor",
        )


def _members_of_etcd(view: HostView) -> dict[Address, None]:
    """Return the members that etcd itself knows, also behind a proxy; else those in the files."""
    etcd = first_etcd(view)
    with contextlib.suppress(TargetError, ValueError):
        members = etcd.members() if etcd else []
        if len(members) > 1:
            return dict.fromkeys(Address.parse(text) for text in members)
    return dict.fromkeys(
        address
        for config in view.configs.values()
        if isinstance(config.table.get("etcd"), Mapping)
        for address in _addresses(config, "etcd.addr")
    )


def _sentinels(view: HostView) -> Iterator[Finding]:
    listed = view.site["redis.sentinels"] if view.site else []
    masters: dict[str, str] = {}
    for text in listed if isinstance(listed, list) else []:
        try:
            state = _state_of(view, Address.parse(text))
        except TargetError as problem:
            yield warning(
                f"a Sentinel cannot vote: {problem.message}",
                f"Sentinel on {text}",
                "start it; the Sentinels replace a server only if more than half of them agree",
            )
            continue
        masters[text] = f"{state.get('ip')}:{state.get('port')}"
        if state.get("num-slaves") == "0":
            yield warning(
                f"the server {masters[text]} has no replica, so none can take its place",
                f"Sentinel on {text}",
                "start the other servers, with replicaof in their configuration",
            )
    if len(set(masters.values())) > 1:
        yield error(
            "the Sentinels do not agree on the server",
            ", ".join(f"{text} says {server}" for text, server in masters.items()),
            "one of them is cut off from the others: its network, or its configuration",
        )


def _state_of(view: HostView, sentinel: Address) -> Mapping[str, str]:
    """Return what a Sentinel reports of the server; TargetError if it does not."""
    assert view.site is not None
    password = str(view.site["redis.sentinel-password"])
    with connected(sentinel, password, seconds=_SECONDS) as link:
        reply = link.ask("SENTINEL", "MASTER", str(view.site["redis.service-name"]))
    words = [str(word) for word in reply] if isinstance(reply, list) else []
    return dict(zip(words[::2], words[1::2], strict=False))


def _databases(service: str, config: ServiceConfig) -> Iterator[Finding]:
    listed = _addresses(config, "db.addrs")
    if len(listed) < 2:  # noqa: PLR2004
        return
    primaries: dict[Address, int] = {}
    for address in listed:
        try:
            standbys = _standbys_of(service, config, address)
        except TargetError as problem:
            yield warning(
                f"a server of PostgreSQL does not answer: {problem.message}",
                f"{config.label}: db.addrs",
                "start it; a former primary has to become a standby of the new one first",
            )
            continue
        if standbys is not None:
            primaries[address] = standbys
    if len(primaries) > 1:
        yield error(
            f"{len(primaries)} servers of PostgreSQL take writes: {_listed(primaries)}",
            f"{config.label}: db.addrs",
            "stop the one that was lost at once, and make it a standby of the other (pg_rewind)",
        )
    for address, standbys in primaries.items():
        if len(primaries) == 1 and not standbys:
            yield warning(
                "no standby follows the primary, so none can take its place",
                f"PostgreSQL on {address}",
                "start the standby; its own log says why it does not follow",
            )


def _standbys_of(service: str, config: ServiceConfig, address: Address) -> int | None:
    """Return how many standbys follow a primary; None for a server that is a standby."""
    target = Target.of_one(config, "db", address)
    database = Database(target, connect_seconds=_SECONDS, service=service)
    try:
        if database.value("SELECT pg_is_in_recovery()"):
            return None
        return int(database.value(_STANDBYS))
    finally:
        database.close()


def _addresses(config: ServiceConfig, key: str) -> Sequence[Address]:
    try:
        return config.addresses(key)
    except TargetError:
        return ()


def _listed(addresses: Mapping[Address, int]) -> str:
    return ", ".join(map(str, addresses))
