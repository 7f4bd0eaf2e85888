"""Serves one invite by TLS, until one node has it, somebody guesses, or its time is over.

A line of JSON each: the server's time; the node's token and claim; the payload or why not; the
node's word that it has stored it. The claim is a random word that the node keeps: a node that
was killed amid that comes again with it, and no other node gets anything.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.words import Word
from backendai_ctl.join.certificate import Identity
from backendai_ctl.join.stream import Stream, StreamError

_LINE_BYTES = 4096
_PEER_SECONDS = 15.0
_POLL_SECONDS = 0.2
_MAX_PEERS = 16
_MAX_WRONG = 5
_LINGER_SECONDS = 2.0


class End(Word):
    """Why an invite ended."""

    USED = "used"
    EXPIRED = "expired"
    LOCKED = "locked"


class Refusal(Word):
    """Why a node gets nothing; the new node words it."""

    WRONG = "wrong"
    USED = "used"
    BROKEN = "broken"


@dataclass(kw_only=True)
class InviteServer:
    """One invite, while it is open."""

    identity: Identity
    token: bytes = field(repr=False)
    make_payload: Callable[[], dict[str, object]]
    say: Callable[[str], None]
    _claim: str = ""  # the hash of the first node's
    _holder: str = ""
    _wrong: int = 0
    _end: End | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _peers: list[threading.Thread] = field(default_factory=list)

    def serve(self, listener: socket.socket, seconds: float) -> End:
        """Serve on a listening socket for at most ``seconds``, or until somebody closes it.

        Returns why it ended.
        """
        until = time.monotonic() + seconds
        while self._end is None and time.monotonic() < until and listener.fileno() >= 0:
            with contextlib.suppress(OSError):  # nobody came, or has gone already
                listener.settimeout(_POLL_SECONDS)
                plain, (peer, *_) = listener.accept()
                self._begin(plain, str(peer))
        listener.close()
        with self._lock:
            self._end = self._end or End.EXPIRED
        # Those who wait for their answer get it.
        last = time.monotonic() + _LINGER_SECONDS
        for thread in self._peers:
            thread.join(timeout=max(0.0, last - time.monotonic()))
        return self._end

    def _begin(self, plain: socket.socket, peer: str) -> None:
        self._peers = [thread for thread in self._peers if thread.is_alive()]
        if len(self._peers) >= _MAX_PEERS:
            plain.close()
            return
        thread = threading.Thread(target=self._talk, args=(plain, peer), daemon=True)
        self._peers.append(thread)
        thread.start()

    def _talk(self, plain: socket.socket, peer: str) -> None:
        with plain, contextlib.suppress(OSError, StreamError, ValueError):  # garbage, or gone
            plain.settimeout(_PEER_SECONDS)
            with self.identity.context.wrap_socket(plain, server_side=True) as secured:
                self._answer(Stream(secured, seconds=_PEER_SECONDS, most=_LINE_BYTES), peer)

    def _answer(self, stream: Stream, peer: str) -> None:
        is_over = self._end is not None
        stream.send({"time": time.time(), "ended": is_over})
        if is_over:
            return
        asked = stream.receive()
        with self._lock:
            refused = self._judge(str(asked.get("token")), str(asked.get("claim")), peer)
        if refused is not None:
            stream.send({"refused": refused.value, "holder": self._holder})
            return
        try:
            payload = self.make_payload()
        except TargetError as error:
            self.say(f"error: {error.message}")
            stream.send({"refused": Refusal.BROKEN.value, "why": error.message})
            return
        stream.send({"payload": payload})
        if stream.receive().get("stored") is True:
            with self._lock:
                self._finish(End.USED, f"{self._holder} has joined by this invite")
            stream.send({"ended": True})

    def _judge(self, token: str, claim: str, peer: str) -> Refusal | None:
        """Return why this node gets nothing; None if it gets the payload."""
        if not hmac.compare_digest(_token_bytes(token), self.token):
            self._wrong += 1
            if self._wrong >= _MAX_WRONG:
                self._finish(End.LOCKED, f"{self._wrong} wrong tokens, the last from {peer}")
            return Refusal.WRONG
        claimed = hashlib.sha256(claim.encode("utf-8", "replace")).hexdigest()
        if self._end is not None or (self._claim and not hmac.compare_digest(self._claim, claimed)):
            self.say(f"warning: {peer} has the line of this invite, too, and was refused")
            return Refusal.USED
        self._claim, self._holder = claimed, peer
        return None

    def _finish(self, end: End, why: str) -> None:
        if self._end is None:
            self.say(why)
            self._end = end


def _token_bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text.encode("ascii"))
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return b""
