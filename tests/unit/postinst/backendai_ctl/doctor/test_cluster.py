"""Clocks that differ, and nodes that differ."""

import dataclasses
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from backendai_ctl.base.account import Owner
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks import cluster
from backendai_ctl.doctor.model import Severity

from tests.helpers.ports import free_port
from tests.unit.postinst.host_views import (
    Programs,
    host_view,
)


@contextmanager
def redis_at(offset: float, password: str = "") -> Iterator[int]:
    """A server that knows AUTH and TIME, with another clock."""

    def serve(server: socket.socket) -> None:
        link, _ = server.accept()
        with link, link.makefile("rb") as stream:
            if password:
                sent = [stream.readline() for _ in range(5)]
                link.sendall(b"+OK\r\n" if password.encode() in sent[4] else b"-WRONGPASS\r\n")
            seconds = b"%d" % (time.time() + offset)
            link.sendall(b"*2\r\n$10\r\n" + seconds + b"\r\n$1\r\n0\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("offset", "severity"), [(0, None), (10, Severity.WARNING), (-100, Severity.ERROR)]
)
def test_a_clock_that_differs(node: Layout, offset: int, severity: Severity | None) -> None:
    with redis_at(offset, "secret") as port:
        node.site.write_text(f'[redis]\naddress = "127.0.0.1:{port}"\npassword = "secret"\n')
        found = list(cluster.check_clock(host_view(node)))
    assert [finding.severity for finding in found] == ([] if severity is None else [severity])
    if found:
        assert ("behind" if offset > 0 else "ahead of") in found[0].what


def test_a_clock_that_nobody_keeps(node: Layout) -> None:
    programs = Programs()
    programs.says("timedatectl", "no\n")
    node.site.write_text(f'[redis]\naddress = "127.0.0.1:{free_port()}"\n')
    (found,) = cluster.check_clock(host_view(node, programs=programs))
    assert found.severity is Severity.NOTE


def test_nodes_that_differ(node: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {
        "nodes/other": json.dumps({"uid": 1, "gid": os.getegid(), "volume": "/srv/v/volume1"}),
        "nodes/broken": "{",
    }

    @dataclasses.dataclass
    class Notes:
        """In the place of etcd."""

        namespace: str = "local"
        address: str = "127.0.0.1:2379"
        root: str = "/sorna"

        def put(self, key: str, value: str) -> None:
            assert self.root == "/backendai-packages", "the other prefix is Backend.AI's"
            kept[key] = value

        def list(self, prefix: str) -> dict[str, str]:
            return {key: value for key, value in kept.items() if key.startswith(prefix)}

    monkeypatch.setattr(cluster, "first_etcd", lambda _: Notes())
    account = Owner(uid=4242, gid=os.getegid())
    (found,) = cluster.check_nodes(host_view(node, account=account))
    assert found.what == "uid is 4242 here and 1 on other"
    assert found.where == "site.toml: account.uid"
    assert f"nodes/{os.uname().nodename}" in kept
