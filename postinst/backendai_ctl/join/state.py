"""What this node remembers of joining: the cluster that it has joined, and an invite at work."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from backendai_ctl.answers.kinds import Value
from backendai_ctl.base.errors import HostError, TargetError
from backendai_ctl.base.files import Writer, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.join.payload import Payload, parse_payload

_JOINED = "joined.json"
_PENDING = "pending.json"


@dataclass(frozen=True, kw_only=True)
class Joined:
    """The cluster of this node, the invite of each of its roles, and the answers they brought."""

    cluster: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)  # role to invite's id
    brought: Mapping[str, str] = field(default_factory=dict)  # answer to its digest

    @classmethod
    def load(cls, layout: Layout) -> "Joined":
        """Return the record; an empty one if this node has joined nothing."""
        table = _read(layout.join / _JOINED)
        return cls(
            cluster=str(table.get("cluster", "")),
            roles=_texts(table.get("roles")),
            brought=_texts(table.get("brought")),
        )

    def save(self, layout: Layout) -> None:
        """Write the record."""
        table = {"cluster": self.cluster, "roles": self.roles, "brought": self.brought}
        _write(layout, _JOINED, table)

    def has(self, invite_id: str) -> bool:
        """Whether this node has joined by this invite."""
        return invite_id in self.roles.values()

    def has_brought(self, name: str, value: Value) -> bool:
        """Whether the answer is what an invite brought, rather than an admin's."""
        return self.brought.get(name) == digest_of(value)


@dataclass(frozen=True, kw_only=True)
class Pending:
    """An invite that this node follows: its claim and, once it is here, the payload."""

    id: str
    role: str
    claim: str = field(repr=False)
    own_host: str = ""
    payload: Payload | None = None

    @classmethod
    def begin(cls, layout: Layout, invite_id: str, role: str) -> "Pending":
        """Return the state of this invite; a new claim is on the disk before it is used."""
        known = cls.load(layout)
        if known is not None and known.id == invite_id:
            return known
        made = cls(id=invite_id, role=role, claim=secrets.token_urlsafe(24))
        made.save(layout)
        return made

    @classmethod
    def load(cls, layout: Layout) -> "Pending | None":
        """Return the invite at work; None if there is none."""
        table = _read(layout.join / _PENDING)
        if not table:
            return None
        try:
            payload = table["payload"]
            return cls(
                id=str(table["id"]),
                role=str(table["role"]),
                claim=str(table["claim"]),
                own_host=str(table["own-host"]),
                payload=parse_payload(payload) if payload else None,
            )
        except (KeyError, TargetError) as error:
            raise HostError(
                f"{layout.join / _PENDING} is damaged",
                hint=f"rm {layout.join / _PENDING}, then join by a new invite",
            ) from error

    def save(self, layout: Layout) -> None:
        """Write the state, which may hold secrets: for root alone."""
        table = {
            "id": self.id,
            "role": self.role,
            "claim": self.claim,
            "own-host": self.own_host,
            "payload": self.payload.as_table() if self.payload else None,
        }
        _write(layout, _PENDING, table)

    def with_payload(self, layout: Layout, payload: Payload, own_host: str) -> "Pending":
        """Return the state with the payload, which is on the disk then."""
        made = replace(self, payload=payload, own_host=own_host)
        made.save(layout)
        return made


def forget_pending(layout: Layout) -> None:
    """Remove the invite at work, and with it the secrets in it."""
    (layout.join / _PENDING).unlink(missing_ok=True)


def digest_of(value: Value) -> str:
    """Return a text by which an answer is recognized, and which does not show it."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _write(layout: Layout, name: str, table: Mapping[str, object]) -> None:
    writer: Writer = private_writer()
    writer.ensure_folder(layout.join, mode=0o700)
    writer.replace(layout.join / name, json.dumps(table, default=dict) + "\n")


def _read(path: Path) -> dict[str, object]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", hint="use sudo") from error
    except ValueError as error:
        raise HostError(f"{path} is damaged", hint=f"rm {path}, then join again") from error
    return table if isinstance(table, dict) else {}


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
