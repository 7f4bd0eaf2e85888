"""The result of the last seeding run, kept on this host for `seed status` and others."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import Writer, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.model import Finding, State, StepResult

_FILE = "state.json"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of each step of one run, and whether nothing is left to do."""

    complete: bool
    results: Sequence[StepResult]
    notes: Sequence[str] = ()
    seconds: float = 0.0


def save_report(layout: Layout, report: Report) -> None:
    """Write the state file; HostError if the disk refuses it."""
    table = {
        "complete": report.complete,
        "digest": digest(layout),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(report.seconds, 1),
        "notes": list(report.notes),
        "steps": [result.as_table() for result in report.results],
    }
    owner = private_writer().owner
    writer = Writer(owner=Owner(uid=owner.uid, gid=owner.gid), mode=0o644)
    writer.replace(layout.seed_state / _FILE, json.dumps(table, indent=1) + "\n")


def load_state(layout: Layout) -> dict[str, Any] | None:
    """Return the state file's content; None if there is no readable one."""
    try:
        text = (layout.seed_state / _FILE).read_text(encoding="utf-8")
        table = json.loads(text)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"cannot read {error.filename}: {error.strerror}") from error
    except ValueError:
        return None
    return table if isinstance(table, dict) else None


def is_first(layout: Layout, service: str) -> bool:
    """Whether no run on this host has come to the steps of ``service``."""
    return all(result.group != service for result in results_of(load_state(layout) or {}))


def results_of(state: Mapping[str, Any]) -> list[StepResult]:
    """Return the result of each step in a state from ``load_state``."""
    return [StepResult.from_table(step) for step in state.get("steps") or ()]


def is_complete(layout: Layout) -> bool:
    """Whether the last run left nothing to do and everything that it depends on is unchanged."""
    state = load_state(layout)
    return bool(state and state.get("complete") and state.get("digest") == digest(layout))


def digest(layout: Layout) -> str:
    """Return a digest of everything on this host that a run depends on."""
    folders = (layout.recipes, layout.seed_data)
    paths = [path for folder in folders for path in folder.glob("*.toml")]
    paths += layout.addon_files()
    paths += [path for path in layout.etc.glob("*.*") if path.suffix in (".toml", ".conf", ".ini")]
    paths += layout.secrets.glob("*")
    summed = hashlib.sha256()
    for path in sorted(paths):
        summed.update(f"{path}\0".encode())
        summed.update(_content(path))
    return summed.hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def failed(results: Sequence[StepResult]) -> bool:
    """Whether a step reports that something is still missing."""
    return any(result.state in (State.WAITING, State.CREATE) for result in results)


def held_by(layout: Layout) -> StepResult | None:
    """Return the step that keeps others from running until an admin decides, if there is one.

    None, too, if anything that the run depended on has changed since, or cannot be read.
    """
    state = load_state(layout)
    if state is None or state.get("digest") != digest(layout):
        return None
    results = results_of(state)
    blockers = {result.detail for result in results if result.is_blocked}
    for result in results:
        if result.state is State.DIFFERS and Finding.blocked_by(result.step).detail in blockers:
            return result
    return None
