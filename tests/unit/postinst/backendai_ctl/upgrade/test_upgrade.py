"""Upgrades: which versions follow which, what is refused, which dumps are kept."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from backendai_ctl.base.errors import HostError
from backendai_ctl.seed.marks import Marks
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.stores.postgresql import Database
from backendai_ctl.stores.revisions import Revisions
from backendai_ctl.stores.schema_state import Schema, SchemaState
from backendai_ctl.upgrade import dump
from backendai_ctl.upgrade.check import Examiner, Verdict
from backendai_ctl.upgrade.data import is_older, line_of, upstream
from backendai_ctl.upgrade.dump import Dumper, surplus

RELEASE = Revisions(known=frozenset({"a", "b"}), heads=frozenset({"b"}))


class FakeDatabase:
    """Answers what a dump asks for."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers

    def has_table(self, _name: str) -> bool:
        """Whatever is asked for is there."""
        return True

    def value(self, statement: str, *_: object) -> object:
        """The answer whose key the statement has."""
        return next(value for key, value in self.answers.items() if key in statement)

    def rows(self, statement: str, *_: object) -> object:
        """The same, of several rows."""
        return self.value(statement)


class FakeSeededDatabase:
    """A service with a database."""

    target = "database 'x'"
    version = "26.9.6"
    data = SimpleNamespace(service="manager")

    def __init__(self, **answers: object) -> None:
        self.connection = FakeDatabase(answers)
        self.marks = Marks(cast("Database", self.connection))


def filled(**answers: object) -> SeededDatabase:
    return cast("SeededDatabase", FakeSeededDatabase(**answers))


@pytest.mark.parametrize(
    ("version", "release", "line"),
    [
        ("26.9.6-1", "26.9.6", "26.9"),
        ("26.9.0~rc1-2", "26.9.0rc1", "26.9"),
        ("25.19.2", "25.19.2", "25.19"),
    ],
)
def test_a_package_version_names_a_release_and_its_line(
    version: str, release: str, line: str
) -> None:
    assert upstream(version) == release
    assert line_of(version) == line


def test_releases_are_ordered_by_number() -> None:
    assert is_older("26.9.6-1", "26.10.0-1")
    assert not is_older("26.9.6-1", "26.9.6-2")
    assert not is_older("26.9.6", "26.8.9")


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        ((), SchemaState.EMPTY),
        (("b",), SchemaState.CURRENT),
        (("a",), SchemaState.OLDER),
        (("c",), SchemaState.NEWER),
        (("a", "c"), SchemaState.NEWER),
    ],
)
def test_a_database_stands_to_the_release(found: Sequence[str], standing: SchemaState) -> None:
    assert Schema(found=found, release=RELEASE).state is standing


def verdict(
    monkeypatch: pytest.MonkeyPatch, *, to: str, found: str, known: str | None
) -> tuple[Verdict, str]:
    """What the examiner says of the schema where ``to`` had the revisions ``known``."""
    database = filled(marks=known)
    schema = Schema(found=(found,), release=RELEASE)
    monkeypatch.setattr(database, "schema", lambda: schema, raising=False)
    examiner = Examiner(database=database, dumper=dumper(Path("/")), to=to)
    return cast("Any", examiner)._schema()  # type: ignore[no-any-return]


def test_a_downgrade_goes_on_only_where_the_schema_is_known_to_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert verdict(monkeypatch, to="26.9.5-1", found="b", known="b")[0] is Verdict.FINE
    assert verdict(monkeypatch, to="26.8.3-1", found="b", known="a")[0] is Verdict.REFUSE
    refused = verdict(monkeypatch, to="26.8.3-1", found="b", known=None)
    assert refused[0] is Verdict.REFUSE
    assert "the schema of 26.8.3 is not known here" in refused[1]


@pytest.mark.parametrize(
    ("connected", "wanted", "words"),
    [
        ([], Verdict.FINE, "no other"),
        (
            [("10.0.0.4",), ("10.0.0.5",)],
            Verdict.WARN,
            "used from 10.0.0.4, 10.0.0.5: stop backendai-manager there",
        ),
    ],
)
def test_other_nodes_that_are_connected_are_named(
    connected: object, wanted: Verdict, words: str
) -> None:
    examiner = Examiner(database=filled(pg_stat_activity=connected), dumper=dumper(Path("/")))
    found, words_found = cast("Any", examiner)._nodes()
    assert found is wanted
    assert words in words_found


def test_a_database_of_a_newer_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(monkeypatch, to="", found="z", known=None)[0] is Verdict.REFUSE
    assert verdict(monkeypatch, to="", found="a", known=None)[0] is Verdict.WARN


def dumper(folder: Path, keep: int = 2) -> Dumper:
    return Dumper(folder=folder, keep=keep, seconds=1)


def test_no_dump_by_an_older_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dump, "client_version", lambda: 15)
    with pytest.raises(HostError, match=r"pg_dump 15 cannot dump .* PostgreSQL 17"):
        dumper(tmp_path).check(filled(server_version_num=170002, pg_database_size=1))


def test_no_dump_where_it_may_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dump, "client_version", lambda: 17)
    monkeypatch.setattr(dump, "free_bytes", lambda _: 100 * 1024**2)
    small = filled(server_version_num=170002, pg_database_size=10 * 1024**2)
    dumper(tmp_path).check(small)
    large = filled(server_version_num=170002, pg_database_size=1024**3)
    with pytest.raises(HostError, match=r"100 MB are free, .* may need 576 MB"):
        dumper(tmp_path).check(large)


def test_no_pg_dump_is_reported_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump.shutil, "which", lambda _: None)  # type: ignore[attr-defined]
    with pytest.raises(HostError) as caught:
        dump.client_version()
    assert "postgresql-client" in str(caught.value.hint)


def test_kept_dumps_are_one_service_s_and_in_their_order(tmp_path: Path) -> None:
    names = ("manager-20260102T000000Z-1.dump", "manager-20260101T000000Z-2.dump")
    for name in (*names, "other-20260101T000000Z-1.dump", "manager-broken.dump"):
        (tmp_path / name).touch()
    assert [path.name for path in dumper(tmp_path).kept("manager")] == sorted(names)


@pytest.mark.parametrize(
    ("keep", "max_bytes", "left"),
    [(3, 0, 3), (9, 0, 4), (0, 0, 1), (9, 25, 2), (9, 20, 2), (9, 5, 1), (1, 100, 1)],
)
def test_dumps_are_bounded_in_number_and_size(
    tmp_path: Path, keep: int, max_bytes: int, left: int
) -> None:
    dumps = [tmp_path / f"{number}.dump" for number in range(4)]
    for path in dumps:
        path.write_bytes(b"x" * 10)
    assert surplus(dumps, keep, max_bytes) == dumps[: 4 - left]


@pytest.mark.parametrize(
    ("version", "to", "lines", "way"),
    [
        ("26.3.3", "26.9.6-1", ("26.3", "26.9"), None),
        ("25.19.2", "26.9.6-1", ("26.3", "26.8", "26.9"), "install 26.3 first"),
        ("23.9.10", "25.19.2-1", ("25.19",), "no way leads there"),
    ],
)
def test_a_skipped_release_is_refused_with_the_way_round(
    version: str, to: str, lines: tuple[str, ...], way: str | None
) -> None:
    database = filled()
    database.version = version
    found = Examiner(
        database=database, dumper=dumper(Path("/")), to=to, from_lines=lines
    )._version()
    assert (found.verdict is Verdict.REFUSE) == (way is not None)
    assert found.detail.endswith(way or f"{version} to 26.9.6")
