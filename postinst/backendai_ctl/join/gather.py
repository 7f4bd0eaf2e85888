"""Gathers on the first node what a role brings, and finds what would make it useless elsewhere."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from urllib.parse import urlsplit, urlunsplit

from backendai_ctl.answers.kinds import Address, Value, is_loopback
from backendai_ctl.answers.questions import Question
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import Site, parse_given, parse_site, read_site
from backendai_ctl.base.errors import HostError, NotReadyError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import value_of
from backendai_ctl.join.payload import Payload
from backendai_ctl.join.roles import Role, chosen
from backendai_ctl.seed.steps.cluster import SecretsStep
from backendai_ctl.services.recipe import installed_services
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.manager_key import certificate, key_file, read_key
from backendai_ctl.stores.ports import answers

_CLUSTER_SECRET = "manager-secret"
# What this node has made for itself, and where a new one keeps it, with others of the cluster.
_OWN_AUTHORITY = "/var/lib/backendai/tls/ca.pem"
BROUGHT_AUTHORITY = "/etc/backend.ai/cluster-ca.pem"
_CA, _SELF_SIGNED = "tls.ca", "tls.self-signed"
# An address that nobody uses once several are answered.
_INSTEAD = {"redis.address": "redis.sentinels", "database.address": "database.members"}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """The first node, the role of the new one, and the address by which that reaches this."""

    layout: Layout
    role: Role
    host: str
    keeps_loopback: bool = False

    def run(self) -> Payload:
        """Return what the role brings.

        Raises NotReadyError with every store that the new node could not reach, and the command
        that changes that.
        """
        site = parse_given(self.layout, read_site(self.layout))
        cluster = cluster_of(self.layout)
        if cluster is None:
            raise HostError(
                "this node has no manager, so it cannot invite others",
                hint="run this on a node with backendai-manager",
            )
        secrets = self._secrets()
        brought, problems = self._reachable(site, self._answers(site))
        problems += self._shared_keys(site) + self._other_secrets(site, secrets)
        if problems:
            raise NotReadyError(
                "\n".join(problems),
                hint="where every node has a tunnel of its own to the stores, on loopback:"
                " --keep-loopback",
            )
        return Payload(
            role=self.role.name,
            cluster=cluster,
            answers=brought,
            taken=self._taken(site),
            secrets=secrets,
            files=self._files(site, brought),
        )

    def _answers(self, site: Site) -> dict[str, Value]:
        derived = parse_site(self.layout, read_site(self.layout))
        found = {
            question.name: (derived if _follows(derived, question) else site).answers[question.name]
            for question in chosen(site.questions, self.role.answers)
        }
        if _CA in found and site.answers[_SELF_SIGNED]:
            found[_CA] = BROUGHT_AUTHORITY
        if not found.get(_SELF_SIGNED):  # a node by plain HTTP says nothing of others
            found.pop(_SELF_SIGNED, None)
        if not self._runs_same():
            for question in chosen(site.questions, self.role.described):
                if site.answers[question.name] != question.default:
                    found[question.name] = site.answers[question.name]
        return found

    def _secrets(self) -> dict[str, str]:
        """Return the role's secrets, and the manager's public key as the agent reads it."""
        store = SecretStore(folder=self.layout.secrets, writer=private_writer())
        for name in self.role.makes:
            store.secret(name)  # else each node of the role would make another
        found = {name: self._secret(name) for name in self.role.secrets if self._has(name)}
        path = key_file(self.layout)
        key = read_key(path) if self.role.manager_key else None
        return {**found, path.name: certificate(key)} if key else found

    def _runs_same(self) -> bool:
        return bool(self.role.unless) and self.role.unless in installed_services(self.layout)

    def _taken(self, site: Site) -> dict[str, Value]:
        names = self.role.distinct if self._runs_same() else ()
        return {name: site.answers[name] for name in names}

    def _reachable(self, site: Site, found: dict[str, Value]) -> tuple[dict[str, Value], list[str]]:
        """Return the answers with this node's address in the place of loopback, and problems."""
        problems: list[str] = []
        if self.keeps_loopback:
            return found, problems
        unused = {single for single, several in _INSTEAD.items() if site.answers[several]}
        for name in self.role.reaches:
            if name in unused:
                continue
            value = found[name]
            moved = [self._moved(name, text, problems) for text in _as_list(value)]
            found[name] = moved if isinstance(value, list) else moved[0]
        return found, problems

    def _moved(self, name: str, text: str, problems: list[str]) -> str:
        if not text:
            return text
        old = _address_of(text)
        if not old.is_loopback:
            return text
        new = replace(old, host=self.host)
        if not answers(new):
            problems.append(
                f"{name} is {text}, and nothing answers at {new}: the new node could not reach"
                f" it; {self._remedy(name, new)}"
            )
        if "://" in text:
            return urlunsplit(urlsplit(text)._replace(netloc=str(new)))
        return str(new)

    def _shared_keys(self, site: Site) -> list[str]:
        """Return what is wrong with addresses in etcd, which every node reads there."""
        if self.keeps_loopback or not self.role.keys:
            return []
        etcd = first_etcd(site)
        problems: list[str] = []
        for pattern in self.role.keys:
            for key, value in _matching(etcd, pattern).items():
                for text in filter(None, value.split(",")):
                    address = _address_of(text)
                    if address.is_loopback:
                        remedy = self._remedy(pattern, replace(address, host=self.host))
                        problems.append(
                            f"{key} in etcd is {text}, which every other node would take for a"
                            f" server of its own; {remedy.replace('{key}', key)}"
                        )
        return problems

    def _other_secrets(self, site: Site, secrets: Mapping[str, str]) -> list[str]:
        """Return which of this node's secrets the cluster, and so the new node, would refuse."""
        if not self.role.secrets:
            return []
        finding = SecretsStep(etcd=first_etcd(site), secrets=secrets).inspect()
        if not finding.blocks:
            return []
        return [f"secrets of this node are {finding.detail}; {finding.remedy}"]

    def _remedy(self, name: str, address: Address) -> str:
        return self.role.remedies.get(name, "name it by an address that all nodes reach").replace(
            "{at}", str(address)
        )

    def _has(self, name: str) -> bool:
        return (self.layout.secrets / name).exists()

    def _secret(self, name: str) -> str:
        try:
            return (self.layout.secrets / name).read_text(encoding="utf-8")
        except OSError as error:
            raise HostError(
                f"cannot read {error.filename}: {error.strerror}", hint="use sudo"
            ) from error

    def _files(self, site: Site, brought: Mapping[str, Value]) -> dict[str, str]:
        """Return the certificates of authorities that the answers name."""
        paths = {
            str(brought[question.name])
            for question in site.questions.all
            if question.key in ("ca", "tls-ca") and brought.get(question.name)
        }
        try:
            return {path: self._content(site, path) for path in sorted(paths)}
        except (OSError, ValueError) as error:
            raise HostError(f"cannot read an authority's certificate: {error}") from error

    def _content(self, site: Site, path: str) -> str:
        """Return a file of authorities as the new node gets it: all that this node trusts."""
        given, sources = str(site.answers[_CA]), [path]
        if path == BROUGHT_AUTHORITY and site.answers[_SELF_SIGNED]:
            sources = [_OWN_AUTHORITY, *([given] if given else [])]
        texts = [self.layout.place(s).read_text(encoding="ascii") for s in sources]
        return "".join(dict.fromkeys(texts))


def _follows(site: Site, question: Question) -> bool:
    """Whether the answer is made of others here, such as an address by TLS."""
    return any(site.answers[name] for name in question.derived_where)


def cluster_of(layout: Layout) -> str | None:
    """Return the id of the cluster that this node has the secrets of; None if it has none."""
    path = layout.secrets / _CLUSTER_SECRET
    try:
        secret = value_of(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", hint="use sudo") from error
    return hmac.new(secret.encode(), b"backendai cluster", hashlib.sha256).hexdigest()[:12]


def first_etcd(site: Site) -> Etcd:
    """Return the etcd of site.toml: the first member that answers."""
    listed = [Address.parse(text) for text in _as_list(site.answers["etcd.addresses"])]
    return Etcd(
        address=next((address for address in listed if answers(address)), listed[0]),
        namespace=str(site.answers["etcd.namespace"]),
        user=str(site.answers["etcd.user"]),
        password=str(site.answers["etcd.password"]),
    )


def _matching(etcd: Etcd, pattern: str) -> dict[str, str]:
    """Return the keys that are set and that ``pattern`` stands for, with their values."""
    if "*" not in pattern:
        return {pattern: etcd.get(pattern) or ""}
    prefix = pattern.partition("*")[0]
    return {
        key: value
        for key, value in etcd.list(prefix).items()
        if fnmatch(key, pattern) and key.count("/") == pattern.count("/")
    }


def _as_list(value: Value) -> list[str]:
    return value if isinstance(value, list) else [str(value)]


def _address_of(text: str) -> Address:
    """Return the address in HOST:PORT or in a URL."""
    if "://" not in text:
        return Address.parse(text)
    parts = urlsplit(text)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return Address(host=parts.hostname or "", port=port)


def is_of_other_nodes(host: str) -> bool:
    """Whether other nodes can reach ``host``: no loopback and no wildcard."""
    return bool(host) and host not in ("0.0.0.0", "::") and not is_loopback(host)
