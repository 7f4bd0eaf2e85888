"""Adding packages, or refusing them; promoting and pruning."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builder.base.errors import BuilderError, PayloadError, RepoError, UsageError
from builder.pack.manifest import load_manifest
from builder.repo.add import AddRequest, add_packages
from builder.repo.core import (
    Repository,
    open_repository,
    promote_packages,
)
from builder.repo.model import RepoPackage
from builder.repo.prune import Pruned, dangling_files, prune_packages
from tests.helpers.repos import (
    NOW,
    DebPackage,
    add,
    write_manifest_of,
    write_repository,
    write_rpm,
)


def _labels(packages: Iterable[RepoPackage]) -> list[str]:
    return [f"{package.name} {package.version}" for package in packages]


def _lists(pruned: Pruned) -> dict[str, list[RepoPackage]]:
    return {"": list(pruned.removed), **{name: list(rows) for name, rows in pruned.left.items()}}


def _refused(repository: Repository, *paths: Path, **changes: object) -> BuilderError:
    request = AddRequest(
        channel="stable", component="main", signer=None, by_manifest=False, now=NOW
    )
    with pytest.raises(BuilderError) as error:
        add_packages(repository, paths, replace(request, **changes))  # type: ignore[arg-type]
    return error.value


def test_added_packages_lie_in_the_pool_and_are_known(
    repository: Repository, tmp_path: Path
) -> None:
    added = add(repository, DebPackage().write(tmp_path), write_rpm(tmp_path))
    assert [(addition.known, str(addition.package.pool)) for addition in added] == [
        (False, "pool/main/t/tool/tool_1.0-1_amd64.deb"),
        (False, "pool/main/t/tool/tool-1.0-1.x86_64.rpm"),
    ]
    for addition in added:
        assert (repository.public / addition.package.pool).stat().st_size == addition.package.size
    assert list(repository.state.select("stable")) == [addition.package for addition in added]
    assert repository.state.listing(added[0].package.sha256) == b"usr/bin/tool"
    assert dangling_files(repository) == []


def test_the_same_file_again_only_joins(repository: Repository, tmp_path: Path) -> None:
    path = DebPackage().write(tmp_path)
    (first,) = add(repository, path)
    (second,) = add(repository, path, channel="testing")
    assert (second.known, second.package) == (True, first.package)
    assert repository.state.channels_of(first.package.sha256) == ["stable", "testing"]


def test_other_bytes_under_a_known_version_are_refused(
    repository: Repository, tmp_path: Path
) -> None:
    add(repository, DebPackage().write(tmp_path))
    changed = DebPackage(content="changed").write(tmp_path)
    error = _refused(repository, changed)
    assert f"{changed}: the repository has tool 1.0-1 (deb, amd64) already" in error.message
    assert "revision" in (error.hint or "")
    same = DebPackage().write(tmp_path)
    assert "in component main" in _refused(repository, same, component="extra").message


def test_one_bad_file_keeps_all_out(repository: Repository, tmp_path: Path) -> None:
    good = DebPackage().write(tmp_path)
    damaged = DebPackage(name="bad").write(tmp_path)
    damaged.write_bytes(damaged.read_bytes()[:-3])
    alien = DebPackage(name="alien", arch="s390x").write(tmp_path)
    error = _refused(repository, good, damaged, alien)
    assert isinstance(error, PayloadError)
    assert "bad_1.0-1_amd64.deb" in error.message
    assert "is for s390x; a deb of this repository is for amd64, arm64 or all" in error.message
    assert list(repository.state.everything()) == []
    assert not repository.public.exists()


def test_a_manifest_is_read_once_a_call(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tool", "other"):
        DebPackage(name=name).write(tmp_path)
    write_manifest_of(tmp_path)
    reads: list[Path] = []

    def load(folder: Path) -> list[dict[str, Any]]:
        reads.append(folder)
        return load_manifest(folder)

    monkeypatch.setattr("builder.repo.add.load_manifest", load)
    request = AddRequest(channel="stable", component="main", signer=None, by_manifest=True, now=NOW)
    assert len(add_packages(repository, [tmp_path], request)) == 2
    assert reads == [tmp_path]


def test_two_files_of_one_version_at_once(repository: Repository, tmp_path: Path) -> None:
    file = DebPackage().write(tmp_path / "a")
    other = DebPackage(content="other").write(tmp_path / "b")
    assert "with different content" in _refused(repository, file, other).message


def test_words_that_name_nothing(repository: Repository, tmp_path: Path) -> None:
    path = DebPackage().write(tmp_path)
    assert "no channel 'unstable'" in _refused(repository, path, channel="unstable").message
    assert "no component 'misc'" in _refused(repository, path, component="misc").message
    assert "is not a package" in _refused(repository, tmp_path / "x.zip").message
    assert "cannot read" in _refused(repository, tmp_path / "absent.deb").message


def test_a_folder_stands_for_its_manifest(repository: Repository, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    DebPackage().write(dist)
    write_manifest_of(dist)
    DebPackage(name="stray").write(dist)
    request = AddRequest(channel="stable", component="main", signer=None, by_manifest=True, now=NOW)
    (added,) = add_packages(repository, [dist], request)
    assert added.package.name == "tool"
    stray = _refused(repository, dist / "stray_1.0-1_amd64.deb", by_manifest=True)
    assert "does not list it" in stray.message
    assert "has no manifest.json" in _refused(repository, tmp_path).message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sha256", "0" * 64, "its sha256 is"),
        ("size", 7, "its manifest says 7"),
        ("version", "1.1-1", "its version is 1.0-1, its manifest says 1.1-1"),
        ("arch", "arm64", "its arch is amd64"),
    ],
)
def test_a_file_that_is_not_what_its_manifest_says(
    repository: Repository, tmp_path: Path, name: str, value: object, said: str
) -> None:
    path = DebPackage().write(tmp_path)
    write_manifest_of(tmp_path, {name: value})
    assert said in _refused(repository, path, by_manifest=True).message


def test_killed_between_the_pool_and_the_state(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = DebPackage().write(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(repository.state, "join", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            add(repository, path)
    assert list(repository.state.everything()) == []
    (stray,) = dangling_files(repository)
    assert stray.name == "tool_1.0-1_amd64.deb"
    (again,) = add(repository, path)
    assert not again.known
    assert dangling_files(repository) == []


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "repo")
    work = root / ".state" / "tmp"
    work.mkdir()
    (work / "half.deb").write_bytes(b"half")
    with open_repository(root):
        assert not work.exists()


def test_promote_takes_the_newest_or_the_one_named(repository: Repository, tmp_path: Path) -> None:
    for version in ("1.9-1", "1.10-1", "1.10~rc1-1"):
        add(repository, DebPackage(version=version).write(tmp_path), channel="testing")
    before = sorted(repository.public.rglob("*.deb"))
    assert _labels(promote_packages(repository, ["tool"], "testing", "stable")) == ["tool 1.10-1"]
    assert promote_packages(repository, ["tool"], "testing", "stable") == []
    named = promote_packages(repository, ["tool=1.9-1", "tool=1.9-1"], "testing", "stable")
    assert _labels(named) == ["tool 1.9-1"]
    assert sorted(repository.public.rglob("*.deb")) == before
    assert len(repository.state.select("testing")) == 3
    promote_packages(repository, ["tool=1.9-1"], "testing", "stable", move=True)
    promote_packages(repository, ["tool=1.10-1"], "testing", "testing", move=True)
    assert len(repository.state.select("testing")) == 2
    assert len(repository.state.select("stable")) == 2
    for words, said in (
        ("tol", "no package 'tol'"),
        ("tool=2.0-1", "no version '2.0-1' of tool"),
    ):
        with pytest.raises(UsageError, match=said) as error:
            promote_packages(repository, [words], "testing", "stable")
        assert "it has: " in (error.value.hint or "")


_PRUNING = """[channels.stable]
retention = { keep = 2 }
[channels.testing]
retention = { keep = 1, max-age-days = 30 }
[channels.nightly]
retention = { keep = "all" }
"""


def test_prune_keeps_the_newest_the_young_and_what_others_have(tmp_path: Path) -> None:
    with open_repository(write_repository(tmp_path / "repo", channels=_PRUNING)) as repository:
        for age, version in ((90, "1.0-1"), (60, "1.1-1"), (10, "1.2-1"), (1, "1.10-1")):
            path = DebPackage(version=version).write(tmp_path)
            for channel in ("stable", "testing"):
                add(repository, path, channel=channel, now=NOW - timedelta(days=age))
        add(repository, DebPackage(version="1.1-1").write(tmp_path), channel="nightly")
        preview = _lists(prune_packages(repository, NOW, dry_run=True))
        assert len(repository.state.select("stable")) == 4
        pruned = prune_packages(repository, NOW)
        assert _lists(pruned) == preview
        assert _labels(pruned.left["stable"]) == ["tool 1.1-1", "tool 1.0-1"]
        assert _labels(pruned.left["testing"]) == ["tool 1.1-1", "tool 1.0-1"]
        assert _labels(pruned.removed) == ["tool 1.0-1"]
        assert _labels(repository.state.select("nightly")) == ["tool 1.1-1"]
        assert len(repository.state.select("testing")) == 2  # 1.2-1 is young
        assert prune_packages(repository, NOW).left == {}


def test_a_channel_that_left_the_configuration_keeps_its_packages(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "repo", channels=_PRUNING)
    with open_repository(root) as repository:
        add(repository, DebPackage().write(tmp_path), channel="nightly")
    config = root / "repo.toml"
    config.write_text(config.read_text().split("[channels.nightly]")[0])
    with open_repository(root) as repository:
        assert not len(prune_packages(repository, NOW).removed)
        assert len(repository.state.everything()) == 1


def test_a_manifest_that_is_no_json_lists_nothing(repository: Repository, tmp_path: Path) -> None:
    path = DebPackage().write(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps([])[:-1])
    assert isinstance(_refused(repository, path, by_manifest=True), RepoError)
