"""The state of every installed service at a glance."""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.base.toml import shipped_table
from backendai_ctl.doctor.checks.host import package_versions
from backendai_ctl.doctor.host_view import Scene
from backendai_ctl.services.configure import Record
from backendai_ctl.services.recipe import Recipe
from backendai_ctl.stores.ports import answers
from backendai_ctl.stores.readiness import check_docker, check_needs, host_problems
from backendai_ctl.upgrade.pending import pending_upgrades

_WIDTH = 80


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """One service; ``is_up`` is what its users would say."""

    service: str
    version: str
    unit: str
    enabled: str
    active: str
    since: str
    address: str
    answers: bool | None
    config: str
    needs: str  # what it lacks; empty where it has all, or if that is unknown
    problems: tuple[str, ...] = ()

    @property
    def is_up(self) -> bool:
        """Running and answering."""
        return self.active == "active" and self.answers is not False

    @property
    def is_coming(self) -> bool:
        """Starting, and not answering yet."""
        return self.active in ("activating", "reloading")

    @property
    def is_wanted(self) -> bool:
        """Whether the admin wants it to run."""
        return self.enabled in ("enabled", "enabled-runtime")


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """All of this host."""

    services: tuple[ServiceStatus, ...]
    seeded: str
    addons: tuple[str, ...]
    hidden: tuple[str, ...] = field(default=())  # what only root can see

    @property
    def is_up(self) -> bool:
        """Every service that is enabled runs and answers."""
        return all(one.is_up for one in self.services if one.is_wanted)

    @property
    def verdict(self) -> str:
        """One line for a person."""
        down = [one.service for one in self.services if one.is_wanted and not one.is_up]
        coming = [one.service for one in self.services if one.is_wanted and one.is_coming]
        if down and down == coming:
            return f"starting: {', '.join(coming)}"
        if down:
            return f"down: {', '.join(down)}; see `backendai-ctl doctor`"
        if not any(one.is_wanted for one in self.services):
            return "no service is enabled on this host"
        count = sum(one.is_up for one in self.services)
        return f"up: {count} of {len(self.services)} services, all that are enabled"

    def as_table(self) -> dict[str, Any]:
        """For --json."""
        return {
            "up": self.is_up,
            "verdict": self.verdict,
            "services": [
                {**asdict(one), "up": one.is_up, "wanted": one.is_wanted} for one in self.services
            ],
            "seeded": self.seeded,
            "addons": list(self.addons),
            "hidden": list(self.hidden),
        }


def look(scene: Scene) -> NodeStatus:
    """Ask systemd, the ports, the stores and the files."""
    versions = package_versions(scene)
    hidden = () if scene.is_root else ("configuration", "stores", "ports")
    return NodeStatus(
        services=tuple(_service(scene, recipe, versions) for recipe in scene.recipes),
        seeded=_seeded(scene),
        addons=_addons(scene),
        hidden=() if _can_read(scene) else hidden,
    )


def _can_read(scene: Scene) -> bool:
    return scene.is_root or bool(scene.configs)


def _service(scene: Scene, recipe: Recipe, versions: Mapping[str, str]) -> ServiceStatus:
    state = scene.units[recipe.service]
    config = scene.configs.get(recipe.service)
    address, is_answering = "", None
    if recipe.listens and config:
        try:
            found = config.addresses(recipe.listens.key)[0]
            address, is_answering = str(found), answers(found)
        except TargetError as error:
            address = error.message
    is_active = state.get("ActiveState") == "active"
    return ServiceStatus(
        service=recipe.service,
        version=versions.get(f"backendai-{recipe.service}", ""),
        unit=unit_of(recipe.service),
        enabled=state.get("UnitFileState") or "unknown",
        active=state.get("ActiveState") or "unknown",
        since=_short_time(state.get("StateChangeTimestamp", "")),
        address=address,
        answers=is_answering,
        config=_config(scene, recipe),
        needs=_needs(scene, recipe) if config else "",
        problems=_problems(scene, recipe, is_active=is_active) if config else (),
    )


def _problems(scene: Scene, recipe: Recipe, *, is_active: bool) -> tuple[str, ...]:
    """What keeps a service down, or is left to do for one that runs."""
    found = _upgrade_problems(scene, recipe.service)
    if not is_active:
        found += host_problems(scene.layout, recipe)
    return tuple(found)


def _upgrade_problems(scene: Scene, service: str) -> list[str]:
    finish = f"sudo backendai-ctl upgrade {service}"
    failure = scene.layout.failure_note(service)
    pending = [one for one in pending_upgrades(scene.layout) if one.service == service]
    if failure.exists():
        reason = f": {failure.read_text(encoding='utf-8').strip()}" if scene.is_root else ""
        ends = (
            "It is tried again by itself; at once by: sudo backendai-ctl seed apply"
            if pending
            else f"Once fixed, run: {finish}"
        )
        return [f"its database is not upgraded{reason}\n{ends}"]
    if any(one.old_units() for one in pending):
        return ["runs the release from before; run: sudo backendai-ctl upgrade --pending"]
    return []


def _short_time(text: str) -> str:
    """ "Mon 2026-11-23 20:01:02 UTC" without day, seconds and zone."""
    words = text.split()
    return f"{words[1]} {words[2][:5]}" if len(words) > 2 else ""  # noqa: PLR2004


def _config(scene: Scene, recipe: Recipe) -> str:
    """As made, edited, missing; with what waits beside it."""
    states: set[str] = set()
    for config in recipe.configs:
        path = scene.layout.etc / config.file
        try:
            if not path.exists():
                states.add("missing")
                continue
            if path.with_name(f"{path.name}.new").exists():
                states.add("new")
            record = Record.load(scene.layout.generated / config.file)
            states.add("edited" if record is None or not record.is_unedited(path) else "made")
        except PermissionError:
            return "unseen"
    order = [one for one in ("missing", "edited", "new") if one in states]
    return "+".join(order) or "made"


def _needs(scene: Scene, recipe: Recipe) -> str:
    try:
        if recipe.needs.docker:
            check_docker(scene.layout)
        check_needs(scene.layout, recipe)
    except TargetError as error:
        return error.message
    except ImportError:
        return ""
    return ""


def _seeded(scene: Scene) -> str:
    """What the last run of seeding came to; empty where nothing here is seeded."""
    # Only where the tool for it is there and the stores are filled from this node.
    from backendai_ctl.seed.state import is_complete, load_state  # noqa: PLC0415

    try:
        state = load_state(scene.layout)
    except TargetError:
        return "unseen"
    if state is None:
        return ""
    # Whether something has changed since then, only root can see.
    is_done = is_complete(scene.layout) if scene.is_root else state.get("complete")
    return "complete" if is_done else "not complete: see backendai-ctl seed status"


def _addons(scene: Scene) -> tuple[str, ...]:
    found = []
    for path in sorted((scene.layout.addons).glob("*.toml")):
        try:
            with shipped_table(path, "the add-on's package") as table:
                found.append(str(table["name"]))
        except TargetError:
            found.append(f"{path.stem} (broken)")
    return tuple(found)


def render(node: NodeStatus) -> str:
    """A table for 80 columns, and a line for each thing that is not as it should be."""
    head = ("SERVICE", "VERSION", "UNIT", "SINCE", "PORT", "CONFIG")
    rows = [head, *(_row(one) for one in node.services)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for one in node.services:
        found = (one.needs, *one.problems)
        for text in dict.fromkeys(found):
            lines += _wrapped(f"{one.service}: {text}") if text else []
    if node.seeded:
        lines.append(f"seeded: {node.seeded}")
    if node.addons:
        lines.append(f"add-ons: {', '.join(node.addons)}")
    if node.hidden:
        lines.append(f"as root you would see, too: {', '.join(node.hidden)}")
    return "\n".join([*lines, node.verdict]) + "\n"


def _wrapped(text: str) -> list[str]:
    """Lines for 80 columns; paths and commands stay whole."""
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _row(one: ServiceStatus) -> tuple[str, ...]:
    active = one.active if one.is_wanted else f"{one.active}, {one.enabled}"
    answering = {True: "answers", False: "silent", None: "-"}[one.answers]
    return (one.service, one.version, active, one.since, answering, one.config)
