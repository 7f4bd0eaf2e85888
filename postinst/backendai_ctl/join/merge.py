"""Decides what joining changes on this node; everything in the way is one error.

What an admin has answered stays: an answer that is not the default, and that no invite brought.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backendai_ctl.answers.edits import read_preseed, with_answer, write_site
from backendai_ctl.answers.kinds import Address, Value
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import Site, new_site, parse_given, parse_site, read_site
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import RefusedError, SiteError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import value_of
from backendai_ctl.join.gather import BROUGHT_AUTHORITY, cluster_of
from backendai_ctl.join.payload import Payload
from backendai_ctl.join.roles import Role
from backendai_ctl.join.state import Joined, digest_of
from backendai_ctl.services.configure import digest_of as text_digest
from backendai_ctl.services.record import Record

_IN_OWN = re.compile(r"\{([a-z.-]+)!port\}")
_CERTIFICATE_MODE = 0o644
_SELF_SIGNED, _CERTIFICATE = "tls.self-signed", "tls.certificate"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What joining writes; nothing is written before all of it is known to fit."""

    site: str
    answers: Mapping[str, Value]  # those that change
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_any(self) -> bool:
        """Whether something changes."""
        return bool(self.answers or self.secrets or self.files)


@dataclass(kw_only=True)
class Merge:
    """The payload of an invite, and this node as it is."""

    layout: Layout
    role: Role
    payload: Payload
    own_host: str
    account: Owner
    environment: Mapping[str, str]

    def plan(self) -> Change:
        """Return what changes; RefusedError or SiteError, with every conflict, if it cannot."""
        refuse_other_cluster(self.layout, self.payload.cluster)
        text = self._present()
        joined = Joined.load(self.layout)
        questions = parse_given(self.layout, text).questions
        for name in self.payload.answers:
            questions = questions.with_name(name)
        site = Site(questions=questions, answers=parse_given(self.layout, text).answers)
        wanted, problems = self._wanted(site, joined)
        problems += self._account_problems(wanted) + self._file_problems()
        if problems:
            raise SiteError(
                problems,
                hint="nothing was changed; where the cluster's answer is right, remove the key"
                f" from {self.layout.site}, then join again",
            )
        changed = {name: value for name, value in wanted.items() if site.answers.get(name) != value}
        for name, value in changed.items():
            section, _, key = name.rpartition(".")
            text = with_answer(text, section, key, value)
        parse_site(self.layout, text)  # the release's own rules, before anything is written
        return Change(
            site=text,
            answers=changed,
            secrets={name: s for name, s in self.payload.secrets.items() if self._is_new(name, s)},
            files={
                path: content
                for path, content in self.payload.files.items()
                if not self.layout.place(path).exists() or self._renews(path, content)
            },
        )

    def _present(self) -> str:
        if self.layout.site.exists():
            return read_site(self.layout)
        given = {**read_preseed(self.layout), **self.environment}
        return new_site(self.layout, given)

    def _wanted(self, site: Site, joined: Joined) -> tuple[dict[str, Value], list[str]]:
        """Return the answers that this node is to have, and the conflicts with its admin's."""
        wanted: dict[str, Value] = {}
        problems: list[str] = []
        for name, value in self.payload.answers.items():
            question = site.questions.named(name)
            if name == _SELF_SIGNED and site.answers[_CERTIFICATE]:
                continue  # the admin has given this node a certificate
            if question is None:
                problems.append(f"site.toml of this release has no answer called '{name}'")
                continue
            present = site.answers.get(name, question.default)
            is_given = present != question.default and not joined.has_brought(name, present)
            if is_given and present != value:
                problems.append(
                    f"{self.layout.site}: {name} = {question.shown(present)},"
                    f" and the cluster's is {question.shown(value)}"
                )
            try:
                wanted[name] = question.check(value)
            except ValueError:
                problems.append(f"{name} of the cluster: must be {question.allowed}")
        for name, value in self._own(site).items():
            question = site.questions.named(name)
            if question is None or name in wanted:
                continue
            present = site.answers[name]
            if present != question.default and not joined.has_brought(name, present):
                continue  # the admin's
            try:
                wanted[name] = question.check(value)
            except ValueError:
                problems.append(
                    f"{name} = {question.shown(value)}: must be {question.allowed};"
                    " give --address, or the answer in site.toml"
                )
        return wanted, problems + self._taken_problems(site, wanted)

    def _own(self, site: Site) -> dict[str, Value]:
        at = str(Address(host=self.own_host, port=1)).rpartition(":")[0]

        def port_of(match: re.Match[str]) -> str:
            return str(Address.parse(str(site.answers[match[1]])).port)

        found: dict[str, Value] = {
            name: _IN_OWN.sub(port_of, template.replace("{host}", self.own_host)).replace(
                "{at}", at
            )
            for name, template in self.role.own.items()
        }
        names = [name for name, value in self.payload.taken.items() if site.answers[name] == value]
        return {**found, **dict.fromkeys(names, _label())}

    def _taken_problems(self, site: Site, wanted: Mapping[str, Value]) -> list[str]:
        return [
            f"{self.layout.site}: {name} = {value}, which is the first node's own"
            for name, value in self.payload.taken.items()
            if wanted.get(name, site.answers[name]) == value
        ]

    def _account_problems(self, wanted: Mapping[str, Value]) -> list[str]:
        ids = {"account.uid": self.account.uid, "account.gid": self.account.gid}
        return [
            f"{name} is {present} on this host, and the cluster's is {wanted[name]}: install"
            f" backendai-common with the cluster's, by [account] of {self.layout.site}"
            for name, present in ids.items()
            if name in wanted and wanted[name] != present
        ]

    def _file_problems(self) -> list[str]:
        problems = []
        for path, content in self.payload.files.items():
            there = self.layout.place(path)
            if path != BROUGHT_AUTHORITY and there.exists() and _text_of(there) != content:
                problems.append(f"{path} is another certificate than the first node's")
        return problems

    def _renews(self, path: str, content: str) -> bool:
        """Whether the file is an invite's own, to which a later one may add an authority."""
        return path == BROUGHT_AUTHORITY and _text_of(self.layout.place(path)) != content

    def _is_new(self, name: str, secret: str) -> bool:
        path = self.layout.secrets / name
        return not path.exists() or value_of(path.read_text(encoding="utf-8")) != value_of(secret)


def refuse_other_cluster(layout: Layout, cluster: str) -> None:
    """Raise RefusedError if this node belongs to another cluster.

    Secrets that were made here and never used by a seeded database bind to none.
    """
    joined = Joined.load(layout).cluster
    own = cluster_of(layout) if any(layout.credentials.glob("*.toml")) else None
    other = next((known for known in (joined, own) if known and known != cluster), None)
    if other is not None:
        raise RefusedError(
            f"this node belongs to another cluster ({other}); the invite is of {cluster}",
            hint="to leave it, remove its data first: stop the services, then"
            " sudo backendai-ctl prepare-clone",
        )


def apply_change(
    layout: Layout, change: Change, payload: Payload, invite_id: str, store: SecretStore
) -> None:
    """Write secrets, certificates, the record and site.toml, in this order; safe to repeat."""
    for folder in (layout.etc, layout.secrets, layout.generated):
        store.writer.ensure_folder(folder)
    # A key pair's secret half comes last: it marks the pair as complete.
    for name in sorted(change.secrets, key=lambda name: name.endswith("_secret")):
        store.writer_of(name).replace(layout.secrets / name, change.secrets[name])
    for path, content in change.files.items():
        there = layout.place(path)
        there.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        writer = Writer(owner=Owner.caller(), mode=_CERTIFICATE_MODE)
        (writer.replace if path == BROUGHT_AUTHORITY else writer.create)(there, content)
    # Before site.toml: a run that is killed in between finds these answers still to be written.
    known = Joined.load(layout)
    brought = {name: digest_of(value) for name, value in change.answers.items()}
    Joined(
        cluster=payload.cluster,
        roles={**known.roles, payload.role: invite_id},
        brought={**known.brought, **brought},
    ).save(layout)
    if not layout.site.exists():
        record = Record(made=True, digest=text_digest(change.site))
        store.writer.replace(layout.generated / layout.site.name, str(record))
        write_site(layout.site, change.site, store.writer)
    elif change.answers:
        write_site(layout.site, change.site, store.writer)


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _label() -> str:
    """Return this host's name, as far as an answer may have it."""
    name = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().partition(".")[0]).strip("-")
    return name or "node"
