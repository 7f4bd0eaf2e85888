"""Opens an invite on the first node: its address, its port, and the unit that serves it."""

import contextlib
import errno
import json
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backendai_ctl.answers.kinds import Address
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import start_transient
from backendai_ctl.join.certificate import make_identity
from backendai_ctl.join.follow import installed_release
from backendai_ctl.join.gather import Gathering, is_of_other_nodes
from backendai_ctl.join.line import TOKEN_BYTES, Invite
from backendai_ctl.join.roles import Role
from backendai_ctl.join.server import End, InviteServer

# A few, so that a firewall can let them in, and several invites can be open.
PORTS = range(6090, 6100)
# An address of documentation: the route there is the one to other networks; nothing is sent.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_NAMES = ("manager.internal-address", "redis.address", "database.address", "node.public-host")
_HANDOVER_SECONDS = 60.0
_SPARE_SECONDS = 60  # the server ends by itself before its unit is stopped


@dataclass(kw_only=True)
class Offer:
    """One invite, open on this node."""

    layout: Layout
    gathering: Gathering
    minutes: int
    port: int | None
    say: Callable[[str], None]
    _token: bytes = field(default_factory=lambda: secrets.token_bytes(TOKEN_BYTES), repr=False)

    def serve(self, publish: Callable[[str], None]) -> End:
        """Give the line to ``publish``, then serve until the invite ends; return why it did."""
        payload = self.gathering.run()
        identity = make_identity()
        with listening(self.gathering.host, self.port) as listener:
            invite = Invite(
                address=Address(host=self.gathering.host, port=listener.getsockname()[1]),
                role=self.gathering.role.name,
                release=installed_release(self.layout),
                cluster=payload.cluster,
                expires=int(time.time()) + self.minutes * 60,
                fingerprint=identity.fingerprint,
                token=self._token,
            )
            server = InviteServer(
                identity=identity,
                token=self._token,
                make_payload=lambda: self.gathering.run().as_table(),
                say=self.say,
            )
            publish(str(invite))
            return server.serve(listener, self.minutes * 60)


@contextlib.contextmanager
def listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """Yield a socket that listens at ``port``, or at the first free one of PORTS."""
    taken = ""
    for candidate in (port,) if port is not None else PORTS:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, candidate))
                listener.listen()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise HostError(
                        f"cannot listen at {host}, port {candidate}: {error.strerror}",
                        hint="name an address of this node: --address HOST",
                    ) from error
                taken = f"{taken}, {candidate}" if taken else str(candidate)
                continue
            yield listener
            return
    raise NotReadyError(f"ports {taken} of {host} are taken", hint="choose another: --port PORT")


def own_address(layout: Layout, wanted: str) -> str:
    """Return the address of this node that the others reach; HostError if it has none.

    An address of this node among the answers is the cluster's network; else the one by which
    this node reaches others.
    """
    if wanted:
        return _resolved(wanted)
    site = load_site(layout)
    answers = [str(site[name]) for name in _NAMES]
    hosts = [text.rpartition(":")[0].strip("[]") if ":" in text else text for text in answers]
    for host in hosts:
        if is_of_other_nodes(host) and _is_here(host):
            return _resolved(host)
    for family, there in _ELSEWHERE:
        with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.connect((there, 9))
            found = str(probe.getsockname()[0])
            if is_of_other_nodes(found):
                return found
    raise HostError(
        "no address of this node is reachable from elsewhere",
        hint="set the one that other nodes reach: backendai-ctl site set manager.internal-address"
        " HOST:18080, or name it: --address HOST",
    )


def _resolved(host: str) -> str:
    """Return the number of a host's name, by which the new node connects."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostError(f"the address '{host}' is unknown: {error}") from error
    number = str(found[0][4][0])
    if not is_of_other_nodes(number):
        raise HostError(
            f"{host} is {number}, which only this node reaches",
            hint="name the address of this node that the others reach: --address HOST",
        )
    return number


def _is_here(host: str) -> bool:
    """Whether ``host`` is an address of this node."""
    try:
        family, _, _, _, where = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(where)
    except (OSError, UnicodeError):
        return False
    return True


def offer_by_unit(words: list[str], role: Role, minutes: int) -> str:
    """Start a unit that runs ``words`` and serves an invite; return its line.

    The line comes by a socket in a folder of root's, and is nowhere else.
    """
    folder = Path(tempfile.mkdtemp(prefix="backendai-invite-", dir="/run"))
    unit = f"backendai-invite-{role.name}-{secrets.token_hex(3)}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            path = folder / "line"
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(_HANDOVER_SECONDS)
            seconds = minutes * 60 + _SPARE_SECONDS
            why = start_transient(unit, [*words, "--handover", str(path)], seconds=seconds)
            if why:
                raise NotReadyError(f"systemd did not start the invite: {why}")
            return _handed_over(listener, unit)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _handed_over(listener: socket.socket, unit: str) -> str:
    try:
        peer, _ = listener.accept()
        with peer, peer.makefile("rb") as stream:
            peer.settimeout(_HANDOVER_SECONDS)
            answer = json.loads(stream.read(65536))
    except (OSError, ValueError) as error:
        raise NotReadyError("the invite did not start", hint=f"journalctl -u {unit}") from error
    if "line" in answer:
        return str(answer["line"])
    problem = str(answer.get("error", "the invite did not start"))
    raise NotReadyError(problem, hint=answer.get("hint"))


def hand_over(path: str, answer: dict[str, object]) -> None:
    """Give the line, or why there is none, to the command that waits for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(_HANDOVER_SECONDS)
        try:
            peer.connect(path)
            peer.sendall(json.dumps(answer).encode())
        except OSError as error:
            raise HostError(f"nobody waits for the invite: {error.strerror}") from error
