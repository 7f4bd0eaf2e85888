"""Fetches from the first node what an invite brings.

Nothing is sent before the server's certificate has the invite's fingerprint.
"""

import base64
import contextlib
import hashlib
import hmac
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backendai_ctl.base.errors import HostError, NotReadyError, RefusedError, TargetError
from backendai_ctl.join.certificate import client_context
from backendai_ctl.join.line import Invite
from backendai_ctl.join.payload import MAX_BYTES, Payload, parse_payload
from backendai_ctl.join.stream import Stream, StreamError

_CONNECT_SECONDS = 10.0
_TALK_SECONDS = 60.0
_SKEW_SECONDS = 120.0
_NEW = "make a new one there: sudo backendai-ctl invite --role {role}"


@dataclass(kw_only=True)
class Delivery:
    """What the first node has sent; it is there until ``confirm``."""

    payload: Payload
    own_host: str  # this node's address on the way to the first node
    stream: Stream

    def confirm(self) -> None:
        """Say that the payload is stored, which ends the invite."""
        # An invite whose end is not seen here ends by its time.
        with contextlib.suppress(StreamError):
            self.stream.send({"stored": True})
            self.stream.receive()


@contextlib.contextmanager
def fetch(invite: Invite, claim: Callable[[], str]) -> Iterator[Delivery]:
    """Yield what the invite brings; every reason against it is one TargetError.

    ``claim`` returns this node's word, and is called only when that is sent.
    """
    with _connected(invite) as peer:
        _check_fingerprint(invite, peer)
        stream = Stream(peer, seconds=_TALK_SECONDS, most=MAX_BYTES)
        try:
            greeting = stream.receive()
            if greeting.get("ended") is True:
                raise _ended(invite)
            _check_clock(greeting)
            token = base64.urlsafe_b64encode(invite.token).decode()
            stream.send({"token": token, "claim": claim()})
            reply = stream.receive()
        except StreamError as error:
            raise NotReadyError(f"{invite.address} {error}") from error
        if "payload" not in reply:
            raise _refused(invite, reply)
        payload = parse_payload(reply["payload"])
        own_host = str(peer.getsockname()[0])
        yield Delivery(payload=payload, own_host=own_host, stream=stream)


@contextlib.contextmanager
def _connected(invite: Invite) -> Iterator[ssl.SSLSocket]:
    where = (invite.address.host, invite.address.port)
    try:
        plain = socket.create_connection(where, timeout=_CONNECT_SECONDS)
    except ConnectionRefusedError as error:
        raise _ended(invite) from error
    except (OSError, UnicodeError) as error:
        raise NotReadyError(
            f"cannot reach the first node at {invite.address}: {_words(error)}",
            hint=f"let this node reach port {invite.address.port} there, which may be closed by a"
            " firewall",
        ) from error
    with plain:
        try:
            peer = client_context().wrap_socket(plain, server_hostname=None)
        except ConnectionResetError as error:
            raise NotReadyError(
                f"{invite.address} ended the connection: the invite is used, or others ask for it",
                hint=f"run this again; if it is used, {_NEW.format(role=invite.role)}",
            ) from error
        except OSError as error:
            raise NotReadyError(
                f"{invite.address} does not speak TLS as an invite does: {_words(error)}",
                hint="another program may have the port: " + _NEW.format(role=invite.role),
            ) from error
        with peer:
            yield peer


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    text = getattr(error, "reason", "") or getattr(error, "strerror", "")
    return str(text or error)


def _ended(invite: Invite) -> TargetError:
    hint = _NEW.format(role=invite.role)
    if time.time() > invite.expires:
        end = time.strftime("%H:%M UTC on %Y-%m-%d", time.gmtime(invite.expires))
        return RefusedError(f"the invite has expired: it was valid until {end}", hint=hint)
    return RefusedError(
        f"the invite is used or ended: nothing listens at {invite.address} any more", hint=hint
    )


def _check_fingerprint(invite: Invite, peer: ssl.SSLSocket) -> None:
    shown = hashlib.sha256(peer.getpeercert(binary_form=True) or b"").digest()
    if not hmac.compare_digest(shown, invite.fingerprint):
        raise RefusedError(
            f"{invite.address} is not the server that made the invite: its certificate has another"
            " fingerprint; nothing was sent",
            hint="somebody may be between the nodes, or another invite has the port; if you"
            " expect neither, find out who answers there before you make a new one",
        )


def _check_clock(greeting: dict[str, object]) -> None:
    theirs = greeting.get("time")
    if not isinstance(theirs, (int, float)):
        raise NotReadyError("the first node does not answer as an invite does")
    offset = time.time() - float(theirs)
    if abs(offset) > _SKEW_SECONDS:
        which = "ahead of" if offset > 0 else "behind"
        raise HostError(
            f"the clock of this host is {abs(offset):.0f} s {which} that of the first node, and"
            " the services refuse each other then",
            hint="sudo timedatectl set-ntp true, here and there; then run this again",
        )


def _refused(invite: Invite, reply: dict[str, object]) -> TargetError:
    hint = _NEW.format(role=invite.role)
    match reply.get("refused"):
        case "wrong":
            return RefusedError("the first node refuses the token of the invite", hint=hint)
        case "used":
            holder = str(reply.get("holder", ""))[:100]
            return RefusedError(
                f"the invite was used already, by {holder}",
                hint=f"if that is no node of yours, it has the cluster's secrets; else {hint}",
            )
        case "broken":
            why = str(reply.get("why", ""))[:2000]
            return NotReadyError(f"the first node cannot serve the invite: {why}")
    return NotReadyError(f"{invite.address} does not answer as an invite does")
