"""Two nodes made up in folders, and an invite that really listens on loopback."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.layout import Layout
from backendai_ctl.join.certificate import make_identity
from backendai_ctl.join.line import TOKEN_BYTES, Invite
from backendai_ctl.join.payload import Payload
from backendai_ctl.join.server import End, InviteServer

from builder.base.paths import PROJECT
from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.manager_keys import SAMPLE

CLUSTER = "c0ffee000001"
TOKEN = b"t" * TOKEN_BYTES


def payload(**changes: object) -> Payload:
    """What an agent gets."""
    return Payload(
        role="agent",
        cluster=CLUSTER,
        answers={
            "etcd.addresses": ["10.0.0.1:2379"],
            "etcd.user": "backendai",
            "etcd.password": "etcd-word",
            "storage.path": "/srv/backendai/volume1",
        },
        **changes,  # type: ignore[arg-type]
    )


@dataclass(kw_only=True)
class Served:
    """An invite that is open, and what has become of it."""

    invite: Invite
    said: list[str] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    thread: threading.Thread | None = None

    def end(self) -> End:
        """Wait for its end."""
        assert self.thread is not None
        self.thread.join(timeout=30)
        (end,) = self.ends
        return end


@contextlib.contextmanager
def open_invite(
    make: Callable[[], dict[str, object]] | None = None,
    *,
    seconds: float = 20.0,
    role: str = "agent",
    release: str = "26.9.6",
) -> Iterator[Served]:
    """Serve an invite on a free port of loopback until the block ends, at the latest."""
    identity = make_identity()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        invite = Invite(
            address=Address(host="127.0.0.1", port=listener.getsockname()[1]),
            role=role,
            release=release,
            cluster=CLUSTER,
            expires=int(time.time() + seconds),
            fingerprint=identity.fingerprint,
            token=TOKEN,
        )
        served = Served(invite=invite)
        server = InviteServer(
            identity=identity,
            token=TOKEN,
            make_payload=make or (lambda: payload().as_table()),
            say=served.said.append,
        )
        served.thread = threading.Thread(
            target=lambda: served.ends.append(server.serve(listener, seconds)), daemon=True
        )
        served.thread.start()
        yield served


def new_node(root: Path, *services: str) -> Layout:
    """A host with these services' packages and nothing configured."""
    layout = Layout(root=root)
    for folder in (layout.recipes, layout.etc, layout.state):
        folder.mkdir(parents=True)
    for source, target in (("questions.toml", layout.questions), ("roles.toml", layout.roles)):
        target.write_text((PROJECT / "postinst/site" / source).read_text())
    for service in services:
        install_recipe(layout, service)
        layout.samples(service).mkdir(parents=True)
    if "agent" in services:
        (layout.samples("agent") / "agent.toml").write_text(SAMPLE)
    return layout


def files_of(layout: Layout) -> dict[str, bytes]:
    """Every file of a host but the note of an invite that was tried."""
    return {
        str(path.relative_to(layout.root)): path.read_bytes()
        for path in sorted(layout.root.rglob("*"))
        if path.is_file() and path.parent != layout.join
    }
