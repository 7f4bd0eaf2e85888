"""Which cases share a worker: those that share a host.

pytest-xdist's ``xdist_group`` marks have no effect with pytest 9.2: xdist 3.8 writes them into
an attribute of an item that pytest no longer has, and says nothing.
"""

import re

from xdist.scheduler import LoadScopeScheduling

# Modules whose cases share one single node of each kind; a case names its kind first.
_SHARED = tuple(f"tests/e2e/test_{name}.py" for name in ("isolation", "person", "single_node"))
_KIND = re.compile(r"\[([a-z]+)")


def host_of(case: str) -> str:
    """The scope of a case, by its node id: the kind of the shared node, or its module. Pure."""
    module = case.partition("::")[0]
    kind = _KIND.search(case)
    return f"single node, {kind[1]}" if module in _SHARED and kind else module


class HostScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Sends all cases of one host to one worker, the largest group first."""

    def _split_scope(self, nodeid: str) -> str:
        return host_of(nodeid)
