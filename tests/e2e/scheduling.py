"""Which cases share a worker, and which come first: those of one host, and the longest.

pytest-xdist's ``xdist_group`` marks have no effect with pytest 9.2: xdist 3.8 writes them into
an attribute of an item that pytest no longer has, and says nothing.
"""

import re
from collections.abc import Mapping, Sized

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Modules whose cases share one single node of each kind; a case names its kind first.
_SHARED = tuple(f"tests/e2e/test_{name}.py" for name in ("isolation", "person", "single_node"))
_KIND = re.compile(r"\[([a-z]+)")
# What the long ones of `.ci/run` take, in seconds of a worker, as its last lines say. One that is
# begun last leaves the other workers without work until it ends.
_SECONDS = {
    "single node, rpm": 490,
    "single node, trixie": 470,
    "tests/integration/test_seed.py": 250,
    "tests/integration/test_repo_apt.py": 170,
    "tests/integration/test_deb.py": 160,
    "tests/integration/test_doctor.py": 120,
    "tests/integration/test_upgrade.py": 100,
    "tests/integration/test_volumes.py": 100,
    "tests/integration/test_plugins.py": 90,
    "tests/integration/test_repo_rpm.py": 80,
    "tests/integration/test_lint.py": 50,
    "tests/integration/test_repo_targets.py": 50,
    "tests/integration/test_answers.py": 40,
    "tests/integration/test_rpm.py": 30,
}


def host_of(case: str) -> str:
    """The scope of a case, by its node id: the kind of the shared node, or its module. Pure."""
    module = case.partition("::")[0]
    kind = _KIND.search(case)
    return f"single node, {kind[1]}" if module in _SHARED and kind else module


def longest(waiting: Mapping[str, Sized]) -> str:
    """The host whose cases take longest, of hosts and their cases; else that with most. Pure."""
    return max(waiting, key=lambda host: (_SECONDS.get(host, 0), len(waiting[host])))


class HostScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Sends all cases of one host to one worker, the longest first."""

    def _split_scope(self, nodeid: str) -> str:
        return host_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(longest(self.workqueue), last=False)
        super()._assign_work_unit(node)
