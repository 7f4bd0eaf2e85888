"""Imports every module of an environment, as the target's Python would.

Two uses: no prune rule may change what can be imported, and a service should be able to
import whatever its wheels have, except for modules with a known reason.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.run import run
from builder.stage.linking import files_below

_WORKER = Path(__file__).with_name("_import_worker.py")
_MODULE = re.compile(r"(?P<stem>[^./]+)\.(?:py|(?P<binary>cpython-\d+[^/]*\.so|abi3\.so|so))")
_PROGRAM = "__main__"  # importing it runs a program
_INIT = "__init__"
_BYTECODE = "__pycache__"
_SECONDS = 60.0  # for one module
_WAIT = 600.0
_GROUP_PARTS = 3  # modules of one group of packages are imported by one process


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A Python that runs on this host, and the folders of distributions that it sees."""

    python: Path
    sites: Sequence[Path]  # in the order in which they are searched
    seconds: float = _SECONDS  # of the processor that a module may take
    wait: float = _WAIT  # seconds for one that waits, or for a busy machine


def find_modules(sites: Sequence[Path]) -> list[str]:
    """Return the name of every module below the folders, sorted, except programs.

    Modules of test folders are among them, and modules that only another program finds by
    their files, as Alembic does.
    """
    found = {name for site in sites for name in _modules_below(site)}
    return sorted(found)


def import_modules(
    environment: Environment, modules: Sequence[str], work: Path, *, jobs: int
) -> dict[str, str]:
    """Import each of the modules; returns each with its error, which is empty if it has none.

    Modules that fail are tried again alone: an earlier one may have changed the interpreter.
    ``work`` is a scratch folder, which is also their home.
    """
    groups: list[list[str]] = [[] for _ in range(jobs)]
    for module in modules:
        group = ".".join(module.split(".")[:_GROUP_PARTS])
        groups[zlib.crc32(group.encode()) % jobs].append(module)
    found: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        runs = [
            pool.submit(_import_group, environment, group, work / f"{number}")
            for number, group in enumerate(groups)
        ]
        for done in runs:
            found |= done.result()
        failed = sorted(module for module, error in found.items() if error)
        again = [
            pool.submit(
                _run_worker, environment, failed[number::jobs], work / f"{number}", alone=True
            )
            for number in range(jobs)
        ]
        for second in again:
            found |= second.result()[0]
    return {module: found[module] for module in modules}


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return a line for each module that ``after`` imports in another way than ``before``.

    Modules that only ``before`` has were removed, and are not looked at.
    """
    return [
        f"{module}: {error or 'imported'}; before: {before[module] or 'imported'}"
        for module, error in after.items()
        if error != before[module]
    ]


def run_worker(
    environment: Environment, worker: Path, task: Mapping[str, object], work: Path
) -> Path:
    """Run a script with the environment's Python; returns the file that it was asked to write.

    The script gets ``task`` with the folders of distributions, ``out`` and ``seconds`` as JSON.
    It may end before it has written. ``work`` is its home.
    """
    work.mkdir(parents=True, exist_ok=True)
    out = work / "results"
    out.unlink(missing_ok=True)
    whole = {
        **task,
        "sites": [str(site) for site in environment.sites],
        "out": str(out),
        "seconds": environment.seconds,
        "wait": environment.wait,
    }
    command = [str(environment.python), "-I", "-S", "-B", str(worker)]
    own = {"HOME": str(work), "TMPDIR": str(work), "PATH": "/usr/bin:/bin"}
    run(command, cwd=work, env=own, check=False, stdin=json.dumps(whole))
    return out


def _modules_below(site: Path) -> Iterator[str]:
    for path in files_below(site):
        *folders, name = path.split("/")
        match = _MODULE.fullmatch(name)
        if match is None or any("." in folder or folder == _BYTECODE for folder in folders):
            continue
        stem = match["stem"]
        if match["binary"] and f"PyInit_{stem}".encode() not in (site / path).read_bytes():
            continue  # a library that is loaded by its file
        parts = folders if stem == _INIT else [*folders, stem]
        if parts and stem != _PROGRAM:
            yield ".".join(parts)


def _import_group(environment: Environment, modules: Sequence[str], work: Path) -> dict[str, str]:
    """Import modules in one process; one that ends the process is noted, and the rest goes on."""
    found: dict[str, str] = {}
    left = list(modules)
    while left:
        done, fatal = _run_worker(environment, left, work, alone=False)
        found |= done
        if fatal is not None:
            log.detail(f"imports: {fatal} ended the interpreter")
            found[fatal] = "ended the interpreter"
        elif not done:
            raise AssertionError(f"the import worker did nothing of {left[:3]}")
        left = [module for module in left if module not in found]
    return found


def _run_worker(
    environment: Environment, modules: Sequence[str], work: Path, *, alone: bool
) -> tuple[dict[str, str], str | None]:
    """Run one worker; returns errors by module, and the module that it did not survive."""
    if not modules:
        return {}, None
    task = {"modules": list(modules), "alone": alone}
    out = run_worker(environment, _WORKER, task, work)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    done = {row["module"]: row["error"] for row in rows if "module" in row}
    begun = rows[-1].get("begun") if rows else None
    return done, begun
