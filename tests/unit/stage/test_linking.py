"""Assembling trees: links where a file is as it must be, never a change to the cache's own."""

import os
from pathlib import Path

import pytest

from builder.stage.linking import link_tree, measure, normalize_metadata, write_file

EPOCH = 1767312000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree as the cache keeps it: one file with the right time, one with another."""
    root = tmp_path / "source"
    (root / "bin").mkdir(parents=True)
    for name, mtime, mode in (("bin/tool", EPOCH, 0o755), ("old.txt", 1000, 0o644)):
        (root / name).write_text(name, encoding="utf-8")
        (root / name).chmod(mode)
        os.utime(root / name, (mtime, mtime))
    (root / "bin/link").symlink_to("tool")
    (root / "bin/dangling").symlink_to("/nowhere")
    return root


def state(root: Path) -> dict[str, tuple[int, int]]:
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return {path.name: (path.stat().st_mode, path.stat().st_mtime_ns) for path in files}


def test_files_are_linked_and_only_those_with_another_time_are_copied(
    source: Path, tmp_path: Path
) -> None:
    before, target = state(source), tmp_path / "target"
    link_tree(source, target, epoch=EPOCH)
    assert (target / "bin/tool").samefile(source / "bin/tool")
    assert not (target / "old.txt").samefile(source / "old.txt")
    assert {mtime for _, mtime in state(target).values()} == {EPOCH * 10**9}
    assert (target / "bin/link").readlink() == Path("tool")
    assert (target / "bin/dangling").readlink() == Path("/nowhere")
    assert state(source) == before


def test_two_trees_may_share_a_file_but_not_disagree_on_it(source: Path, tmp_path: Path) -> None:
    target, other = tmp_path / "target", tmp_path / "other"
    link_tree(source, target, epoch=EPOCH)
    (other / "bin").mkdir(parents=True)
    (other / "bin/tool").write_text("bin/tool", encoding="utf-8")
    link_tree(other, target, epoch=EPOCH)
    (other / "bin/tool").write_text("other", encoding="utf-8")
    clashes: list[Path] = []
    link_tree(other, target, epoch=EPOCH, on_clash=clashes.append)
    assert clashes == [target / "bin/tool"]
    with pytest.raises(FileExistsError):
        link_tree(other, target, epoch=EPOCH)
    assert (target / "bin/tool").read_text(encoding="utf-8") == "bin/tool"


def test_writing_over_a_link_leaves_the_cache_alone(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    link_tree(source, target, epoch=EPOCH)
    write_file(target / "bin/tool", b"new", 0o700)
    write_file(target / "bin/link", b"file now", 0o644)
    assert (source / "bin/tool").read_text(encoding="utf-8") == "bin/tool"
    assert (target / "bin/tool").stat().st_mode & 0o777 == 0o700
    assert not (target / "bin/link").is_symlink()


def test_settling_gives_one_time_and_leaves_links_targets_alone(
    source: Path, tmp_path: Path
) -> None:
    target, outside = tmp_path / "target", tmp_path / "outside"
    outside.touch()
    os.utime(outside, (1, 1))
    link_tree(source, target, epoch=EPOCH)
    write_file(target / "fresh", b"", 0o640)
    (target / "out").symlink_to(outside)
    (target / "bin").chmod(0o700)
    normalize_metadata(target, epoch=EPOCH)
    everything = [target, *target.rglob("*")]
    assert {os.lstat(path).st_mtime_ns for path in everything} == {EPOCH * 10**9}
    folders = [path for path in everything if path.is_dir() and not path.is_symlink()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o755}
    assert (target / "fresh").stat().st_mode & 0o777 == 0o640
    assert outside.stat().st_mtime == 1


def test_measuring_counts_links_as_themselves(source: Path) -> None:
    count, size = measure(source)
    links = len("tool") + len("/nowhere")
    assert (count, size) == (4, len("bin/tool") + len("old.txt") + links)
