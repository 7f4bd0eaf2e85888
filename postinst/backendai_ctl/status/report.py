"""The state of every installed service at a glance."""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.base.text import table_of
from backendai_ctl.base.toml import shipped_table
from backendai_ctl.doctor.checks.host import package_versions
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.services.recipe import Recipe
from backendai_ctl.services.record import Record
from backendai_ctl.stores.ports import answers
from backendai_ctl.stores.readiness import check_docker, check_needs, host_problems
from backendai_ctl.upgrade.pending import pending_upgrades

_WIDTH = 80
_MOVING = ("activating", "reloading")


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """One service; ``is_up`` is the view of its users."""

    service: str
    version: str
    unit: str
    enabled: str
    active: str
    since: str
    address: str
    answers: bool | None
    config: str
    needs: str  # what it lacks; empty if it has everything, or if that is unknown
    remedy: str = ""  # of what it lacks
    problems: tuple[str, ...] = ()
    mounted: bool = True  # whether every volume that it needs is there

    @property
    def is_up(self) -> bool:
        """Whether it runs, answers and has its volumes."""
        return self.active == "active" and self.answers is not False and self.mounted

    @property
    def is_coming(self) -> bool:
        """Whether it is starting and does not answer yet."""
        return self.active in _MOVING

    @property
    def is_wanted(self) -> bool:
        """Whether the admin wants it to run."""
        return self.enabled in ("enabled", "enabled-runtime")


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """The state of this host."""

    services: tuple[ServiceStatus, ...]
    seeded: str
    addons: tuple[str, ...]
    hidden: tuple[str, ...] = field(default=())  # parts that only root can see

    @property
    def is_up(self) -> bool:
        """Whether every enabled service runs and answers."""
        return all(service.is_up for service in self.services if service.is_wanted)

    @property
    def verdict(self) -> str:
        """The state in one line for a person."""
        down = [
            service.service for service in self.services if service.is_wanted and not service.is_up
        ]
        coming = [
            service.service for service in self.services if service.is_wanted and service.is_coming
        ]
        if down and down == coming:
            return f"starting: {', '.join(coming)}"
        if down:
            return f"down: {', '.join(down)}; see `backendai-ctl doctor`"
        if not any(service.is_wanted for service in self.services):
            return "no service is enabled on this host"
        count = sum(service.is_up for service in self.services)
        return f"up: {count} of {len(self.services)} services, all that are enabled"

    def as_table(self) -> dict[str, Any]:
        """Return the state for --json."""
        return {
            "up": self.is_up,
            "verdict": self.verdict,
            "services": [
                {**asdict(service), "up": service.is_up, "wanted": service.is_wanted}
                for service in self.services
            ],
            "seeded": self.seeded,
            "addons": list(self.addons),
            "hidden": list(self.hidden),
        }


def inspect_node(view: HostView) -> NodeStatus:
    """Read the state from systemd, the ports, the stores and the files."""
    versions = package_versions(view)
    hidden = () if view.is_root else ("configuration", "stores", "ports")
    return NodeStatus(
        services=tuple(_service(view, recipe, versions) for recipe in view.recipes),
        seeded=_seeded(view),
        addons=_addons(view),
        hidden=() if _can_read(view) else hidden,
    )


def _can_read(view: HostView) -> bool:
    return view.is_root or bool(view.configs)


def _service(view: HostView, recipe: Recipe, versions: Mapping[str, str]) -> ServiceStatus:
    state = view.units[recipe.service]
    config = view.configs.get(recipe.service)
    address, is_answering = "", None
    if recipe.listens and config:
        try:
            found = config.addresses(recipe.listens.key)[0]
            address, is_answering = str(found), answers(found)
        except TargetError as error:
            address = error.message
    is_active = state.get("ActiveState") == "active"
    lost = tuple(view.mount_problems.values()) if recipe.health.volumes else ()
    needs, remedy = _needs(view, recipe) if config and not lost else ("", "")
    return ServiceStatus(
        service=recipe.service,
        version=versions.get(f"backendai-{recipe.service}", ""),
        unit=unit_of(recipe.service),
        enabled=state.get("UnitFileState") or "unknown",
        active=state.get("ActiveState") or "unknown",
        since=_short_time(state.get("StateChangeTimestamp", "")),
        address=address,
        answers=is_answering,
        config=_config(view, recipe),
        needs=needs,
        remedy=remedy,
        problems=(*lost, *(_problems(view, recipe, is_active=is_active) if config else ())),
        mounted=not lost,
    )


def _problems(view: HostView, recipe: Recipe, *, is_active: bool) -> tuple[str, ...]:
    """Return the reasons why a service is down, or the work that is left for a running one."""
    found = _upgrade_problems(view, recipe.service)
    if is_active and not found and view.runs_replaced(recipe.service):
        found = [f"runs on an older runtime; run: sudo systemctl restart {unit_of(recipe.service)}"]
    if not is_active:
        is_moving = view.units[recipe.service].get("ActiveState") in _MOVING
        found += host_problems(view.layout, recipe, runs=is_moving)
    return tuple(found)


def _upgrade_problems(view: HostView, service: str) -> list[str]:
    finish = f"sudo backendai-ctl upgrade {service}"
    failure = view.layout.failure_note(service)
    pending = [upgrade for upgrade in pending_upgrades(view.layout) if upgrade.service == service]
    if failure.exists():
        reason = f": {failure.read_text(encoding='utf-8').strip()}" if view.is_root else ""
        ends = (
            "It is tried again by itself; at once by: sudo backendai-ctl seed apply"
            if pending
            else f"Once fixed, run: {finish}"
        )
        return [f"its database is not upgraded{reason}\n{ends}"]
    if any(upgrade.old_units() for upgrade in pending):
        return ["runs the release from before; run: sudo backendai-ctl upgrade --pending"]
    return []


def _short_time(text: str) -> str:
    """Return the date and the minute of "Mon 2026-11-23 20:01:02 UTC"."""
    words = text.split()
    return f"{words[1]} {words[2][:5]}" if len(words) > 2 else ""  # noqa: PLR2004


def _config(view: HostView, recipe: Recipe) -> str:
    """Return whether the files are made, edited or missing, and whether a new one waits."""
    states: set[str] = set()
    for config in recipe.configs:
        path = view.layout.etc / config.file
        try:
            if not path.exists():
                states.add("missing")
                continue
            if path.with_name(f"{path.name}.new").exists():
                states.add("new")
            record = Record.load(view.layout.generated / config.file)
            states.add("edited" if record is None or not record.is_unedited(path) else "made")
        except PermissionError:
            return "unseen"
    order = [state for state in ("missing", "edited", "new") if state in states]
    return "+".join(order) or "made"


def _needs(view: HostView, recipe: Recipe) -> tuple[str, str]:
    """Return what the service lacks, and the remedy."""
    try:
        if recipe.needs.docker:
            check_docker(view.layout)
        check_needs(view.layout, recipe)
    except TargetError as error:
        return error.message, error.hint or ""
    except ImportError:
        return "", ""
    return "", ""


def _seeded(view: HostView) -> str:
    """Return the result of the last seeding run; empty if this host seeds nothing."""
    # Only if the seeding tool is installed and this node seeds the stores.
    from backendai_ctl.seed.state import is_complete, load_state  # noqa: PLC0415

    try:
        state = load_state(view.layout)
    except TargetError:
        return "unseen"
    if state is None:
        return ""
    # Only root can detect whether something has changed since then.
    is_done = is_complete(view.layout) if view.is_root else state.get("complete")
    return "complete" if is_done else "not complete: see backendai-ctl seed status"


def _addons(view: HostView) -> tuple[str, ...]:
    found = []
    for path in view.layout.addon_files():
        try:
            with shipped_table(path, "the add-on's package") as table:
                found.append(str(table["name"]))
        except TargetError:
            found.append(f"{path.stem} (broken)")
    return tuple(found)


def render(node: NodeStatus) -> str:
    """Return a table for 80 columns, and a line for each deviation."""
    head = ("SERVICE", "VERSION", "UNIT", "SINCE", "PORT", "CONFIG")
    rows = [head, *(_row(service) for service in node.services)]
    lines = table_of(rows)
    for service in node.services:
        needs = f"{service.needs}; {service.remedy}" if service.remedy else service.needs
        found = (needs, *service.problems)
        for text in dict.fromkeys(found):
            lines += _wrapped(f"{service.service}: {text}") if text else []
    if node.seeded:
        lines.append(f"seeded: {node.seeded}")
    if node.addons:
        lines.append(f"add-ons: {', '.join(node.addons)}")
    if node.hidden:
        lines.append(f"as root you would see, too: {', '.join(node.hidden)}")
    return "\n".join([*lines, node.verdict]) + "\n"


def _wrapped(text: str) -> list[str]:
    """Wrap text for 80 columns; paths and commands stay whole."""
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _row(service_status: ServiceStatus) -> tuple[str, ...]:
    active = (
        service_status.active
        if service_status.is_wanted
        else f"{service_status.active}, {service_status.enabled}"
    )
    answering = {True: "answers", False: "silent", None: "-"}[service_status.answers]
    return (
        service_status.service,
        service_status.version,
        active,
        service_status.since,
        answering,
        service_status.config,
    )
