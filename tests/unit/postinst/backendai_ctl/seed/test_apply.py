"""A run that fills the stores, and what comes while it is at work."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from backendai_ctl.base.errors import NotReadyError, Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands import seed
from backendai_ctl.seed.apply import Run
from backendai_ctl.seed.model import State, StepResult
from backendai_ctl.seed.state import Report


class FakeSession:
    """The services that are configured by now; none of them has a database."""

    answers = SimpleNamespace(value=lambda _: "1")

    def __init__(self, *services: str) -> None:
        self.unconfigured: dict[str, str] = {}
        self.configs = dict.fromkeys(services)
        self.recipes: dict[str, object] = {}

    @contextmanager
    def open_databases(self) -> Iterator[list[object]]:
        """None."""
        yield []


def test_what_is_configured_meanwhile_gets_a_run_of_its_own(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout.seed_state.mkdir(parents=True)
    reports: list[Report] = []
    # Each run opens one when it begins, and one more to see what came.
    opened = iter([("manager",), ("agent", "manager"), ("agent", "manager"), ("agent", "manager")])
    monkeypatch.setattr(seed, "reexec_in_service_python", lambda *_, **__: None)
    monkeypatch.setattr(seed, "_session", lambda *_: FakeSession(*next(opened)))
    monkeypatch.setattr(seed, "stores_of", lambda *_: [])
    monkeypatch.setattr(seed, "find_faults", lambda *_: [])
    monkeypatch.setattr(seed, "groups_of", lambda *_, **__: [])
    monkeypatch.setattr(seed, "save_report", lambda _, report: reports.append(report))
    monkeypatch.setattr(seed, "start_waiting", lambda *_: {})
    clock = iter([100.0, 107.0, 108.0])
    monkeypatch.setattr(seed, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    options = Namespace(if_needed=False, wait=None, no_start=False)
    assert seed._apply(options, layout) is Status.OK
    assert [(report.complete, report.seconds) for report in reports] == [(False, 7.0), (True, 8.0)]
    assert "configured meanwhile: agent" in capsys.readouterr().err
    assert next(opened, None) is None


@pytest.mark.parametrize(("shared", "starts"), [(State.EXISTS, True), (State.WAITING, False)])
def test_a_service_starts_while_another_lacks_its_store(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, shared: State, *, starts: bool
) -> None:
    layout.seed_state.mkdir(parents=True)
    result = StepResult(group="cluster", step="etcd storage-proxy", state=shared)
    started: list[bool] = []
    monkeypatch.setattr(seed, "reexec_in_service_python", lambda *_, **__: None)
    monkeypatch.setattr(seed, "_session", lambda *_: FakeSession("storage-proxy", "webserver"))
    monkeypatch.setattr(seed, "_stores_work", lambda *_, **__: False)
    monkeypatch.setattr(seed, "groups_of", lambda *_, **__: [])
    monkeypatch.setattr(Run, "apply", lambda *_: [result])
    monkeypatch.setattr(seed, "start_waiting", lambda *_, is_filled: started.append(is_filled))
    options = Namespace(if_needed=False, wait=None, no_start=False)
    with pytest.raises(NotReadyError, match="not everything is filled"):
        seed._apply(options, layout)
    assert started == ([False] if starts else [])
