"""Gates: what must hold of an environment before anybody installs it.

Every module imports, every console script prints its help, and the release reads every key
that the packages write into its configuration. Failures are facts about the environment;
which of them are known is decided by the caller.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from builder.stage.entry_points import entry_points
from builder.stage.imports import Environment, find_modules, import_modules, run_worker

_WORKER = Path(__file__).with_name("_gate_worker.py")
_NO_ANSWER = "ended the interpreter"


def failing_modules(environment: Environment, work: Path, *, jobs: int) -> dict[str, str]:
    """Import all modules of the environment's own folder, which is its first.

    Returns those that fail, with their errors. What lies below has gates of its own.
    """
    modules = find_modules(environment.sites[:1])
    found = import_modules(environment, modules, work, jobs=jobs)
    return {module: error for module, error in found.items() if error}


def console_scripts(sites: Sequence[Path]) -> dict[str, str]:
    """Return the console scripts of all distributions: name to MODULE:FUNCTION."""
    return {
        name: entry.partition("[")[0].strip()
        for site in sites
        for name, entry in entry_points(site, "console_scripts")
    }


def failing_scripts(
    environment: Environment, scripts: Mapping[str, str], work: Path, *, jobs: int
) -> dict[str, str]:
    """Run each script with ``--help``; returns those that fail with the reason."""
    found: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        runs = [
            pool.submit(
                _ask, environment, {"entry": entry, "script": name}, work / f"script-{number}"
            )
            for number, (name, entry) in enumerate(sorted(scripts.items()))
        ]
        for (name, _), done in zip(sorted(scripts.items()), runs, strict=True):
            answer = done.result()
            found |= {name: _NO_ANSWER} if answer is None else answer
    return found


def unread_keys(
    environment: Environment, model: str, keys: Sequence[str], work: Path
) -> dict[str, str]:
    """Return those of ``keys`` that no field of the model reads, with the reason."""
    answer = _ask(environment, {"model": model, "keys": sorted(keys)}, work / "keys")
    return {model: _NO_ANSWER} if answer is None else answer


def _ask(environment: Environment, asked: object, work: Path) -> dict[str, str] | None:
    """Ask a process of the environment; None if it did not answer."""
    out = run_worker(environment, _WORKER, {"ask": asked}, work)
    if not out.is_file():
        return None
    answer: dict[str, str] = json.loads(out.read_text(encoding="utf-8"))
    return answer
