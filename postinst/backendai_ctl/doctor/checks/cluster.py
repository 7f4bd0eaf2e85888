"""Checks what must agree between nodes: clocks, and the numbers of the account.

Each examined node leaves a note of itself in etcd, below a prefix that is not
Backend.AI's, and compares the notes of the others with its own.
"""

import dataclasses
import email.utils
import json
import os
import time
import urllib.request
from collections.abc import Iterator

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import NotReadyError, TargetError
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, note, warning
from backendai_ctl.services.volumes import SECTION, volumes_of
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.find_etcd import find_etcd
from backendai_ctl.stores.ports import answers
from backendai_ctl.stores.redis import connected

_ROOT = "/backendai-packages"
_SECONDS = 3.0
_APART = 2.0  # etcd reports whole seconds
_FAR_APART = 30.0


def check_clock(view: HostView) -> Iterator[Finding]:
    """Check that the network sets the clock, and that it agrees with the stores' clocks."""
    done = view.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    if done.status == 0 and done.stdout.strip() == "no":
        yield note(
            "nothing says that the clock of this host is kept by the network",
            "timedatectl",
            "timedatectl set-ntp true, or chrony; a container takes its host's clock",
        )
    for store, address, theirs in _clocks(view):
        offset = time.time() - theirs
        if abs(offset) < _APART:
            continue
        which = "ahead of" if offset > 0 else "behind"
        report = error if abs(offset) >= _FAR_APART else warning
        yield report(
            f"the clock is {abs(offset):.0f} s {which} that of {store}",
            f"{store} on {address}",
            "keep the clocks of all nodes by NTP: tokens and heartbeats depend on them",
            value=f"{offset:+.0f} s",
        )


def _clocks(view: HostView) -> Iterator[tuple[str, Address, float]]:
    etcd = first_etcd(view)
    if etcd is not None:
        theirs = _etcd_time(etcd.address)
        if theirs is not None:
            yield "etcd", etcd.address, theirs
    if view.site is not None and not view.site["redis.sentinels"]:
        address = Address.parse(view.answer("redis.address"))
        theirs = _redis_time(address, view.answer("redis.password"))
        if theirs is not None:
            yield "Redis", address, theirs


def _etcd_time(address: Address) -> float | None:
    """Return the time that its HTTP server reports; None if it reports none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/version", timeout=_SECONDS) as reply:
            date = email.utils.parsedate_to_datetime(reply.headers["Date"])
    except (OSError, ValueError, TypeError):
        return None
    return date.timestamp() + 0.5  # whole seconds, rounded down


def _redis_time(address: Address, password: str) -> float | None:
    """Return the time that TIME reports; None if it reports none."""
    try:
        with connected(address, password) as link:
            reply = link.ask("TIME")
    except NotReadyError:
        return None
    match reply:
        case [str(seconds), _] if seconds.isdigit():
            return float(seconds)
    return None


def first_etcd(view: HostView) -> Etcd | None:
    """Return the etcd of the first service that has one and whose client is available."""
    for config in view.configs.values():
        try:
            config.get("etcd.addr")
            etcd = find_etcd(config)
        except TargetError:
            continue
        return etcd if answers(etcd.address) else None
    return None


def check_nodes(view: HostView) -> Iterator[Finding]:
    """Check that the account's numbers and the volume's path are the same on every node."""
    etcd = first_etcd(view)
    if etcd is None or view.account is None or not view.is_root:
        return
    notes = dataclasses.replace(etcd, root=_ROOT)
    here = {
        "uid": view.account.uid,
        "gid": view.account.gid,
        **{
            "volume" if volume.section == SECTION else f"volume {volume.name}": volume.path
            for volume in (volumes_of(view.site) if view.site else [])
        },
    }
    name = os.uname().nodename
    try:
        notes.put(f"nodes/{name}", json.dumps(here, sort_keys=True))
        others = notes.list("nodes/")
    except TargetError as problem:
        yield note(
            f"this node cannot be compared with the others: {problem.message}",
            f"etcd on {etcd.address}",
            f"let the user of etcd read and write {_ROOT}/",
        )
        return
    for key, text in sorted(others.items()):
        other = key.removeprefix("nodes/")
        there = _parsed(text)
        if other == name or there is None:
            continue
        for word, ours in here.items():
            if there.get(word) not in (ours, None):
                yield error(
                    f"{word} is {ours} here and {there[word]} on {other}",
                    f"site.toml: {_answer_of(word)}",
                    "make them the same on all nodes; a node that is gone is forgotten by: "
                    f"etcdctl del {_ROOT}/{etcd.namespace}/nodes/{other}",
                    value=str(ours),
                )


def _answer_of(word: str) -> str:
    kind, _, name = word.partition(" ")
    if kind != "volume":
        return f"account.{word}"
    return f"{SECTION}.{name}.path" if name else f"{SECTION}.path"


def _parsed(text: str) -> dict[str, object] | None:
    try:
        table = json.loads(text)
    except ValueError:
        return None
    return table if isinstance(table, dict) else None
