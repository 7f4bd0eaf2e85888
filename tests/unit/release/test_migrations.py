"""Migrations in a wheel: heads, gaps, own commits, and whether another release goes on."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from builder.release.migrations import Migrations, read_migrations
from tests.helpers.wheelhouse import Recipe

_FOLDER = "ai/backend/manager/models/alembic/versions"
Read = Callable[[Mapping[str, str]], Migrations]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the migrations of a wheel with these scripts."""

    def call(scripts: Mapping[str, str]) -> Migrations:
        files = {f"{_FOLDER}/{name}.py": text.encode() for name, text in scripts.items()}
        wheel = Recipe(name="manager", files={"other/__init__.py": b"", **files}).write(tmp_path)
        found = read_migrations(wheel)
        assert list(found) == [_FOLDER]
        return found[_FOLDER]

    return call


def script(revision: str, down: str, more: str = "") -> str:
    return f'"""A migration."""\nrevision = "{revision}"\ndown_revision = {down}\n{more}\n'


def chain(*revisions: str) -> dict[str, str]:
    downs = ["None", *(f'"{name}"' for name in revisions)]
    return {name: script(name, down) for name, down in zip(revisions, downs, strict=False)}


def test_heads_and_parents_are_read(read: Read) -> None:
    found = read({**chain("a", "b"), "c": script("c", '"a"'), "d": script("d", '("b", "c")')})
    assert set(found.by_revision) == {"a", "b", "c", "d"}
    assert found.by_revision["d"].parents == ("b", "c")
    assert (found.heads, found.absent) == (["d"], [])


def test_two_heads_and_a_gap_are_seen(read: Read) -> None:
    found = read({**chain("a", "b"), "c": script("c", '"lost"')})
    assert (found.heads, found.absent) == (["b", "c"], ["lost"])


@pytest.mark.parametrize(
    ("more", "commits"),
    [
        ('op.execute("COMMIT")', True),
        ('op.execute("commit;")', True),
        ("with op.get_context().autocommit_block():\n    pass", True),
        ("# COMMIT is not called here", False),
        ('op.execute("DELETE FROM commits")', False),
        ("type _Scope = tuple[str, int]", False),  # newer Python than this
    ],
)
def test_a_migration_that_commits_by_itself_is_found(read: Read, more: str, commits: bool) -> None:
    found = read({"a": script("a", "None", more)})
    assert found.committing == (["a"] if commits else [])


def test_annotated_assignments_are_read(read: Read) -> None:
    text = 'revision: str = "b"\ndown_revision: str | None = "a"  # before\n'
    assert read({**chain("a"), "b": text}).by_revision["b"].parents == ("a",)


def test_a_database_goes_on_only_where_all_its_migrations_are(read: Read) -> None:
    old = read(chain("a", "b"))
    assert read(chain("a", "b", "c")).continues(old) == []
    (unknown,) = read(chain("a", "c")).continues(old)
    assert unknown == "their last migration b is unknown to it"
    (inserted,) = read(chain("a", "x", "b", "c")).continues(old)
    assert inserted == "x was inserted before their last migration"
