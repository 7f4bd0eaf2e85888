"""How many cases, and from which seed: FUZZ_CASES and FUZZ_SEED, which ``make fuzz`` sets."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from builder.base.paths import PROJECT

for folder in ("postinst", "postinst/services/graphql"):
    sys.path.insert(0, str(PROJECT / folder))

CASES = int(os.environ.get("FUZZ_CASES") or ("3000" if os.environ.get("BUILDER_FULL") else "500"))
SEED = int(os.environ.get("FUZZ_SEED", "20261126"))

settings.register_profile(
    "fuzz",
    max_examples=CASES,
    deadline=None,
    database=None,  # a failure is repeated by its seed
    suppress_health_check=list(HealthCheck),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test here the seed, whatever order they run in."""
    for item in items:
        run = getattr(getattr(item, "obj", None), "hypothesis", None)
        if run is not None and "tests/fuzz" in item.nodeid:
            item.obj._hypothesis_internal_use_seed = SEED  # type: ignore[attr-defined]


def pytest_report_header() -> str:
    """Print what repeats the run."""
    return f"fuzz: {CASES} cases each; repeat with FUZZ_CASES={CASES} FUZZ_SEED={SEED}"


settings.load_profile("fuzz")
