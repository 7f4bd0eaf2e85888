"""The view of a host that the checks use: this host or, in a test, a made-up tree and answers."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from backendai_ctl.base.account import ACCOUNT, Owner, is_root
from backendai_ctl.base.errors import NotReadyError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import Done, run_program
from backendai_ctl.base.systemd import UNIT_SECONDS, control, show_units, unit_of
from backendai_ctl.services.recipe import Recipe, installed_services, load_recipe
from backendai_ctl.services.volumes import mount_problems
from backendai_ctl.stores.service_config import ServiceConfig

if TYPE_CHECKING:
    from backendai_ctl.answers.site import Site

Run = Callable[[Sequence[str]], Done]
_SECONDS = 20.0


def run_bounded(command: Sequence[str]) -> Done:
    """Run a program; return status 127 if it cannot be run or takes too long."""
    try:
        return run_program(command, seconds=_SECONDS)
    except NotReadyError as error:
        return Done(status=127, stdout="", stderr=error.message)


def control_unit(action: str, unit: str) -> str:
    """Start or stop a unit, and wait for it; return why that failed, or an empty text."""
    return control(action, unit, seconds=UNIT_SECONDS)


def find_account() -> Owner | None:
    """Return the account; None if the host has none."""
    try:
        return Owner.account()
    except TargetError:
        return None


@dataclass(frozen=True)
class HostView:
    """One host. Values that several checks need are read once."""

    layout: Layout
    run: Run = run_bounded
    show_units: Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]] = show_units
    control: Callable[[str, str], str] = control_unit
    account: Owner | None = field(default_factory=find_account)
    is_root: bool = field(default_factory=is_root)

    def show(self, unit: str) -> Mapping[str, str]:
        """Return the properties that systemd reports for a unit."""
        return self.show_units([unit]).get(unit, {})

    def path(self, name: str) -> Path:
        """Return the real path of an absolute path of the host."""
        return self.layout.place(name)

    def shown(self, path: Path) -> str:
        """Return the path as the admin sees it."""
        return "/" + os.fspath(path.relative_to(self.layout.root))

    @cached_property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipes of all installed services."""
        return tuple(
            load_recipe(self.layout, service) for service in installed_services(self.layout)
        )

    @cached_property
    def site(self) -> "Site | None":
        """The answers; None if they are wrong or may not be read, which a check reports."""
        # Few commands read them, and the editor of TOML below takes time to import.
        from backendai_ctl.answers.site import load_site  # noqa: PLC0415

        try:
            return load_site(self.layout)
        except TargetError:
            return None

    def answer(self, name: str) -> str:
        """Return an answer as text; empty if there is none."""
        return str(self.site[name]) if self.site else ""

    @cached_property
    def units(self) -> Mapping[str, Mapping[str, str]]:
        """The properties that systemd reports for each service's unit."""
        names = {recipe.service: unit_of(recipe.service) for recipe in self.recipes}
        states = self.show_units(list(names.values()))
        return {service: states.get(unit, {}) for service, unit in names.items()}

    def is_active(self, service: str) -> bool:
        """Whether the unit of the service runs."""
        return self.units.get(service, {}).get("ActiveState") == "active"

    def runs_replaced(self, service: str) -> bool:
        """Whether the service runs a program that an upgrade has replaced: an older runtime."""
        pid = self.units.get(service, {}).get("MainPID", "0")
        try:
            return self.path(f"/proc/{pid}/exe").readlink().name.endswith(" (deleted)")
        except OSError:  # not running, or only root may look
            return False

    @cached_property
    def configs(self) -> Mapping[str, ServiceConfig]:
        """The configuration that each service reads; without those that cannot be read."""
        found: dict[str, ServiceConfig] = {}
        for recipe in self.recipes:
            try:
                found[recipe.service] = ServiceConfig.load(self.layout, recipe)
            except TargetError:
                continue
        return found

    @cached_property
    def mount_problems(self) -> Mapping[str, str]:
        """What is wrong with the mount of each volume, by its path."""
        return mount_problems(self.layout)

    @property
    def account_name(self) -> str:
        """The name of the account."""
        return ACCOUNT
