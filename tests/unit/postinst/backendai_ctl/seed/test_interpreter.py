"""Which service's CPython the tool goes on in, and by which words."""

import os
import sys

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.interpreter import reexec_in_service_python

from builder.base.paths import PROJECT

TOOL = "/usr/lib/backendai/target"


class Replaced(Exception):  # noqa: N818 - what execv does is no error
    """In the place of a process that goes on as another: never returns."""


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line that this process was replaced by, once it was."""
    words: list[str] = []

    def execv(path: str, arguments: list[str]) -> None:
        assert path == arguments[0]
        words.extend(arguments)
        raise Replaced

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(sys, "argv", [f"{TOOL}/__main__.py", "seed", "plan"])
    return words


def install(layout: Layout, *services: str) -> None:
    """Let the packages of ``services`` be there: what fills their databases, and a CPython."""
    folder = layout.shipped / "seed"
    folder.mkdir(parents=True, exist_ok=True)
    for service in services:
        shipped = PROJECT / f"postinst/services/{service}/seed.toml"
        if shipped.exists():
            (folder / f"{service}.toml").write_text(shipped.read_text())
        layout.python(service).parent.mkdir(parents=True, exist_ok=True)
        layout.python(service).touch()


def run_by(layout: Layout, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this be the CPython of ``service``."""
    monkeypatch.setattr(sys, "prefix", str(layout.python(service).parent.parent))


@pytest.mark.parametrize("most_called", [True, False])
def test_it_goes_on_by_the_same_words_where_a_client_is(
    layout: Layout, began: list[str], monkeypatch: pytest.MonkeyPatch, most_called: bool
) -> None:
    install(layout, "agent", "appproxy-coordinator", "manager")
    run_by(layout, "agent", monkeypatch)
    with pytest.raises(Replaced):
        reexec_in_service_python(layout, most_called=most_called)
    assert began == [str(layout.python("manager")), "-I", "-B", TOOL, "seed", "plan"]


@pytest.mark.parametrize("most_called", [True, False])
def test_it_stays_where_it_is_right(
    layout: Layout, began: list[str], monkeypatch: pytest.MonkeyPatch, most_called: bool
) -> None:
    install(layout, "appproxy-coordinator", "manager")
    run_by(layout, "manager", monkeypatch)
    reexec_in_service_python(layout, most_called=most_called)
    assert began == []


def test_any_client_will_do_unless_a_release_is_called(
    layout: Layout, began: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(layout, "appproxy-coordinator", "manager")
    run_by(layout, "appproxy-coordinator", monkeypatch)
    reexec_in_service_python(layout)
    assert began == []
    with pytest.raises(Replaced):
        reexec_in_service_python(layout, most_called=True)
    assert began[0] == str(layout.python("manager"))


@pytest.mark.parametrize("most_called", [True, False])
def test_what_has_no_python_is_passed_over(
    layout: Layout, began: list[str], monkeypatch: pytest.MonkeyPatch, most_called: bool
) -> None:
    install(layout, "appproxy-coordinator", "manager")
    layout.python("manager").unlink()
    # Run as a folder's or a zip's own path, it is called so again.
    monkeypatch.setattr(sys, "argv", [TOOL, "backup"])
    with pytest.raises(Replaced):
        reexec_in_service_python(layout, most_called=most_called)
    assert began == [str(layout.python("appproxy-coordinator")), "-I", "-B", TOOL, "backup"]


@pytest.mark.parametrize("most_called", [True, False])
@pytest.mark.parametrize("services", [(), ("agent",)])
def test_it_stays_where_nothing_is_filled(
    layout: Layout, began: list[str], services: tuple[str, ...], most_called: bool
) -> None:
    install(layout, *services)
    reexec_in_service_python(layout, most_called=most_called)
    assert began == []


def test_the_one_with_most_fixtures_is_called_most(layout: Layout, began: list[str]) -> None:
    install(layout, "appproxy-coordinator", "manager")
    # By its name the manager would be the last in any case.
    (layout.shipped / "seed/manager.toml").rename(layout.shipped / "seed/a.toml")
    install(layout, "a")
    with pytest.raises(Replaced):
        reexec_in_service_python(layout, most_called=True)
    assert began[0] == str(layout.python("a"))
    began.clear()
    with pytest.raises(Replaced):
        reexec_in_service_python(layout)
    assert began[0] == str(layout.python("appproxy-coordinator"))
