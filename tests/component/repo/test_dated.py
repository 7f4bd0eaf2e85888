"""Dated snapshots: when they are taken, what they keep, and how they go."""

import gzip
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.base.errors import SpecError
from builder.repo.check import check_target
from builder.repo.config import CONFIG_NAME, RepoConfig, load_config
from builder.repo.core import Repository
from builder.repo.dated import Snapshot, list_snapshots, parse_snapshot, take_snapshots
from builder.repo.indexing import build_tree
from builder.repo.model import LOCAL
from builder.repo.prune import prune_packages
from builder.repo.publication import Phase, phase_of
from builder.repo.sign import Signer
from tests.helpers.repos import NOW, DebPackage, add, write_rpm

_DAY = timedelta(days=1)
_FIRST = "snapshots/2026-11-23/stable"


def _configured(repository: Repository, text: str) -> Repository:
    path = repository.root / CONFIG_NAME
    path.write_text(f"{path.read_text()}\n{text}\n")
    return replace(repository, config=load_config(repository.root))


@pytest.fixture
def taken(signed_repository: Repository, signer: Signer, tmp_path: Path) -> Repository:
    """A repository that takes snapshots of one channel, and has taken one."""
    text = '[snapshots]\nchannels = ["stable"]\nkeep = 1\n[retention]\nkeep = 1'
    repository = _configured(signed_repository, text)
    add(repository, DebPackage().write(tmp_path), write_rpm(tmp_path))
    add(repository, DebPackage(name="only").write(tmp_path), channel="testing")
    build_tree(repository, signer, NOW)
    return repository


def _add_and_publish(
    repository: Repository, signer: Signer, folder: Path, version: str, now: datetime
) -> None:
    rpm = write_rpm(folder, version=version)
    add(repository, DebPackage(version=f"{version}-1").write(folder), rpm, now=now)
    build_tree(repository, signer, now)


def _files(repository: Repository, below: str) -> dict[str, bytes]:
    root = repository.public
    paths = [path for path in (root / below).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def _names(repository: Repository) -> list[str]:
    return [snapshot.channel for snapshot in list_snapshots(repository.state.channels())]


def test_names_are_read_back_and_sort_by_their_age() -> None:
    names = [f"snapshots/2026-11-{rest}/stable" for rest in ("09", "10", "10-2", "10-10")]
    found = list_snapshots([*names, "stable", "snapshots/x/stable"])
    assert [snapshot.channel for snapshot in found] == names[::-1]
    assert parse_snapshot("snapshots/2026-11-10-2/a/b") is None
    snapshot = parse_snapshot(names[2])
    assert snapshot is not None
    assert (snapshot.number, snapshot.of, snapshot.name) == (2, "stable", "2026-11-10-2")


def test_a_snapshot_never_changes_whatever_is_published(
    taken: Repository, signer: Signer, tmp_path: Path
) -> None:
    before = _files(taken, "dists/snapshots") | _files(taken, "rpm/snapshots")
    assert f"dists/{_FIRST}/InRelease" in before
    release = (taken.public / "dists" / _FIRST / "Release").read_text()
    assert "Suite: stable\n" in release
    assert f"Codename: {_FIRST}\n" in release
    assert "Valid-Until" not in release
    assert (
        "only" not in (taken.public / "dists" / _FIRST / "main/binary-amd64/Packages").read_text()
    )
    assert _names(taken) == [_FIRST]
    # The same again takes none; another version does, and prune leaves the first its packages.
    build_tree(taken, signer, NOW + _DAY)
    assert _names(taken) == [_FIRST]
    kept = _configured(taken, "")
    kept = replace(
        kept, config=kept.config.model_copy(update={"snapshots": _spec(kept.config, keep="all")})
    )
    _add_and_publish(kept, signer, tmp_path, "2.0", NOW + _DAY)
    assert not len(prune_packages(kept, NOW + _DAY).removed)
    for days in (2, 3):
        build_tree(kept, signer, NOW + days * _DAY)
    assert _names(kept) == ["snapshots/2026-11-25/stable", "snapshots/2026-11-24/stable", _FIRST]
    after = _files(kept, "dists/snapshots/2026-11-23") | _files(kept, "rpm/snapshots/2026-11-23")
    assert after == before
    live = (kept.public / "dists/stable/main/binary-amd64/Packages").read_text()
    assert "Version: 1.0-1" not in live
    assert check_target(kept, LOCAL, NOW + 3 * _DAY) == []


def _spec(config: RepoConfig, **changes: object) -> object:
    return config.snapshots.model_copy(update=changes)


def test_the_rpm_index_finds_the_pool_from_its_depth(taken: Repository) -> None:
    (primary,) = (taken.public / f"rpm/{_FIRST}/main/x86_64/repodata").glob("*-primary.xml.gz")
    text = gzip.decompress(primary.read_bytes()).decode()
    href = text.partition('<location href="')[2].partition('"')[0]
    assert (primary.parent.parent / href).resolve().is_file()


def test_two_of_a_day_have_two_names(taken: Repository, signer: Signer, tmp_path: Path) -> None:
    _add_and_publish(taken, signer, tmp_path, "1.5", NOW + timedelta(hours=1))
    assert _names(taken)[0] == "snapshots/2026-11-23-2/stable"


def test_a_snapshot_that_is_not_kept_goes_with_its_packages(
    taken: Repository, signer: Signer, tmp_path: Path
) -> None:
    _add_and_publish(taken, signer, tmp_path, "2.0", NOW + _DAY)
    assert len(_names(taken)) == 2
    pruned = prune_packages(taken, NOW + _DAY)
    assert [package.name for package in pruned.left[_FIRST]] == ["tool", "tool"]
    assert not len(pruned.removed)  # the newer snapshot has the older version, too
    build_tree(taken, signer, NOW + 2 * _DAY)
    pruned = prune_packages(taken, NOW + 2 * _DAY)
    assert {package.version for package in pruned.removed} == {"1.0-1"}
    for days in (3, 5):
        build_tree(taken, signer, NOW + days * _DAY)
    assert _names(taken) == ["snapshots/2026-11-25/stable"]
    assert not (taken.public / "dists" / _FIRST).exists()
    assert not (taken.public / "snapshots/2026-11-23").exists()
    assert not list(taken.public.glob("pool/main/t/tool/*1.0*"))
    assert check_target(taken, LOCAL, NOW + 5 * _DAY) == []


def test_a_young_snapshot_stays(taken: Repository, signer: Signer, tmp_path: Path) -> None:
    _add_and_publish(taken, signer, tmp_path, "2.0", NOW + _DAY)
    spec = _spec(taken.config, max_age_days=5)
    patient = replace(taken, config=taken.config.model_copy(update={"snapshots": spec}))
    assert _FIRST not in prune_packages(patient, NOW + 4 * _DAY, dry_run=True).left
    assert _FIRST in prune_packages(patient, NOW + 5 * _DAY, dry_run=True).left


def test_check_reads_snapshots_too(taken: Repository) -> None:
    path = taken.public / "dists" / _FIRST / "main/binary-amd64/Packages"
    path.write_text(path.read_text().replace("1.0-1", "1.0-2"))
    said = "\n".join(problem.text for problem in check_target(taken, LOCAL, NOW))
    assert f"dists/{_FIRST}/main/binary-amd64/Packages: does not have the sha256" in said


def test_the_pages_name_it(taken: Repository) -> None:
    channel = (taken.public / "channels/stable.html").read_text()
    assert 'href="../snapshots/2026-11-23/index.html"' in channel
    page = (taken.public / "snapshots/2026-11-23/index.html").read_text()
    assert f"/setup/{_FIRST}.sources" in page
    assert f"Suites: {_FIRST}\n" in (taken.public / f"setup/{_FIRST}.sources").read_text()
    repo = (taken.public / f"setup/{_FIRST}.repo").read_text()
    assert "[example-snapshots-2026-11-23-stable]" in repo
    assert f"/rpm/{_FIRST}/main/$basearch/mirrorlist" in repo


def test_an_empty_channel_gives_none(repository: Repository) -> None:
    assert take_snapshots(repository.state, ["stable"], NOW) == []


def test_entry_points_of_snapshots_come_last() -> None:
    folder = PurePosixPath("dists") / _FIRST
    assert phase_of(folder / "InRelease") is Phase.ENTRY
    assert phase_of(folder / "Release.gpg") is Phase.SIGNATURE
    assert phase_of(folder / "main/binary-amd64/Packages") is Phase.INDEX


@pytest.mark.parametrize(
    "text", ['[snapshots]\nchannels = ["none"]', "[channels.snapshots]", "[snapshots]\nkeep = 0"]
)
def test_settings_that_cannot_be_are_refused(repository: Repository, text: str) -> None:
    with pytest.raises(SpecError):
        _configured(repository, text)


def test_a_snapshot_is_a_value() -> None:
    day = NOW.date()
    assert Snapshot(day=day, number=1, of="a") < Snapshot(day=day, number=2, of="a")


def test_apts_option_finds_a_snapshot_below_its_day(
    signed_repository: Repository, signer: Signer, tmp_path: Path
) -> None:
    text = '[snapshots]\nchannels = ["stable"]\napt-option = true'
    repository = _configured(signed_repository, text)
    add(repository, DebPackage().write(tmp_path))
    build_tree(repository, signer, NOW)
    archive = repository.public / "snapshots/2026-11-23"
    release = (archive / "dists/stable/Release").read_text()
    for line in ("Suite: stable\n", f"Codename: {_FIRST}\n"):
        assert line in release
    address = "Snapshots: https://packages.example.org/snapshots/@SNAPSHOTID@/\n"
    assert address in (repository.public / "dists/stable/Release").read_text()
    packages = (archive / "dists/stable/main/binary-amd64/Packages").read_text()
    place = packages.partition("Filename: ")[2].partition("\n")[0]
    assert place == "../../pool/main/t/tool/tool_1.0-1_amd64.deb"
    assert (archive / place).is_file()
    before = _files(repository, "snapshots/2026-11-23/dists")
    _add_and_publish(repository, signer, tmp_path, "1.1", NOW + _DAY)
    assert _files(repository, "snapshots/2026-11-23/dists") == before
    assert check_target(repository, LOCAL, NOW + _DAY) == []
    # What check finds in a channel it finds here.
    (archive / "dists/stable/InRelease").unlink()
    said = [problem.text for problem in check_target(repository, LOCAL, NOW + _DAY)]
    assert any("snapshots/2026-11-23/dists/stable: has no InRelease" in text for text in said)


def test_apts_option_changes_nothing_where_it_is_off(taken: Repository) -> None:
    assert "Snapshots:" not in (taken.public / "dists/stable/Release").read_text()
    assert not (taken.public / "snapshots/2026-11-23/dists").exists()


@pytest.mark.parametrize(
    ("place", "phase"),
    [
        ("snapshots/2026-11-23/dists/stable/InRelease", Phase.ENTRY),
        ("snapshots/2026-11-23/dists/stable/Release.gpg", Phase.SIGNATURE),
        ("snapshots/2026-11-23/dists/stable/main/binary-amd64/Packages.gz", Phase.INDEX),
        (f"snapshots/2026-11-23/dists/stable/main/by-hash/SHA256/{'a' * 64}", Phase.CONTENT),
        ("snapshots/2026-11-23/index.html", Phase.PAGE),
    ],
)
def test_indexes_for_apts_option_are_put_in_the_order_of_a_channel(
    place: str, phase: Phase
) -> None:
    assert phase_of(PurePosixPath(place)) is phase
