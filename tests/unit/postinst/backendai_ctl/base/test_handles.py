"""What root changes is what lies there, and never what a link put there leads to."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.handles import set_mode, set_owner
from backendai_ctl.base.temporary import remove_left

CHANGES: tuple[Callable[[Path], None], ...] = (
    lambda path: set_mode(path, 0o600),
    lambda path: set_owner(path, os.geteuid(), os.getegid()),
)


def mode_of(path: Path) -> int:
    """The permissions of what lies there."""
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("change", CHANGES)
def test_a_link_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("others read this")
    bundle.chmod(0o644)
    link = tmp_path / "ca.pem"
    link.symlink_to(bundle)
    with pytest.raises(HostError, match="is a link"):
        change(link)
    assert mode_of(bundle) == 0o644


@pytest.mark.parametrize("change", CHANGES)
def test_a_second_name_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    other = tmp_path / "other"
    other.touch(0o644)
    path = tmp_path / "path"
    os.link(other, path)
    with pytest.raises(HostError, match="second name"):
        change(path)


@pytest.mark.parametrize("change", CHANGES)
def test_a_pipe_is_refused_at_once(tmp_path: Path, change: Callable[[Path], None]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(HostError, match="neither a file nor a folder"):
        change(pipe)


def test_files_and_folders_are_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o644)
    set_mode(path, 0o600)
    assert mode_of(path) == 0o600
    set_mode(tmp_path, 0o710)
    assert mode_of(tmp_path) == 0o710


def test_a_folder_is_not_made_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    target.chmod(0o755)
    (tmp_path / ".made.backendai-tmp").symlink_to(target)
    private_writer().ensure_folder(tmp_path / "made", mode=0o700)
    assert (mode_of(target), mode_of(tmp_path / "made")) == (0o755, 0o700)
    assert {path.name for path in tmp_path.iterdir()} == {"target", "made"}


def test_a_sweep_removes_the_link_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "kept").touch()
    (tmp_path / ".left.backendai-tmp").symlink_to(target)
    remove_left(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (target / "kept").exists()
