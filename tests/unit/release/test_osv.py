"""Which versions an OSV record is about, and the forms of a snapshot."""

import json
import zipfile
from pathlib import Path

import pytest

from builder.base.errors import UsageError
from builder.release.osv import Snapshot, load_snapshot


def record(name: str, **affected: object) -> dict[str, object]:
    package = {"ecosystem": "PyPI", "name": "Some_Library"}
    return {"id": name, "summary": f"Of\n{name}", "affected": [{"package": package, **affected}]}


def ranges(*events: dict[str, str], kind: str = "ECOSYSTEM") -> list[dict[str, object]]:
    return [{"type": kind, "events": list(events)}]


@pytest.mark.parametrize(
    ("events", "affected", "others"),
    [
        ([{"introduced": "0"}, {"fixed": "2.0"}], ["0.1", "1.9", "2.0rc1"], ["2.0", "3"]),
        ([{"introduced": "1.5"}, {"last_affected": "2.0"}], ["1.5", "2.0"], ["1.4", "2.0.1"]),
        (
            [{"introduced": "3"}, {"fixed": "3.5"}, {"introduced": "0"}, {"fixed": "1.0"}],
            ["0.9", "3.4.9"],
            ["1.0", "2", "3.5"],
        ),
        ([{"introduced": "0"}], ["1", "99"], []),
    ],
)
def test_a_range_ends_before_the_fix_and_behind_the_last_affected(
    events: list[dict[str, str]], affected: list[str], others: list[str]
) -> None:
    snapshot = Snapshot(iter([record("A", ranges=ranges(*events))]))
    assert [version for version in affected + others if snapshot.find("some-library", version)] == (
        affected
    )


def test_listed_versions_count_and_commits_do_not() -> None:
    commits = ranges({"introduced": "0"}, {"fixed": "abcdef"}, kind="GIT")
    snapshot = Snapshot(iter([record("A", versions=["1.0.post1"], ranges=commits)]))
    assert snapshot.find("SOME.library", "1.0.post1")
    assert not snapshot.find("some-library", "1.0")
    assert not snapshot.find("another", "1.0.post1")


def test_a_range_of_no_versions_is_passed_over() -> None:
    odd = record("A", ranges=ranges({"introduced": "not a version"}), versions=["2"])
    snapshot = Snapshot(iter([odd]))
    assert snapshot.find("some-library", "2")
    assert not snapshot.find("some-library", "3")


def test_one_fault_of_two_databases_is_one_and_a_withdrawn_one_is_none() -> None:
    everything = ranges({"introduced": "0"}, {"fixed": "9"})
    first = {**record("GHSA-1", ranges=everything), "aliases": ["CVE-2026-1"]}
    second = {**record("PYSEC-1", ranges=everything), "aliases": ["CVE-2026-1", "GHSA-1"]}
    gone = {**record("GHSA-2", ranges=everything), "withdrawn": "2026-01-01T00:00:00Z"}
    (found,) = Snapshot(iter([first, second, gone])).find("some-library", "1")
    assert found.shown == "CVE-2026-1, GHSA-1: Of GHSA-1"
    assert found.fixed == ("9",)


def test_other_ecosystems_are_left_out() -> None:
    other = record("A", versions=["1"])
    other["affected"] = [
        {"package": {"ecosystem": "npm", "name": "some-library"}, "versions": ["1"]}
    ]
    assert len(Snapshot(iter([other, "no record"]))) == 0


def test_a_zip_a_folder_and_a_file_are_snapshots(tmp_path: Path) -> None:
    text = json.dumps(record("A", versions=["1"]))
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "A.json").write_text(text)
    archive, single = tmp_path / "all.zip", tmp_path / "one.json"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("A.json", text)
        file.writestr("README", "x")
    single.write_text(text)
    for path in (folder, archive, single):
        assert load_snapshot(path).find("some-library", "1")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"id": "A"}', '[{"affected": 3}]'])
def test_what_is_no_snapshot_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "all.json"
    path.write_text(content)
    with pytest.raises(UsageError):
        load_snapshot(path)
