"""Cases of one host run in one worker, and the longest are begun first."""

import pytest

from builder.base.paths import PROJECT
from tests.e2e.scheduling import _SECONDS, host_of, longest


@pytest.mark.parametrize(
    ("case", "host"),
    [
        ("tests/e2e/test_person.py::test_a[trixie]", "single node, trixie"),
        ("tests/e2e/test_single_node.py::test_b[trixie]", "single node, trixie"),
        ("tests/e2e/test_single_node.py::test_b[rpm-more]", "single node, rpm"),
        ("tests/e2e/test_life.py::test_c", "tests/e2e/test_life.py"),
        ("tests/e2e/test_verify.py::test_d[trixie]", "tests/e2e/test_verify.py"),
        ("tests/integration/test_deb.py::test_e[trixie]", "tests/integration/test_deb.py"),
    ],
)
def test_the_scope_is_the_host(case: str, host: str) -> None:
    assert host_of(case) == host


def test_the_longest_is_begun_first_and_then_that_of_most_cases() -> None:
    waiting = {"few": [1], "single node, trixie": [1], "many": [1, 2], "single node, rpm": [1]}
    order = []
    while waiting:
        order.append(longest(waiting))
        del waiting[order[-1]]
    assert order == ["single node, rpm", "single node, trixie", "many", "few"]


def test_the_files_that_take_long_exist() -> None:
    files = [host for host in _SECONDS if "/" in host]
    assert files
    assert [name for name in files if not (PROJECT / name).is_file()] == []
