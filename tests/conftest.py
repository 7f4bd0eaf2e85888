"""What all tests share: golden files, a cache of one's own, the real spec."""

import gc
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.paths import PKGSPEC
from builder.spec import Spec, load_spec
from tests import costs, proof

_GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-golden, and the options of what a run reports at its end."""
    costs.pytest_addoption(parser)
    proof.pytest_addoption(parser)
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what is rendered now into tests/golden/, to be reviewed as a diff",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Report costs and proof where they are asked for: by the process that sees all workers."""
    if config.getoption("--costs"):
        config.pluginmanager.register(costs.Meter())
    if hasattr(config, "workerinput"):
        return
    if config.getoption("--costs"):
        config.pluginmanager.register(costs.Costs(shown=config.getoption("--costs")))
    if config.getoption("--proof"):
        config.pluginmanager.register(proof.Proof(path=config.getoption("--proof")))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what is imported and collected out of every later round of the garbage collector.

    It lives until the end of the run: some 5,000 items and all modules, which each full round
    would walk through for nothing.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the cases that take long to ``make test-full``."""
    if os.environ.get("BUILDER_FULL"):
        return
    skip = pytest.mark.skip(reason="takes long: run make test-full")
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(skip)


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Compares text with the file of that name in tests/golden/, or writes it there."""

    update: bool

    def check(self, name: str, text: str) -> None:
        """Fail where ``text`` is not what the golden file says."""
        path = _GOLDEN / name
        if self.update:
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"no tests/golden/{name}: run pytest with --update-golden"
        assert text == path.read_text(encoding="utf-8"), (
            f"differs from tests/golden/{name}; if that is right, run pytest with --update-golden"
        )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The golden files."""
    return Golden(update=bool(request.config.getoption("--update-golden")))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(root=tmp_path / "cache")


@pytest.fixture(scope="session")
def real_spec() -> Spec:
    """The project's own pkgspec/."""
    return load_spec(PKGSPEC)
