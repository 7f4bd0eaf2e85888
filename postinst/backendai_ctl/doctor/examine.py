"""Runs every check, fixes what is safe to fix, and checks again."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from backendai_ctl.base.errors import TargetError
from backendai_ctl.doctor.checks import (
    cluster,
    host,
    listeners,
    members,
    open_stores,
    outgoing,
    registries,
    rpc,
    runner,
    seeding,
    settings,
    tls,
    units,
    volumes,
)
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, Severity, error

Check = Callable[[HostView], Iterable[Finding]]

CHECKS: dict[str, Check] = {
    "site": settings.check_site,
    "account": settings.check_account,
    "configuration": settings.check_configurations,
    "hidden": settings.check_hidden_files,
    "files": host.check_files,
    "unit": units.check_units,
    "store": units.check_stores,
    "member": members.check_members,
    "seed": seeding.check_seeding,
    "peer": units.check_peers,
    "docker": units.check_engine,
    "registry": registries.check_registries,
    "runner": runner.check_runner_volumes,
    "volume": volumes.check_volume,
    "rpc": rpc.check_rpc,
    "open-store": open_stores.check_open_stores,
    "listener": listeners.check_listeners,
    "port": outgoing.check_outgoing,
    "tls": tls.check_tls,
    "guard": units.check_guards,
    "clock": cluster.check_clock,
    "nodes": cluster.check_nodes,
    "room": host.check_room,
    "version": host.check_versions,
}
_CLEAN = 0
_WARNINGS = 3
_ERRORS = 4


def examine(view: HostView, checks: dict[str, Check] | None = None) -> list[Finding]:
    """Return the findings of all checks, the worst first; a failing check is one, too."""
    found: list[Finding] = []
    for name, check in (CHECKS if checks is None else checks).items():
        try:
            found += [dataclasses.replace(finding, check=name) for finding in check(view)]
        except (TargetError, OSError) as problem:
            remedy = "this is a fault of backendai-ctl, or the host is out of something"
            found.append(error(f"could not look: {problem}", name, remedy, check=name))
    return sorted(found, key=lambda finding: finding.severity)


def fix_findings(findings: Sequence[Finding]) -> tuple[list[str], list[str]]:
    """Apply every safe remedy; return what was fixed, and what could not be."""
    done: list[str] = []
    failed: list[str] = []
    for finding in findings:
        if finding.fix is None:
            continue
        try:
            done.append(finding.fix())
        except (TargetError, OSError) as problem:
            failed.append(f"{finding.where}: {problem}")
    return done, failed


def exit_status(findings: Sequence[Finding]) -> int:
    """Return 0 for nothing but notes, 3 for warnings, 4 for errors."""
    worst = min((finding.severity for finding in findings), default=Severity.NOTE)
    return {Severity.ERROR: _ERRORS, Severity.WARNING: _WARNINGS}.get(worst, _CLEAN)
