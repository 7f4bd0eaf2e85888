"""Follows an invite on the new node: brings what it has, and writes it, each step repeatable."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from backendai_ctl.answers.edits import read_preseed
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError, RefusedError, SiteError
from backendai_ctl.base.files import exclusive, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.join.client import fetch
from backendai_ctl.join.line import Invite, newer_release, parse_invite
from backendai_ctl.join.merge import Change, Merge, apply_change, refuse_other_cluster
from backendai_ctl.join.payload import Payload
from backendai_ctl.join.roles import Role, load_role
from backendai_ctl.join.state import Joined, Pending, forget_pending
from backendai_ctl.services.recipe import installed_services, load_recipe
from backendai_ctl.services.record import Record
from backendai_ctl.services.release import find_version, version_numbers

VARIABLE = "BACKENDAI_JOIN"
FILE_VARIABLE = "BACKENDAI_JOIN_FILE"
# Every service's environment has it, by whose version the release is known.
_DISTRIBUTION = "backend.ai-common"
_MAX_FILE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Followed:
    """The role that an invite gave, and the edited files that the admin has to correct."""

    role: Role
    edited: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Follower:
    """This node, about to join."""

    layout: Layout
    store: SecretStore
    account: Owner
    environment: Mapping[str, str]
    say: Callable[[str], None]
    address: str = ""  # of this node, where the admin names it

    def run(self, text: str | None) -> Followed | None:
        """Follow the invite in ``text``, or the one at work; None if there is nothing to do.

        Every reason against it is one TargetError, and nothing is changed then. The caller
        configures the services, and calls ``forget_pending`` when that is done.
        """
        if not text and not self.layout.join.exists():
            return None
        with self._alone():
            pending = self._pending(parse_invite(text) if text else None)
            return self._write(pending) if pending is not None else None

    def fetch(self, text: str) -> None:
        """Get what the invite in ``text`` brings, for a later ``run``; TargetError as there."""
        with self._alone():
            self._pending(parse_invite(text))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        private_writer().ensure_folder(self.layout.join, mode=0o700)
        with exclusive(self.layout.join):
            yield

    def _pending(self, invite: Invite | None) -> Pending | None:
        """Return the invite at work with its payload, which is fetched unless it is here."""
        known = Pending.load(self.layout)
        if invite is None or (known is not None and known.payload and known.id == invite.id):
            return known if known is not None and known.payload else None
        if Joined.load(self.layout).has(invite.id):
            return None
        if known is not None and known.payload:
            raise RefusedError(
                f"this node has begun to join by another invite, as {known.role}",
                hint="finish that first, without a line: sudo backendai-ctl join",
            )
        role = load_role(self.layout, invite.role)
        self._refuse(invite, role)
        pending = self._get(invite, role)
        self.say(f"got answers and secrets for the role {role.name} from {invite.address}")
        return pending

    def _get(self, invite: Invite, role: Role) -> Pending:
        """Return the invite with its payload, stored here; of a refused one nothing stays."""

        def begin() -> Pending:
            return Pending.begin(self.layout, invite.id, invite.role)

        try:
            with fetch(invite, lambda: begin().claim) as delivery:
                own_host = self.address or delivery.own_host
                self._plan(role, delivery.payload, own_host)  # before the invite is used up
                pending = begin().with_payload(self.layout, delivery.payload, own_host)
                delivery.confirm()
        except RefusedError:
            begun = Pending.load(self.layout)
            if begun is not None and begun.id == invite.id:
                forget_pending(self.layout)
            raise
        return pending

    def _refuse(self, invite: Invite, role: Role) -> None:
        """Raise TargetError for what can be known before anything is asked."""
        present = installed_services(self.layout)
        if not set(role.services) & set(present):
            package = f"backendai-{role.services[0]}"
            raise HostError(
                f"the invite is for the role {role.name}, and {package} is not installed here",
                hint=f"install it first, without the invite: apt install {package}, or dnf",
            )
        refuse_other_cluster(self.layout, invite.cluster)
        release = installed_release(self.layout)
        if release and version_numbers(invite.release) > version_numbers(release):
            raise newer_release(f"release {invite.release}")

    def _plan(self, role: Role, payload: Payload, own_host: str) -> Change:
        merge = Merge(
            layout=self.layout,
            role=role,
            payload=payload,
            own_host=own_host,
            account=self.account,
            environment=self.environment,
        )
        return merge.plan()

    def _write(self, pending: Pending) -> Followed:
        assert pending.payload is not None
        role = load_role(self.layout, pending.role)
        change = self._plan(role, pending.payload, pending.own_host)
        apply_change(self.layout, change, pending.payload, pending.id, self.store)
        for name in sorted(change.secrets):
            self.say(f"wrote the cluster's {name}")
        if change.answers:
            self.say(f"{self.layout.site}: answered {', '.join(sorted(change.answers))}")
        # A run that was killed may have changed them: what is configured is made anew anyhow.
        return Followed(role=role, edited=_forget_configs(self.layout))


def _forget_configs(layout: Layout) -> tuple[str, ...]:
    """Remove configurations that nobody has edited, and that are not renewed by themselves.

    Returns the edited ones, which their admin has to correct.
    """
    edited: list[str] = []
    for service in installed_services(layout):
        for config in load_recipe(layout, service).configs:
            path = layout.etc / config.file
            record = Record.load(layout.generated / config.file)
            if not path.exists():
                continue
            if record is None or not record.is_unedited(path):
                edited.append(str(path))
            elif not config.renewed:
                path.unlink()
    return tuple(edited)


def installed_release(layout: Layout) -> str:
    """Return the release of the packages on this node; empty if it is unknown."""
    for service in installed_services(layout):
        version = find_version(layout, service, _DISTRIBUTION)
        if version:
            return version
    return ""


def asked_line(layout: Layout) -> str | None:
    """Return the line that BACKENDAI_JOIN or BACKENDAI_JOIN_FILE gives at an installation.

    A line in a variable is taken out of this process's environment: no child has it.
    """
    preseed = read_preseed(layout)
    line = os.environ.pop(VARIABLE, "") or preseed.get(VARIABLE, "")
    path = os.environ.get(FILE_VARIABLE, "") or preseed.get(FILE_VARIABLE, "")
    if line and path:
        raise SiteError([f"{VARIABLE} and {FILE_VARIABLE} are both set"], hint="set one of them")
    return read_line_file(path) if path else line or None


def read_line_file(path: str) -> str:
    """Return the content of a file with a line; HostError if it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:  # noqa: PTH123 - - is a name
            return stream.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
