"""Sizes of a repository: each file once, the newest version by the format's own order."""

import json
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner

from builder.cli import main
from builder.cli.repo_stats import repository_stats, stats_text
from builder.repo.core import Repository, open_repository
from tests.helpers.repos import NOW, DebPackage, add, write_repository, write_rpm


def test_channels_versions_and_days_are_counted(repository: Repository, tmp_path: Path) -> None:
    # 1.10 is newer than 1.9, whatever their letters say.
    small = DebPackage(version="1.9-1", content="x" * 10).write(tmp_path / "a")
    large = DebPackage(version="1.10-1", content="".join(map(str, range(2000)))).write(
        tmp_path / "b"
    )
    rpm = write_rpm(tmp_path / "c")
    add(repository, small)
    add(repository, large, now=NOW + timedelta(days=1))
    add(repository, large, rpm, channel="testing", now=NOW + timedelta(days=1))
    sizes = {path: path.stat().st_size for path in (small, large, rpm)}

    stats = repository_stats(repository)
    assert (stats.packages, stats.bytes) == (3, sum(sizes.values()))
    assert stats.added == {"2026-11-23": sizes[small], "2026-11-24": sizes[large] + sizes[rpm]}
    stable, testing = stats.channels
    assert (stable.name, stable.packages, stable.newest_bytes) == ("stable", 2, sizes[large])
    (tool,) = stable.largest
    assert (tool.version, tool.versions) == ("1.10-1", 2)
    assert tool.grown_by == sizes[large] - sizes[small] > 0
    assert [(size.fmt, size.grown_by) for size in testing.largest] == [("deb", None), ("rpm", None)]

    text = stats_text(stats, as_json=False)
    assert "tool 1.10-1 (deb, amd64): " in text
    assert " on the version before, 2 versions" in text
    assert "added on 2026-11-24: " in text


def test_the_command_prints_numbers_for_machines(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "repo")
    with open_repository(root) as repository:
        add(repository, DebPackage().write(tmp_path / "a"))
    done = CliRunner().invoke(main, ["repo", "stats", "--root", str(root), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["packages"] == 1
    assert [channel["name"] for channel in found["channels"]] == ["stable", "testing"]
