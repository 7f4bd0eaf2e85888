"""Predicts each service's future without help: up, starting, waiting, or stuck for good."""

from collections.abc import Mapping
from dataclasses import dataclass

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.words import Word
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.seed.model import StepResult
from backendai_ctl.seed.starting import waiting_services
from backendai_ctl.seed.state import held_by, is_complete, load_state
from backendai_ctl.services.recipe import Recipe
from backendai_ctl.status.report import NodeStatus, ServiceStatus
from backendai_ctl.upgrade.pending import pending_upgrades

SEED_UNIT = "backendai-seed.service"
RETRY_UNIT = "backendai-seed-retry.timer"
_MOVING = ("activating", "reloading", "deactivating")


class Outlook(Word):
    """The state that a service will reach if nobody does anything."""

    UP = "up"
    STARTING = "starting"
    WAITING = "waiting"  # for a store or another service, after which it starts by itself
    STUCK = "stuck"
    OFF = "off"  # disabled or masked by the admin


class Seeding(Word):
    """The state of seeding."""

    NONE = "none"  # this host seeds nothing
    DONE = "done"
    RUNNING = "running"
    RETRIED = "retried"
    STUCK = "stuck"
    CHANGED = "changed"  # done, and what it was done from has changed since
    HELD = "held"  # retried, and of no use before an admin decides
    MASKED = "masked"


@dataclass(frozen=True, kw_only=True)
class ServiceOutlook:
    """The outlook of one service; ``reason`` and ``hint`` may be empty."""

    service: str
    outlook: Outlook
    reason: str = ""
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.outlook}: {self.reason}" if self.reason else self.outlook.value


@dataclass(frozen=True, kw_only=True)
class NodeOutlook:
    """The outlook of this host."""

    services: tuple[ServiceOutlook, ...]
    seeding: Seeding
    holder: StepResult | None = None  # the step that an admin has to decide

    def having(self, *outlooks: Outlook) -> tuple[ServiceOutlook, ...]:
        """Return the services with one of these outlooks."""
        return tuple(service for service in self.services if service.outlook in outlooks)

    @property
    def is_seeded(self) -> bool:
        """Whether nothing is left to seed, or the admin masked the unit."""
        return self.seeding in (Seeding.NONE, Seeding.DONE, Seeding.MASKED)

    @property
    def is_done(self) -> bool:
        """Whether all enabled services are up and the stores are seeded."""
        return self.is_seeded and not self.having(Outlook.STARTING, Outlook.WAITING, Outlook.STUCK)

    @property
    def is_held_up(self) -> bool:
        """Whether something is stuck and nothing is starting any more.

        A waiting service may wait for a stuck one, or for another node: either way the stuck
        one remains.
        """
        is_moving = bool(self.having(Outlook.STARTING)) or self.seeding is Seeding.RUNNING
        is_stuck = bool(self.having(Outlook.STUCK)) or self.seeding in _ENDS
        return is_stuck and not is_moving

    @property
    def states(self) -> dict[str, str]:
        """The states to print as progress, by service, and by "stores" for seeding."""
        shown = {
            service.service: str(service)
            for service in self.services
            if service.outlook is not Outlook.OFF
        }
        return {"stores": self._seeding_words, **shown}

    @property
    def _seeding_words(self) -> str:
        words = _SEEDING_WORDS[self.seeding]
        return f"{words}: {self.holder.step}: {self.holder.detail}" if self.holder else words

    @property
    def _seeding_hint(self) -> str:
        if self.holder:
            return self.holder.remedy
        is_changed = self.seeding is Seeding.CHANGED
        return "sudo backendai-ctl seed apply" if is_changed else "backendai-ctl seed status"

    @property
    def obstacles(self) -> list[ServiceOutlook]:
        """The services that are not up, and the stores if not seeded; stuck services first."""
        found = sorted(
            self.having(Outlook.STUCK, Outlook.WAITING, Outlook.STARTING),
            key=lambda service: service.outlook is not Outlook.STUCK,
        )
        if not self.is_seeded:
            stores = ServiceOutlook(
                service="stores",
                outlook=Outlook.STUCK if self.seeding in _ENDS else Outlook.WAITING,
                reason=self._seeding_words,
                hint=self._seeding_hint,
            )
            found.append(stores)
        return found


# Waiting changes nothing.
_ENDS = (Seeding.STUCK, Seeding.CHANGED, Seeding.HELD)
_SEEDING_WORDS = {
    Seeding.NONE: "nothing to fill",
    Seeding.DONE: "filled",
    Seeding.RUNNING: "being filled",
    Seeding.RETRIED: "not filled yet, retried every 20 s",
    Seeding.STUCK: "not filled, and nothing retries it",
    Seeding.CHANGED: "filled, and site.toml, a configuration or a secret has changed since",
    Seeding.HELD: "not filled, and left to you",
    Seeding.MASKED: f"left to you: {SEED_UNIT} is masked",
}


def predict(view: HostView, node: NodeStatus) -> NodeOutlook:
    """Predict the outlook of each service of ``node``, which was read from the same ``view``."""
    seeding = predict_seeding(view)
    waiting = _waiting(view)
    return NodeOutlook(
        services=tuple(
            _service(view, service, seeding, is_noted=service.service in waiting)
            for service in node.services
        ),
        seeding=seeding,
        holder=held_by(view.layout) if seeding is Seeding.HELD else None,
    )


def _waiting(view: HostView) -> list[str]:
    try:
        return waiting_services(view.layout)
    except OSError:  # readable by root only
        return []


def predict_seeding(view: HostView) -> Seeding:
    """Predict whether the stores are seeded, or will be if nobody does anything."""
    unit = view.show(SEED_UNIT)
    if unit.get("LoadState") == "masked":
        return Seeding.MASKED
    try:
        state = load_state(view.layout)
    except TargetError:
        return Seeding.NONE  # the state cannot be read
    is_wanted = state is not None or _waiting(view) or any(view.layout.seed_data.glob("*"))
    if not is_wanted:
        return Seeding.NONE
    # Only root can detect whether the inputs of the last run have changed.
    is_done = is_complete(view.layout) if view.is_root else bool(state and state.get("complete"))
    if is_done:
        return Seeding.DONE
    return Seeding.RUNNING if _is_moving(unit) else _unfinished(view)


def _unfinished(view: HostView) -> Seeding:
    if view.is_root and held_by(view.layout) is not None:
        return Seeding.HELD
    if view.show(RETRY_UNIT).get("ActiveState") == "active":
        return Seeding.RETRIED
    state = load_state(view.layout)
    return Seeding.CHANGED if state and state.get("complete") else Seeding.STUCK


def _is_moving(unit: Mapping[str, str]) -> bool:
    """Whether systemd is starting or stopping the unit, or has a job for it in its queue."""
    return unit.get("ActiveState") in _MOVING or unit.get("Job", "") not in ("", "0")


def _service(
    view: HostView, status: ServiceStatus, seeding: Seeding, *, is_noted: bool
) -> ServiceOutlook:
    unit = view.units[status.service]
    problem = next((text for text in (status.needs, *status.problems) if text), "")
    outlook, reason, hint = Outlook.STUCK, problem, ""
    if not status.is_wanted:
        outlook, reason = Outlook.OFF, status.enabled
    elif status.is_up:
        outlook, reason = Outlook.UP, ""
    elif _is_moving(unit) or status.active == "active":
        outlook, reason = Outlook.STARTING, _motion(status, unit, problem)
    elif view.layout.failure_note(status.service).exists():
        outlook, reason, hint = _after_failed_upgrade(view, status.service)
    elif is_noted:
        outlook, reason, hint = _noted(seeding, problem)
        if outlook is Outlook.WAITING and problem and _recipe(view, status.service).sql:
            hint = f"by hand: sudo backendai-ctl steps {status.service}"
    else:
        reason, hint = _stuck(status, unit, problem)
    return ServiceOutlook(
        service=status.service, outlook=outlook, reason=" ".join(reason.split()), hint=hint
    )


def _recipe(view: HostView, service: str) -> Recipe:
    return next(recipe for recipe in view.recipes if recipe.service == service)


def _motion(status: ServiceStatus, unit: Mapping[str, str], problem: str) -> str:
    restarts = unit.get("NRestarts", "0")
    if restarts != "0":
        again = f"restarted {restarts} {'time' if restarts == '1' else 'times'}"
        return f"{again}; {problem}" if problem else again
    if status.active == "active":
        return f"does not answer on {status.address} yet"
    return ""


def _after_failed_upgrade(view: HostView, service: str) -> tuple[Outlook, str, str]:
    reason = "its database is not upgraded"
    if any(pending.service == service for pending in pending_upgrades(view.layout)):
        return Outlook.WAITING, f"{reason}; retried every 20 s", "sudo backendai-ctl seed apply"
    return Outlook.STUCK, reason, f"sudo backendai-ctl upgrade {service}"


def _noted(seeding: Seeding, problem: str) -> tuple[Outlook, str, str]:
    """Return the outlook of a service that the next seeding run starts once its stores work."""
    if seeding is Seeding.MASKED:
        return Outlook.STUCK, f"{SEED_UNIT} is masked", f"sudo systemctl unmask {SEED_UNIT}"
    if seeding in (Seeding.STUCK, Seeding.CHANGED):
        reason = problem or "its stores are not filled, and nothing retries it"
        return Outlook.STUCK, reason, "sudo backendai-ctl seed apply"
    if seeding is Seeding.HELD:
        return Outlook.STUCK, "its stores are not filled", "backendai-ctl seed status"
    return Outlook.WAITING, problem or "its stores are being filled", ""


def _stuck(status: ServiceStatus, unit: Mapping[str, str], problem: str) -> tuple[str, str]:
    if status.config.startswith("missing"):
        return "its configuration is missing", f"sudo backendai-ctl configure {status.service}"
    journal = f"journalctl -u {status.unit}"
    if status.active == "failed":
        return problem or f"failed ({unit.get('Result', 'unknown')})", journal
    return problem or "is not started", f"sudo systemctl start {status.unit}"
