"""What a person pastes, a first node and a new node send: read, or refused by an error of ours."""

import base64
import hashlib
import json
import socket
import ssl
from contextlib import suppress
from random import Random
from typing import cast

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import TargetError
from backendai_ctl.join.line import FINGERPRINT_BYTES, TOKEN_BYTES, Invite, parse_invite
from backendai_ctl.join.payload import parse_payload
from backendai_ctl.join.stream import Stream, StreamError
from hypothesis import given

from tests.fuzz.mutate import mutate, seeds

_INVITE = Invite(
    address=Address(host="10.0.0.1", port=6090),
    role="agent",
    release="26.9.6",
    cluster="c0ffee000001",
    expires=1_800_000_000,
    fingerprint=bytes(FINGERPRINT_BYTES),
    token=bytes(TOKEN_BYTES),
)
_REST = b'["10.0.0.1:6090","agent","26.9.6","c0ffee000001",1800000000]'
_PAYLOAD = {
    "role": "agent",
    "cluster": "c0ffee000001",
    "answers": {"etcd.addresses": ["10.0.0.1:2379"], "account.uid": 1100, "etcd.user": ""},
    "taken": {},
    "secrets": {"storage-proxy-manager-secret": "word\n"},
    "files": {"/etc/ssl/certs/site.pem": "PEM\n"},
}


@given(chance=seeds())
def test_an_invite(chance: Random) -> None:
    with suppress(TargetError):
        parse_invite(mutate(str(_INVITE).encode(), chance).decode(errors="replace"))


@given(chance=seeds())
def test_an_invite_whose_checksum_is_right(chance: Random) -> None:
    body = mutate(bytes(FINGERPRINT_BYTES + TOKEN_BYTES) + _REST, chance)
    body += hashlib.sha256(body).digest()[:4]
    with suppress(TargetError):
        found = parse_invite("backendai-join-1." + base64.urlsafe_b64encode(body).decode())
        assert 1 <= found.address.port <= 65535
        assert parse_invite(str(found)) == found


@given(chance=seeds())
def test_a_payload(chance: Random) -> None:
    try:
        value = json.loads(mutate(json.dumps(_PAYLOAD).encode(), chance))
    except (ValueError, RecursionError):
        return
    with suppress(TargetError):
        payload = parse_payload(value)
        assert not any("/" in name or name.startswith(".") for name in payload.secrets)
        assert all(path.startswith("/") and "/../" not in path for path in payload.files)
        assert parse_payload(payload.as_table()) == payload


@given(chance=seeds())
def test_a_message(chance: Random) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(mutate(json.dumps({"token": "t", "claim": "c"}).encode() + b"\n", chance))
        there.shutdown(socket.SHUT_WR)
        stream = Stream(cast("ssl.SSLSocket", here), seconds=10, most=4096)
        with suppress(StreamError):
            assert isinstance(stream.receive(), dict)
