"""Steps for what all nodes share: etcd's keys, the secrets, Redis or Valkey."""

import hashlib
import hmac
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.answers.kinds import Address
from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.text import value_of
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.stores.etcd import Etcd

# Beside Backend.AI's own keys, below its namespace, so that its backups include them.
_OURS = "backendai-packages"
_REDIS_SECONDS = 5.0
_REPLY_BYTES = 256
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class EtcdStep:
    """The keys that one service or add-on needs: created if absent, never changed."""

    name: str
    etcd: Etcd
    wanted: Mapping[str, str]

    def inspect(self) -> Finding:
        """Compare the keys; one that this tool created and that is gone was removed by an admin."""
        found = {key: self.etcd.get(key) for key in self.wanted}
        absent = [key for key, value in found.items() if value is None]
        removed = [key for key in absent if self.etcd.has(_made(key))]
        missing = [key for key in absent if key not in removed]
        other = [key for key, value in found.items() if value not in (None, self.wanted[key])]
        if missing:
            return Finding(state=State.CREATE, detail=_listed(missing))
        if other or removed:
            details = [f"{_listed(other)}"] if other else []
            details += [f"removed: {_listed(removed)}"] if removed else []
            return Finding(state=State.DIFFERS, detail="; ".join(details))
        return Finding(state=State.EXISTS, detail=f"{len(found)} keys")

    def apply(self) -> None:
        """Create each absent key, and in the same transaction the record that it was created."""
        for key, value in self.wanted.items():
            self.etcd.create({key: value, _made(key): "1"})


@dataclass(frozen=True, kw_only=True)
class SecretsStep:
    """The fingerprints of the secrets that all nodes share; the first node sets the cluster's."""

    etcd: Etcd
    secrets: Mapping[str, str]
    name: str = "secrets"

    def inspect(self) -> Finding:
        """Compare this node's fingerprints with the cluster's."""
        stored = {name: self.etcd.get(_print_key(name)) for name in self.secrets}
        wrong = [
            name
            for name, value in stored.items()
            if value not in (None, fingerprint(name, self.secrets[name]))
        ]
        if wrong:
            return Finding(
                state=State.DIFFERS,
                blocks=True,
                detail=f"not the cluster's: {', '.join(wrong)}",
                remedy="take them from another node (backendai-ctl secrets export | import),"
                " or hold all to this node's: sudo backendai-ctl secrets adopt",
            )
        new = [name for name, value in stored.items() if value is None]
        if new:
            return Finding(state=State.CREATE, detail=f"register {', '.join(new)}")
        return Finding(state=State.EXISTS, detail=f"{len(stored)} as the cluster's")

    def apply(self) -> None:
        """Register the fingerprints that no node has registered."""
        for name, value in self.secrets.items():
            self.etcd.create({_print_key(name): fingerprint(name, value)})

    def adopt(self) -> None:
        """Replace the registered fingerprints by this node's, which then hold for all nodes."""
        for name, value in self.secrets.items():
            self.etcd.put(_print_key(name), fingerprint(name, value))


@dataclass(frozen=True, kw_only=True)
class RedisStep:
    """A test that the Redis or Valkey named in etcd lets the services in and accepts writes."""

    etcd: Etcd
    name: str = "redis"

    def inspect(self) -> Finding:
        """Ask the server for its role; Sentinel and TLS are left to the services."""
        text = self.etcd.get("config/redis/addr")
        if not text:
            sentinels = self.etcd.get("config/redis/sentinel")
            detail = f"by the Sentinels {sentinels}" if sentinels else "not named"
            return Finding(state=State.EXISTS, detail=detail)
        try:
            address = Address.parse(text)
        except ValueError as error:
            raise NotReadyError(f"etcd: config/redis/addr = {text}: {error}") from error
        reply = _ask_redis(address, self.etcd.get("config/redis/password") or "")
        if reply.startswith(("-WRONGPASS", "-NOAUTH", "-ERR invalid password")):
            raise NotReadyError(
                f"Redis on {address} refuses the password in etcd's config/redis/password"
            )
        if "\r\nslave\r\n" in reply:
            raise NotReadyError(f"Redis on {address} is a replica, which takes no writes")
        return Finding(state=State.EXISTS, detail=str(address))

    def apply(self) -> None:
        """Do nothing: this step never finds anything to create."""


def shared_secrets(folder: Path, names_file: Path, site: Site) -> dict[str, str]:
    """Return the secrets of this host that must be the same on all nodes, by name.

    A secret that stands for an answer is left out where site.toml gives the answer: a node that
    was installed before it joined has made another, and uses it no more.
    """
    answered = {
        question.secret for question in site.questions.all if site.answers[question.name] != ""
    }
    try:
        names = names_file.read_text(encoding="utf-8").split()
        return {
            name: (folder / name).read_text(encoding="utf-8")
            for name in names
            if name not in answered and (folder / name).exists()
        }
    except OSError as error:
        raise HostError(f"cannot read {error.filename}: {error.strerror}") from error


def fingerprint(name: str, secret: str) -> str:
    """Return a text that distinguishes two secrets and reveals neither."""
    message = f"backendai fingerprint {name}".encode()
    return hmac.new(value_of(secret).encode(), message, hashlib.sha256).hexdigest()[:32]


def _print_key(name: str) -> str:
    return f"{_OURS}/secrets/{name}"


def _made(key: str) -> str:
    return f"{_OURS}/made/{key}"


def _listed(keys: list[str]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return f"{shown} and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else shown


def _ask_redis(address: Address, password: str) -> str:
    calls = ([["AUTH", password]] if password else []) + [["ROLE"]]
    message = "".join(
        f"*{len(call)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in call)
        for call in calls
    )
    try:
        with socket.create_connection(
            (address.host, address.port), timeout=_REDIS_SECONDS
        ) as connection:
            connection.sendall(message.encode())
            return connection.recv(_REPLY_BYTES).decode(errors="replace")
    except OSError as error:
        raise NotReadyError(f"Redis on {address}: {error}") from error
