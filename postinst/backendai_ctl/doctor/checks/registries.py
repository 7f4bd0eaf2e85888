"""Checks the image registries: their answers in site.toml, and whether they let this site in."""

from collections.abc import Iterator

from backendai_ctl.base.errors import SiteError
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, note, warning
from backendai_ctl.registries.advise import local_problems
from backendai_ctl.registries.ask import Outcome, ask_registry
from backendai_ctl.registries.model import Registry, registries_of
from backendai_ctl.registries.trust import docker_authority, read_ca
from backendai_ctl.services.authorities import system_bundle

_SCANS = "manager"
_PULLS = "agent"


def check_registries(view: HostView) -> Iterator[Finding]:
    """Check that each registry can work, and answers if this node scans or pulls from it."""
    services = {recipe.service for recipe in view.recipes}
    if view.site is None or not services & {_SCANS, _PULLS}:
        return
    try:
        registries = registries_of(view.site)
    except SiteError as problem:
        for line in problem.problems:
            yield error(line, str(view.layout.site), "edit the file")
        return
    for registry in registries:
        found = list(_look_at(view, registry))
        yield from found
        if not found and not registry.is_local:
            yield from _ask(view, registry, is_manager=_SCANS in services)


def _look_at(view: HostView, registry: Registry) -> Iterator[Finding]:
    for where, reason in local_problems(view.layout, registry):
        remedy = "correct it, then: sudo backendai-ctl seed apply"
        yield error(reason, f"site.toml: {where}", remedy)


def _ask(view: HostView, registry: Registry, *, is_manager: bool) -> Iterator[Finding]:
    authority = read_ca(view.layout, registry)
    verdict = ask_registry(registry, authority, bundle=system_bundle(view.layout))
    where = f"site.toml: [{registry.section}]"
    again = "then: sudo backendai-ctl seed apply"
    if verdict.outcome is Outcome.UNREACHABLE:
        # Nobody asked for the default registry, and images that are here already continue to work.
        report = note if registry.is_default else warning
        yield report(verdict.says, where, verdict.remedy)
    elif verdict.outcome is Outcome.REFUSED and not is_manager and not registry.user:
        return  # the manager passes the password on, so only its node needs it
    elif verdict.outcome is not Outcome.FINE:
        yield error(verdict.says, where, f"{verdict.remedy}; {again}")
    if authority and _PULLS in {recipe.service for recipe in view.recipes}:
        yield from _check_docker(view, registry, authority)


def _check_docker(view: HostView, registry: Registry, authority: str) -> Iterator[Finding]:
    path = docker_authority(view.layout, registry.name)
    try:
        found = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        found = ""
    if authority not in found:
        yield error(
            f"Docker does not check {registry.name} by {registry.section}.ca",
            view.shown(path),
            "sudo backendai-ctl seed apply, or add the certificates to your own file",
        )
