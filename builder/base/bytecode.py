"""Bytecode for a whole tree, made by the Python that will run it.

Unchecked-hash pycs, because a package's files all get one timestamp and root's
read-only tree can never be recompiled in place.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from builder.base import log, run
from builder.base.errors import PayloadError

_WORKER = Path(__file__).with_name("_compile_worker.py")

# No set may iterate in a random order while it is written out (before 3.11 it did),
# and no file of the tree may be imported by the compiler. -I would do the second
# and undo the first; the environment is small and set here, so -s is enough.
_FLAGS = ("-s", "-S", "-B", "-X", "utf8", "-W", "ignore")
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}


def compile_tree(python: Path, root: Path, *, jobs: int) -> int:
    """Compile every source below ``root`` by ``python``; returns how many there were.

    The bytes depend on the sources, their paths below ``root`` and Python's version
    alone. A file that is no valid Python (a template, a leftover of Python 2) gets
    no bytecode; ``-v`` names it.
    """
    files = _find_sources(root)
    chunks = [chunk for index in range(jobs) if (chunk := files[index::jobs])]
    with ThreadPoolExecutor(max_workers=max(len(chunks), 1)) as pool:
        return sum(pool.map(lambda chunk: _compile(python, root, chunk), chunks))


def _find_sources(root: Path) -> list[str]:
    """Every source, large to small: dealt out in turn, all workers end together."""
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if name.endswith(".py") and path.is_file():
                found.append((-path.stat().st_size, os.fspath(path.relative_to(root))))
    return [name for _, name in sorted(found)]


def _compile(python: Path, root: Path, files: list[str]) -> int:
    result = run.run(
        [python, *_FLAGS, _WORKER],
        env=_ENVIRONMENT,
        stdin=json.dumps({"root": os.fspath(root), "files": files}),
    )
    try:
        answer = json.loads(result.stdout)
    except json.JSONDecodeError as error:
        raise PayloadError(
            f"{python}: the bytecode compiler answered {result.stdout[-200:]!r}"
        ) from error
    for name, reason in answer["skipped"]:
        log.detail(f"no bytecode for {name}: {reason}")
    return int(answer["compiled"])
