"""The indexes of dnf and zypper, read again by createrepo_c as a client would."""

import gzip
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import createrepo_c
import pytest

from builder.base.errors import PayloadError, UsageError
from builder.base.files import hash_file
from builder.base.model import PackageFormat
from builder.repo.config import RepoConfig
from builder.repo.model import Index, RepoPackage, RpmRecord, pool_path
from builder.repo.packages import HeldPackages
from builder.repo.parts import Output
from builder.repo.publication import Phase, phase_of
from builder.repo.repodata import RpmIndexer, read_rpm_package
from builder.repo.spool import Spool
from tests.helpers.package_files import Payload, RpmFile

_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_ADDED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
_CHANGELOG_TIME, _CHANGELOG_NAME, _CHANGELOG_TEXT = 1080, 1081, 1082
_FILE_DIGESTS = 1035
_FOLDER = PurePosixPath("rpm/stable/main/x86_64")

Taken = tuple[RepoPackage, bytes]
Take = Callable[..., Taken]


def _config(**changes: object) -> RepoConfig:
    table: dict[str, object] = {
        "name": "backendai",
        "origin": "Backend.AI",
        "label": "Backend.AI",
        "base-url": "https://packages.example.com/",
        "channels": {"stable": {}, "nightly": {}},
        **changes,
    }
    return RepoConfig.model_validate(table)


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Makes an rpm and takes it in, as ``add`` does."""

    def take_in(name: str, version: str, arch: str = "x86_64", component: str = "main") -> Taken:
        made = RpmFile(
            name=name,
            version=version,
            payload=[
                Payload(path=f"/usr/bin/{name}", content=b"run", mode=0o100755),
                Payload(path=f"/opt/{name}/lib&data", content=b"data"),
            ],
            extra={
                1022: (6, arch),
                _FILE_DIGESTS: (8, ["0" * 64, "1" * 64]),  # without them librpm lists no file
                _CHANGELOG_TIME: (4, [1795392000]),
                _CHANGELOG_NAME: (8, [f"Packager <p@localhost> - {version}-1"]),
                _CHANGELOG_TEXT: (8, [f"- Changes of <{version}>."]),
            },
        )
        path = tmp_path / f"{name}-{version}-1.{arch}.rpm"
        path.write_bytes(made.build())
        read = read_rpm_package(path)
        package = RepoPackage(
            name=read.name,
            version=read.version,
            arch=read.arch,
            component=component,
            file=path.name,
            pool=pool_path(component, read.identity),
            sha256=hash_file(path),
            size=path.stat().st_size,
            added=_ADDED,
            record=read.record,
        )
        return package, read.listing

    return take_in


def _index(*taken: Taken, config: RepoConfig | None = None, now: datetime = _NOW) -> Index:
    listings = {package.sha256: listing for package, listing in taken}
    with tempfile.TemporaryDirectory() as folder:
        output = Output(spool=Spool(Path(folder)))
        indexer = RpmIndexer(output, lambda sha256: listings[sha256])
        packages = HeldPackages([package for package, _ in taken])
        indexer.index("stable", packages, config or _config(), now)
        return {path: output.spool.read(path) for path in output.spool.files}


def _write(index: Index, root: Path) -> None:
    for path, data in index.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def _load(folder: Path) -> dict[str, createrepo_c.Package]:
    metadata = createrepo_c.Metadata()
    metadata.locate_and_load_xml(str(folder))
    return {metadata.get(key).nevra(): metadata.get(key) for key in metadata.keys()}  # noqa: SIM118


def test_reading_keeps_all_that_an_index_says(take: Take) -> None:
    package, listing = take("backendai-manager", "26.9.6")
    assert (package.fmt, package.name) == (PackageFormat.RPM, "backendai-manager")
    assert (package.version, package.arch) == ("26.9.6-1", "x86_64")
    assert isinstance(package.record, RpmRecord)
    assert package.sha256 in package.record.primary
    assert "Changes of &lt;26.9.6&gt;" in package.record.other
    assert b"<file>/opt/backendai-manager/lib&amp;data</file>" in listing


def test_reading_refuses_what_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.rpm"
    whole = RpmFile(name="a", version="1", payload=[Payload(path="/a", content=b"x" * 99)]).build()
    path.write_bytes(whole[:-4])
    with pytest.raises(PayloadError, match=re.escape(str(path))):
        read_rpm_package(path)
    path.write_bytes(b"no rpm at all")
    with pytest.raises(UsageError, match="not a deb or rpm"):
        read_rpm_package(path)


@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_a_client_reads_every_package(take: Take, tmp_path: Path, compression: str) -> None:
    manager, old = take("backendai-manager", "26.9.6"), take("backendai-manager", "26.9.5")
    config = _config(rpm={"compression": compression})
    index = _index(old, manager, config=config)
    _write(index, tmp_path / "tree")
    found = _load(tmp_path / "tree" / _FOLDER)
    assert set(found) == {
        "backendai-manager-0:26.9.5-1.x86_64",
        "backendai-manager-0:26.9.6-1.x86_64",
    }
    newest = found["backendai-manager-0:26.9.6-1.x86_64"]
    assert newest.pkgId == manager[0].sha256
    assert newest.size_package == manager[0].size
    assert newest.time_file == int(_ADDED.timestamp())
    place = PurePosixPath(newest.location_href)
    assert place == PurePosixPath("../../../..") / manager[0].pool
    assert [f"{file[1]}{file[2]}" for file in newest.files] == [
        "/usr/bin/backendai-manager",
        "/opt/backendai-manager/lib&data",
    ]
    assert [entry[2] for entry in newest.changelogs] == ["- Changes of <26.9.6>."]
    assert all(f".xml.{compression}" in name for name in _lists(index))


def _lists(index: Index) -> list[str]:
    return [path.name for path in index if "-" in path.name]


def test_the_snapshot_says_the_same_and_the_mirrorlist_names_it(take: Take) -> None:
    index = _index(take("a1", "1"))
    address = index[_FOLDER / "mirrorlist"].decode()
    prefix = "https://packages.example.com/rpm/stable/main/x86_64."
    assert re.fullmatch(re.escape(prefix) + r"[0-9a-f]{32}/\n", address)
    snapshot = PurePosixPath(address.strip().removeprefix("https://packages.example.com/"))
    plain = {path.relative_to(_FOLDER): data for path, data in index.items() if _is_in(path)}
    same = {path: index[snapshot / path] for path in plain if path.name != "mirrorlist"}
    del plain[PurePosixPath("mirrorlist")]
    assert same == plain
    assert len(plain) == 4


def _is_in(path: PurePosixPath) -> bool:
    return path.is_relative_to(_FOLDER)


def test_the_order_keeps_a_reader_whole(take: Take) -> None:
    index = _index(take("a1", "1"))
    phases = {path: phase_of(path) for path in index}
    snapshot = [path for path in index if re.search(r"x86_64\.[0-9a-f]{32}/", str(path))]
    assert {phases[path] for path in snapshot} == {Phase.CONTENT}
    assert phase_of(snapshot[0].with_name("repomd.xml.asc")) is Phase.CONTENT
    assert phases[_FOLDER / "mirrorlist"] is Phase.ENTRY
    assert phases[_FOLDER / "repodata/repomd.xml"] is Phase.ENTRY


def test_repomd_states_what_the_lists_are(take: Take, tmp_path: Path) -> None:
    index = _index(take("a1", "1"))
    path = tmp_path / "repomd.xml"
    path.write_bytes(index[_FOLDER / "repodata/repomd.xml"])
    repomd = createrepo_c.Repomd(str(path))
    assert repomd.revision == str(int(_NOW.timestamp()))
    assert [record.type for record in repomd.records] == ["primary", "filelists", "other"]
    for record in repomd.records:
        data = index[_FOLDER / record.location_href]
        assert record.size == len(data)
        assert record.size_open == len(gzip.decompress(data))
        assert record.checksum in record.location_href


def test_each_machine_sees_its_own_and_those_for_all(take: Take, tmp_path: Path) -> None:
    index = _index(take("a-all", "1", "noarch"), take("a-arm", "1", "aarch64"), take("a-pc", "1"))
    _write(index, tmp_path / "tree")
    assert set(_load(tmp_path / "tree" / _FOLDER)) == {"a-all-0:1-1.noarch", "a-pc-0:1-1.x86_64"}
    arm = _load(tmp_path / "tree" / _FOLDER.with_name("aarch64"))
    assert set(arm) == {"a-all-0:1-1.noarch", "a-arm-0:1-1.aarch64"}


def test_components_are_apart_and_an_empty_one_is_valid(take: Take, tmp_path: Path) -> None:
    config = _config(components=["main", "extra"])
    index = _index(take("a1", "1", component="extra"), config=config)
    _write(index, tmp_path / "tree")
    assert not _load(tmp_path / "tree" / _FOLDER)
    assert len(_load(tmp_path / "tree/rpm/stable/extra/x86_64")) == 1


def test_same_arguments_give_the_same_bytes(take: Take) -> None:
    taken = take("a1", "1")
    assert _index(taken) == _index(taken)
    moved = (replace(taken[0], pool=PurePosixPath("pool/main/a/a1/b.rpm")), taken[1])
    assert _index(taken) != _index(moved)


def test_no_list_holds_a_time_of_its_own(take: Take) -> None:
    """Else two publications of the same packages would differ in every file."""
    taken = take("a1", "1")
    later = _index(taken, now=datetime(2027, 1, 1, tzinfo=UTC))
    assert sorted(_lists(later)) == sorted(_lists(_index(taken)))
