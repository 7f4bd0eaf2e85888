"""Images: what the first boot makes, and what a clone does not have."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from backendai_ctl.base.errors import HostError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.services.first_boot import configure_waiting, find_identity

Configured = Callable[..., list[str]]


def clone(layout: Layout, *options: str) -> int:
    """What the admin runs."""
    return main(["--root", str(layout.root), "--as-caller", "prepare-clone", *options])


def test_each_waiting_service_is_configured_once(layout: Layout) -> None:
    layout.first_boot.mkdir()
    for name in ("manager", "webserver"):  # whose package was removed again
        (layout.first_boot / name).touch()
    done: list[str] = []
    assert configure_waiting(layout, done.append, print) == {}
    assert done == ["manager"]
    assert not list(layout.first_boot.iterdir())
    assert configure_waiting(layout, done.append, print) == {}
    assert done == ["manager"]


def test_a_service_waits_until_it_was_configured(layout: Layout) -> None:
    layout.first_boot.mkdir()
    (layout.first_boot / "manager").touch()
    said: list[str] = []

    def refuse(_: str) -> None:
        raise SiteError(["site.toml: wrong"])

    assert set(configure_waiting(layout, refuse, said.append)) == {"manager"}
    assert (layout.first_boot / "manager").exists()
    assert "site.toml: wrong" in said[0]


def test_a_clone_has_no_identity(layout: Layout, configured: Configured) -> None:
    configured()
    before = {path.name: path.read_text() for path in layout.secrets.iterdir()}
    for folder in (layout.credentials, layout.seed_state, layout.upgrades):
        folder.mkdir()
        (folder / "manager.toml").write_text("x\n")
    (layout.etc / "manager.toml.new").write_text("x\n")
    assert clone(layout, "--yes") == 0
    assert not list(layout.secrets.iterdir())
    assert [path.name for path in layout.first_boot.iterdir()] == ["manager"]
    # The answers are the admin's, and the same for every clone.
    assert [path.name for path in layout.etc.iterdir()] == ["site.toml"]
    for folder in (layout.credentials, layout.seed_state, layout.upgrades):
        assert not list(folder.iterdir())
    configured()
    after = {path.name: path.read_text() for path in layout.secrets.iterdir()}
    assert before.keys() == after.keys()
    assert before["manager-secret"] != after["manager-secret"]


def test_a_clone_is_prepared_only_when_somebody_agrees(
    layout: Layout, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal
    assert clone(layout) != 0
    assert find_identity(layout).is_there
    assert not layout.first_boot.exists()


def test_edited_files_are_the_admins_to_remove(
    layout: Layout, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    path = layout.etc / "manager.toml"
    path.write_text(path.read_text() + "# edited\n")
    assert clone(layout, "--yes") != 0
    assert str(path) in capsys.readouterr().err
    assert list(layout.secrets.iterdir())
    assert clone(layout, "--yes", "--keep-edited") == 0
    assert path.exists()
    assert not list(layout.secrets.iterdir())


@pytest.mark.parametrize("calls", range(1, 12))
def test_a_run_that_was_killed_is_completed(
    layout: Layout, configured: Configured, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    configured()
    left = calls
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise HostError("killed")
        remove(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    clone(layout, "--yes")
    monkeypatch.undo()
    assert clone(layout, "--yes") == 0
    assert not find_identity(layout).is_there
    assert (layout.first_boot / "manager").exists()


def test_the_warning_names_stores_of_this_host(
    layout: Layout, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    assert clone(layout, "--yes") == 0
    assert "warning: etcd" in capsys.readouterr().err
