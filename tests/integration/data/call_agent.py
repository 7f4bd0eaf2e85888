"""Calls the agent of this host; run with its CPython: call_agent.py ADDRESS manager|nobody|other.

As the manager does, as a client without a key, or as one with a key of its own. Prints what
the agent answers, or "refused" and why.
"""

import asyncio
import os
import sys

import zmq
from ai.backend.common import msgpack
from ai.backend.common.auth import ManagerAuthHandler, PublicKey, SecretKey
from ai.backend.common.clients.agent.peer import PeerInvoker
from callosum.lower.zeromq import ZeroMQAddress, ZeroMQRPCTransport
from zmq.auth.certs import load_certificate

_SECRETS = "/var/lib/backendai/secrets"
_SECONDS = 10


def handler(caller: str) -> ManagerAuthHandler | None:
    """What the caller shows to the agent."""
    if caller == "nobody":
        return None
    agent, _ = load_certificate(f"{_SECRETS}/agent-rpc.key")
    if caller == "manager":
        public, secret = load_certificate(f"{_SECRETS}/manager-rpc.key_secret")
    else:
        public, secret = zmq.curve_keypair()
    return ManagerAuthHandler("local", PublicKey(agent), PublicKey(public), SecretKey(secret))


async def call(address: str, caller: str) -> str:
    """One call that changes nothing."""
    peer = PeerInvoker(
        connect=ZeroMQAddress(address),
        transport=ZeroMQRPCTransport,
        authenticator=handler(caller),
        serializer=msgpack.packb,
        deserializer=msgpack.unpackb,
    )
    async with peer:
        peer.call.order_key.set("")
        return str(await peer.call.ping("hello"))


async def main(address: str, caller: str) -> None:
    """Say what became of the call, and end: a peer that was refused does not close."""
    try:
        said = await asyncio.wait_for(call(address, caller), _SECONDS)
    except Exception as error:  # whatever way it is refused in
        said = f"refused: {type(error).__name__}"
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()
    os._exit(0)


asyncio.run(main(*sys.argv[1:]))
