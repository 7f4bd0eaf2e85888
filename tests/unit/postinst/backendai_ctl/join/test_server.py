"""An invite's server on a real socket, and those who should not get anything from it."""

import contextlib
import hashlib
import json
import random
import secrets
import socket
import ssl
import threading
import time
from dataclasses import replace

import pytest
from backendai_ctl.base.errors import HostError, NotReadyError, RefusedError, TargetError
from backendai_ctl.join import client, server
from backendai_ctl.join.certificate import client_context
from backendai_ctl.join.client import fetch
from backendai_ctl.join.line import Invite
from backendai_ctl.join.server import End

from tests.unit.postinst.backendai_ctl.join.invites import Served, open_invite, payload

WRONG = b"w" * 18


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server see soon that it has ended."""
    monkeypatch.setattr(server, "_POLL_SECONDS", 0.02)


def open_peer(served: Served) -> ssl.SSLSocket:
    """A peer that speaks TLS and nothing else yet."""
    where = (served.invite.address.host, served.invite.address.port)
    plain = socket.create_connection(where, timeout=10)
    return client_context().wrap_socket(plain)


def test_a_node_gets_the_payload_once() -> None:
    with open_invite() as served:
        with fetch(served.invite, lambda: "claim") as delivery:
            assert delivery.payload == payload()
            assert delivery.own_host == "127.0.0.1"
            delivery.confirm()
        assert served.end() is End.USED
        with (
            pytest.raises(RefusedError, match="used or ended"),
            fetch(served.invite, lambda: "claim"),
        ):
            pass


def test_a_node_that_was_killed_amid_gets_it_again_and_no_other_does() -> None:
    with open_invite() as served:
        with fetch(served.invite, lambda: "first"):
            pass  # killed before it has stored anything
        with (
            pytest.raises(RefusedError, match=r"used already, by 127\.0\.0\.1") as caught,
            fetch(served.invite, lambda: "second"),
        ):
            pass
        assert "has the cluster's secrets" in str(caught.value.hint)
        assert any("has the line of this invite, too" in text for text in served.said)
        with fetch(served.invite, lambda: "first") as delivery:
            delivery.confirm()
        assert served.end() is End.USED


def test_of_two_joiners_at_once_one_gets_it() -> None:
    with open_invite() as served:
        found: list[str] = []
        gate = threading.Barrier(6)

        def join() -> None:
            gate.wait()
            try:
                with fetch(served.invite, secrets.token_hex) as delivery:
                    delivery.confirm()
                    found.append("got")
            except TargetError:
                found.append("refused")

        threads = [threading.Thread(target=join) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert sorted(found) == ["got", *["refused"] * 5]
        assert served.end() is End.USED


def test_a_thousand_wrong_tokens_end_it_at_the_fifth() -> None:
    with open_invite() as served:
        answers: list[str] = []
        for _ in range(1000):
            try:
                with fetch(replace_token(served.invite), lambda: "claim"):
                    answers.append("got")
            except TargetError as error:
                answers.append(error.message)
        refused = [text for text in answers if "refuses the token" in text]
        assert len(refused) == 5
        assert len(answers) == 1000
        assert "got" not in answers
        assert "used or ended" in answers[-1]
        assert served.end() is End.LOCKED
        assert "5 wrong tokens, the last from 127.0.0.1" in served.said


def replace_token(invite: Invite) -> Invite:
    """The same invite with a guess."""
    return replace(invite, token=WRONG)


def test_one_wrong_token_leaves_it_open() -> None:
    with open_invite() as served:
        with pytest.raises(RefusedError), fetch(replace_token(served.invite), lambda: "claim"):
            pass
        with fetch(served.invite, lambda: "claim") as delivery:
            delivery.confirm()


def test_it_ends_by_its_time() -> None:
    with open_invite(seconds=0.2) as served:
        assert served.end() is End.EXPIRED
        late = replace(served.invite, expires=int(time.time()) - 60)
        with (
            pytest.raises(RefusedError, match="expired: it was valid until"),
            fetch(late, lambda: "c"),
        ):
            pass


@pytest.mark.parametrize(
    "data",
    [
        b"garbage without an end",
        b"\n",
        b"[]\n",
        b'"text"\n',
        b"[" * 4000 + b"\n",
        b'{"token": 5, "claim": []}\n',
        b'{"token": "\xff\xfe"}\n',
        random.Random(7).randbytes(3000) + b"\n",
    ],
)
def test_garbage_gets_nothing_and_harms_nobody(data: bytes) -> None:
    with open_invite() as served:
        with open_peer(served) as peer:
            assert b"time" in peer.recv(4096)
            peer.sendall(data)
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                assert b"payload" not in peer.recv(4096)
        with fetch(served.invite, lambda: "claim") as delivery:
            delivery.confirm()


def test_a_huge_line_is_cut_off() -> None:
    with open_invite() as served:
        with open_peer(served) as peer, contextlib.suppress(OSError):
            for _ in range(200):
                peer.sendall(b"x" * 65536)
        with fetch(served.invite, lambda: "claim") as delivery:
            delivery.confirm()


def test_no_tls_at_all_harms_nobody() -> None:
    with open_invite() as served:
        where = (served.invite.address.host, served.invite.address.port)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\xff\xff" + bytes(500)):
            with socket.create_connection(where) as peer:
                peer.sendall(data)
        with fetch(served.invite, lambda: "claim") as delivery:
            delivery.confirm()


def test_silent_peers_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PEER_SECONDS", 0.3)
    with open_invite() as served:
        peers = [open_peer(served) for _ in range(16)]
        # Their places are free again after a step.
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(NotReadyError):
                with fetch(served.invite, lambda: "claim") as delivery:
                    delivery.confirm()
                break
        assert served.end() is End.USED
        for peer in peers:
            peer.close()


def test_a_first_node_that_cannot_read_its_answers_says_why_and_stays_open() -> None:
    faults = [HostError("cannot read site.toml: it is away")]

    def make() -> dict[str, object]:
        if faults:
            raise faults.pop()
        return payload().as_table()

    with open_invite(make) as served:
        with (
            pytest.raises(NotReadyError, match="it is away"),
            fetch(served.invite, lambda: "claim"),
        ):
            pass
        with fetch(served.invite, lambda: "claim") as delivery:
            delivery.confirm()


def test_another_certificate_gets_no_token() -> None:
    with open_invite() as served:
        other = replace(served.invite, fingerprint=hashlib.sha256(b"another").digest())
        with (
            pytest.raises(RefusedError, match="another fingerprint; nothing was sent"),
            fetch(other, lambda: "claim"),
        ):
            pass
        assert served.said == []


@pytest.mark.parametrize(("offset", "which"), [(7200.0, "ahead of"), (-7200.0, "behind")])
def test_a_clock_that_differs_uses_nothing_up(
    monkeypatch: pytest.MonkeyPatch, offset: float, which: str
) -> None:
    with open_invite() as served:
        with monkeypatch.context() as patch:
            patch.setattr(client, "time", _Clock(offset))
            with (
                pytest.raises(HostError, match=f"{which} that of the first node"),
                fetch(served.invite, lambda: "claim"),
            ):
                pass
        with fetch(served.invite, lambda: "claim") as delivery:
            delivery.confirm()


class _Clock:
    """Another clock, for one module alone."""

    def __init__(self, offset: float) -> None:
        self.offset = offset

    def time(self) -> float:
        """The hour there."""
        return time.time() + self.offset

    def monotonic(self) -> float:
        """Seconds since whenever."""
        return time.monotonic()


class HostileServer:
    """Stands where the first node should, with its certificate, and sends what it likes."""

    def __init__(self, context: ssl.SSLContext, data: bytes, *, repeats: bool = False) -> None:
        self.context, self.data, self.repeats = context, data, repeats
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        """Serve one peer."""
        with contextlib.suppress(OSError), self.listener:
            plain, _ = self.listener.accept()
            with plain, self.context.wrap_socket(plain, server_side=True) as peer:
                peer.sendall(self.data)
                while self.repeats:
                    peer.sendall(self.data)
                peer.recv(4096)


GREETING = b"GREETING"  # what a first node says now


@pytest.mark.parametrize(
    ("data", "repeats"),
    [
        (b"\n", False),
        (b"{}\n", False),
        (b'{"time": "now"}\n', False),
        (b"x" * 65536, True),
        (b"", False),
        (GREETING + b"[1]\n", False),
        (GREETING + b'{"payload": 5}\n', False),
        (GREETING + b'{"payload": {"role": "agent"}}\n', False),
        (GREETING + b'{"payload": {"role":"a","cluster":"c","answers":{},"taken":{},'
         b'"secrets":{"../../etc/shadow":"x"},"files":{}}}\n', False),
        (GREETING + b'{"payload": {"role":"a","cluster":"c","answers":{},"taken":{},'
         b'"secrets":{},"files":{"/etc/../srv/x":"y"}}}\n', False),
        (GREETING + b'{"payload": {"role":"a","cluster":"c","answers":{},"taken":{},'
         b'"secrets":{"a":"\\ud800"},"files":{}}}\n', False),
        (GREETING + b'{"refused": "because"}\n', False),
    ],
)  # fmt: skip
def test_a_server_that_sends_nonsense_is_one_error(
    monkeypatch: pytest.MonkeyPatch, data: bytes, repeats: bool
) -> None:
    from backendai_ctl.join.certificate import make_identity  # noqa: PLC0415

    # Only silence ends by the limit.
    monkeypatch.setattr(client, "_TALK_SECONDS", 3.0 if data else 0.3)
    identity = make_identity()
    greeting = json.dumps({"time": time.time()}).encode() + b"\n"
    data = data.replace(GREETING, greeting)
    there = HostileServer(identity.context, data, repeats=repeats)
    with open_invite() as served:
        address = replace(served.invite.address, port=there.port)
        invite = replace(served.invite, address=address, fingerprint=identity.fingerprint)
        with pytest.raises(TargetError), fetch(invite, lambda: "claim"):
            pass


def test_a_server_without_tls_is_one_error() -> None:
    with open_invite() as served, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            peer.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
            peer.close()

        threading.Thread(target=answer, daemon=True).start()
        address = replace(served.invite.address, port=listener.getsockname()[1])
        with (
            pytest.raises(NotReadyError, match="does not speak TLS"),
            fetch(replace(served.invite, address=address), lambda: "claim"),
        ):
            pass


def test_a_name_that_nobody_has_is_one_error() -> None:
    with open_invite() as served:
        address = replace(served.invite.address, host="no-such-host.invalid")
        with (
            pytest.raises(NotReadyError, match="cannot reach the first node"),
            fetch(replace(served.invite, address=address), lambda: "claim"),
        ):
            pass


def test_an_invite_ends_with_its_socket() -> None:
    with open_invite(seconds=600.0) as served:
        pass
    assert served.end() is End.EXPIRED
