"""Cases of one host run in one worker."""

import pytest

from tests.e2e.scheduling import host_of


@pytest.mark.parametrize(
    ("case", "host"),
    [
        ("tests/e2e/test_person.py::test_a[trixie]", "single node, trixie"),
        ("tests/e2e/test_single_node.py::test_b[trixie]", "single node, trixie"),
        ("tests/e2e/test_single_node.py::test_b[rpm-more]", "single node, rpm"),
        ("tests/e2e/test_life.py::test_c", "tests/e2e/test_life.py"),
        ("tests/e2e/test_verify.py::test_d[trixie]", "tests/e2e/test_verify.py"),
    ],
)
def test_the_scope_is_the_host(case: str, host: str) -> None:
    assert host_of(case) == host
