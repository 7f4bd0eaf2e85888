"""What differs between two releases: from wheels, and of two real pairs, as golden files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builder.release.compare import Area, Report, compare
from builder.release.facts import (
    Facts,
    WheelFacts,
    read_fixtures,
    read_points,
    read_samples,
    read_words,
    release_locks,
    sample_keys,
    wheel_facts,
)
from builder.release.migrations import Migration, Migrations
from builder.release.osv import load_snapshot
from builder.release.page import render_page, render_text
from builder.release.review import find_reviews
from builder.release.treemap import lay_out
from builder.spec import Spec
from tests.conftest import Golden
from tests.helpers.specs import locked
from tests.helpers.wheelhouse import Recipe

_CLI = '''
@main.command()
@click.option("--x")
def rescan_all(x):
    """Scan."""


@main.group(name="schema")
def cli():
    pass


@cli.command("oneshot", context_settings={"help_option_names": ["-h"]})
@click.pass_obj
async def create(obj):
    pass
'''


def lock_facts(spec: Spec, name: str) -> Facts:
    """The facts of a real release that its locks alone tell: no wheel is read."""
    release = spec.release(name)
    locks = release_locks(spec, release)
    found = {found.name: found for lock in locks for found in lock.wheel}
    return Facts(
        release=release.name,
        version=release.version,
        python=locks[0].python,
        requires_python=locks[0].requires_python,
        packages=release.packages,
        wheels={each: wheel_facts(distribution, None) for each, distribution in found.items()},
        samples={},
        fixtures={},
        migrations={},
        entry_points=frozenset(),
        words=frozenset(),
    )


@pytest.mark.parametrize(("new", "old"), [("26.9", "26.8"), ("26.8", "26.4")])
def test_what_a_real_release_changes(real_spec: Spec, golden: Golden, new: str, old: str) -> None:
    report = compare(lock_facts(real_spec, new), lock_facts(real_spec, old))
    golden.check(f"release-{new}-against-{old}.txt", render_text(report))


def facts(**changed: object) -> Facts:
    empty = Facts(
        release="1.0",
        version="1.0.2",
        python="3.13",
        requires_python=">=3.13",
        packages=("a",),
        wheels={},
        samples={},
        fixtures={},
        migrations={},
        entry_points=frozenset(),
        words=frozenset(),
    )
    return replace(empty, **changed)  # type: ignore[arg-type]


def lines_of(report: Report, title: str) -> list[str]:
    (section,) = [section for section in report.sections if section.title == title]
    return [line.text for line in section.lines]


def test_a_wheel_says_its_licence_notes_and_glibc(tmp_path: Path) -> None:
    file = "zlib_ng-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    found = wheel_facts(locked("zlib-ng", "1.0", file), None)
    assert (found.glibc, found.licence, found.size) == ("2.17", "", 10)
    wheel = Recipe(name="library").write(tmp_path)
    assert wheel_facts(locked("library", "1.0", wheel.name), wheel).glibc == ""


def test_samples_have_the_keys_of_comments_too() -> None:
    text = '[agent]\n# mode = "docker"\nid = "x"\n[agent.docker]\n#port=1\n# Some words.\n# a =\n'
    assert set(sample_keys(text)) == {"agent.mode", "agent.id", "agent.docker.port"}


def test_an_installers_samples_and_fixtures_are_read(tmp_path: Path) -> None:
    files = {
        "ai/backend/install/configs/agent.toml": b"[agent]\nid = 1\n",
        "ai/backend/install/configs/compose.yml": b"a: 1\n",
        "ai/backend/install/fixtures/users.json": json.dumps(
            {"users": [{"name": 1}, {"mail": 2}], "version": 3}
        ).encode(),
        "ai/backend/install/fixtures/templates.json": b"[1, 2]",
    }
    wheel = Recipe(name="install", files=files).write(tmp_path)
    assert read_samples(wheel) == {"agent.toml": {"agent.id"}}
    assert read_fixtures(wheel) == {
        "users.json": {"users.name", "users.mail"},
        "templates.json": frozenset(),
    }


def test_commands_and_entry_points_are_read(tmp_path: Path) -> None:
    files = {"ai/backend/manager/cli/image.py": _CLI.encode(), "ai/backend/x.py": _CLI.encode()}
    wheel = Recipe(name="manager", files=files, scripts={"backend.ai": "m:main"}).write(tmp_path)
    assert set(read_words(wheel)) == {
        "manager/cli/image: rescan-all",
        "manager/cli/image: schema",
        "manager/cli/image: oneshot",
    }
    assert list(read_points(wheel)) == ["console_scripts: backend.ai"]


def test_differences_are_in_their_sections() -> None:
    old = facts(samples={"agent.toml": frozenset({"agent.scaling-group"})}, words=frozenset("a"))
    new = facts(
        samples={"agent.toml": frozenset({"agent.group"}), "new.toml": frozenset()},
        python="3.14",
        words=frozenset("b"),
    )
    report = compare(new, old, lacking=["plug-in"])
    assert lines_of(report, "Samples") == [
        "+ new.toml",
        "agent.toml: + agent.group",
        "agent.toml: - agent.scaling-group",
    ]
    assert "Python: 3.13 -> 3.14" in lines_of(report, "Python and glibc")
    assert lines_of(report, "Commands") == ["+ b", "- a"]
    assert lines_of(report, "The index lacks") == ["plug-in"]


def test_fields_of_schemas_are_compared_where_both_releases_have_them() -> None:
    old = facts(schemas={"graphene": frozenset({"Queries.agent: Agent", "Agent.id: ID"})})
    new = facts(
        version="1.0.3",
        schemas={
            "graphene": frozenset({"Query.agent: Agent", "Agent.id: ID"}),
            "public": frozenset(),
        },
    )
    assert lines_of(compare(new, old), "GraphQL fields") == [
        "+ public",
        "graphene: + Query.agent: Agent",
        "graphene: - Queries.agent: Agent",
    ]
    without = facts(version="0.9")
    assert lines_of(compare(new, without), "GraphQL fields") == ["not compared: no schemas of 0.9"]


def test_vulnerabilities_are_new_left_or_gone(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(json.dumps([_record("GHSA-a", "2"), _record("GHSA-b", "3", summary="")]))
    old = facts(wheels={"library": _wheel("1.0")})
    new = facts(wheels={"library": _wheel("2.1"), "other": _wheel("0.1")})
    report = compare(new, old, snapshot=load_snapshot(path))
    assert lines_of(report, "Known vulnerabilities") == [
        "  library 2.1: GHSA-b: no summary (fixed in 3)",
        "- library 1.0: GHSA-a: A fault",
    ]
    report = compare(new, facts(), snapshot=load_snapshot(path))
    assert lines_of(report, "Known vulnerabilities") == [
        "+ library 2.1: GHSA-b: no summary (fixed in 3)"
    ]
    (line,) = [
        line
        for section in report.sections
        if section.title == "Known vulnerabilities"
        for line in section.lines
    ]
    assert line.link == "https://osv.dev/vulnerability/GHSA-b"
    # Nobody is left to think that none is known.
    assert lines_of(compare(new, old), "Known vulnerabilities") == [
        "not looked for: give a snapshot by --osv"
    ]


def _record(name: str, fixed: str, summary: str = "A fault") -> dict[str, object]:
    events = [{"introduced": "0"}, {"fixed": fixed}]
    package = {"ecosystem": "PyPI", "name": "library"}
    affected = [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
    return {"id": name, "summary": summary, "affected": affected}


def _wheel(version: str) -> WheelFacts:
    return WheelFacts(version=version, size=1)


def test_a_person_is_sent_to_the_file_that_has_to_change(tmp_path: Path) -> None:
    """A migration that commits, and a key that the recipe sets and the sample has no more."""
    services = tmp_path / "postinst" / "services"
    (services / "agent").mkdir(parents=True)
    (services / "manager").mkdir()
    (services / "manager" / "upgrade.toml").write_text('stops = ["known"]\n')
    (services / "agent" / "recipe.toml").write_text(
        '[[config]]\nfile = "agent.toml"\n[config.set]\n"agent.id" = 1\n"agent.never" = 1\n'
        '[[config.line]]\nsince = "0.9"\n[config.line.set]\n"agent.scaling-group" = 1\n'
    )
    place = "ai/backend/manager/models/alembic/versions"
    chain = {
        "known": Migration(revision="known", parents=(), commits=True),
        "fresh": Migration(revision="fresh", parents=("known",), commits=True),
    }
    keys = frozenset({"agent.id", "agent.scaling-group"})
    old = facts(
        samples={"agent.toml": keys},
        migrations={place: Migrations(by_revision={"known": chain["known"]})},
    )
    new = facts(
        version="1.0.3",
        samples={"agent.toml": frozenset({"agent.id"})},
        migrations={place: Migrations(by_revision=chain)},
    )
    found = {(review.file, review.why) for review in find_reviews(services, new, old)}
    assert found == {
        (
            "postinst/services/manager/upgrade.toml",
            "'stops' lacks fresh, a migration that commits by itself",
        ),
        (
            "postinst/services/agent/recipe.toml",
            "it sets agent.scaling-group, which the sample agent.toml no longer has",
        ),
    }
    assert find_reviews(services, old, old) == []
    # No database goes from a newer release to an older one.
    for version, warned in (("0.9", False), ("2.0", True)):
        reviews = find_reviews(services, replace(old, version=version), new)
        assert any("databases of 1.0.3" in review.why for review in reviews) is warned


def test_a_map_fills_its_rectangle_in_proportion() -> None:
    areas = [Area(name=f"w{size}", size=size, before=0) for size in (50, 30, 15, 5)]
    boxes = lay_out([*areas, Area(name="none", size=0, before=3)], width=200, height=100)
    assert {box.area.name for box in boxes} == {"w50", "w30", "w15", "w5"}
    for box in boxes:
        assert box.width * box.height == pytest.approx(box.area.size * 200)
        assert 0 <= box.left <= box.left + box.width <= 200 + 1e-6
        assert 0 <= box.top <= box.top + box.height <= 100 + 1e-6
    assert lay_out([], width=1, height=1) == []


@pytest.mark.parametrize(
    ("size", "before", "change"), [(2, 0, "new"), (2, 2, "same"), (3, 2, "grown"), (1, 2, "shrunk")]
)
def test_a_map_says_how_a_wheel_has_changed(size: int, before: int, change: str) -> None:
    (box,) = lay_out([Area(name="w", size=size, before=before)], width=9, height=9)
    assert box.change == change


def test_the_page_escapes_and_loads_nothing(real_spec: Spec) -> None:
    new = lock_facts(real_spec, "26.9")
    wheels = {**new.wheels, "bad": replace(new.wheels["click"], notes="javascript:alert(1)")}
    old = lock_facts(real_spec, "26.8")
    report = compare(replace(new, wheels=wheels), old, lacking=["<b>"])
    page = render_page(report)
    assert "javascript:" not in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    for word in ("src=", "@import", "url("):
        assert word not in page
    assert page.count("<rect") == sum(wheel.size > 0 for wheel in wheels.values())
