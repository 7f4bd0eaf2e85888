"""Rows of registries, and who may use them: made, followed, and left to an admin."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.registries.model import Registry
from backendai_ctl.seed.data import Allowance, Registries, SeedProfile
from backendai_ctl.seed.marks import Marks
from backendai_ctl.seed.model import State
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.seed.steps.registries import AllowanceStep, RegistryStep, scan_mark
from backendai_ctl.seed.steps.shared import shared_mark

TABLE = "container_registries"
SPEC = Registries(table=TABLE, since=(24, 9))
ALLOW = Allowance(table="domains", row="default", column="allowed_docker_registries")
SHIPPED = [
    {
        "id": "11111111-1111-4111-8111-111111111111",
        "registry_name": "cr.backend.ai",
        "url": "https://cr.backend.ai",
        "type": "harbor2",
        "project": "stable",
    }
]
DOMAINS = [{"name": "default", ALLOW.column: ["cr.backend.ai", "index.docker.io"]}]
# What packages before rows had marks gave to rows of their own.
OLD_NAMES = uuid.UUID("5f0c9a4e-31c7-4f0e-8d0d-6b1c6c7f3f6a")
HUB = Registry(
    section="registry.hub",
    name="hub:5000",
    url="https://hub:5000",
    type="docker",
    projects=("stable", "extra"),
    user="kim",
    password="never shown",
)
DEFAULT = Registry(
    section="registry",
    name="cr.backend.ai",
    url="https://cr.backend.ai",
    type="harbor2",
    projects=("stable",),
    is_default=True,
)


@dataclass
class Site:
    """A database and the release's command, as far as the steps see them."""

    layout: Layout
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id
    domain: list[str] | None = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    loaded: list[dict[str, Any]] = field(default_factory=list)

    @property
    def filled(self) -> SeededDatabase:
        """What a step is given."""
        marks = SimpleNamespace(
            get=self.marks.get,
            set=self.marks.__setitem__,
            drop=lambda name: self.marks.pop(name, None),
            prepared=lambda name, value: [("mark", (name, value))],
        )
        profile = SeedProfile(since=(24, 9), fixtures=("registries", "domains"), registries=SPEC)
        return cast(
            "SeededDatabase",
            SimpleNamespace(
                layout=self.layout,
                profile=profile,
                version="26.9.6",
                deriver=SimpleNamespace(secret="s"),
                target="database 'backend'",
                data=SimpleNamespace(service="manager"),
                marks=cast("Marks", marks),
                connection=SimpleNamespace(
                    rows=self._query, execute=self._execute, value=lambda *_: None
                ),
                cli=SimpleNamespace(run=self._run, log="manager.log"),
            ),
        )

    def rows_of(self, name: str) -> dict[str, dict[str, Any]]:
        """The rows of one registry, by project."""
        found = [row for row in self.rows.values() if row["registry_name"] == name]
        return {row["project"]: row for row in found}

    def step(self, registry: Registry = HUB) -> RegistryStep:
        """The step of one registry."""
        return RegistryStep(database=self.filled, spec=SPEC, registry=registry)

    def allowance(self, *registries: Registry) -> AllowanceStep:
        """The step that lets the domain use them."""
        return AllowanceStep(database=self.filled, spec=ALLOW, registries=registries)

    def _query(self, statement: str, *values: Any) -> Sequence[Mapping[str, Any]]:
        if "domains" in statement:
            return [] if self.domain is None else [cast("Mapping[str, Any]", [self.domain])]
        row = self.rows_of(values[0]).get(values[1])
        return [row] if row else []

    def _execute(self, *statements: tuple[str, Sequence[Any]]) -> None:
        for statement, values in statements:
            if statement == "mark":
                self.marks[values[0]] = values[1]
            elif self.domain is not None and values[0] not in self.domain:
                self.domain.append(values[0])

    def _run(self, *words: str) -> None:
        path = Path(words[2])
        assert path.stat().st_mode & 0o777 == 0o600
        fixture = json.loads(path.read_text())
        self.loaded.append(fixture)
        for row in fixture[TABLE]:
            if fixture.get("__mode") == "update":
                self.rows[row["id"]].update(row)
            else:
                self.rows.setdefault(row["id"], row)


@pytest.fixture
def site(layout: Layout) -> Site:
    """A database that was filled from the release's fixtures."""
    folder = layout.root / "opt/backendai/manager/share/backendai/fixtures"
    folder.mkdir(parents=True)
    for name, rows in ((TABLE, SHIPPED), ("domains", DOMAINS)):
        short = "registries" if name == TABLE else name
        (folder / f"example-{short}.json").write_text(json.dumps({name: rows}))
    layout.seed_state.mkdir(parents=True)
    return Site(layout=layout, domain=["cr.backend.ai", "index.docker.io"])


def done(step: RegistryStep | AllowanceStep) -> None:
    """Do what the step finds to do, which then is all."""
    assert step.inspect().state is State.CREATE
    step.apply()
    assert step.inspect().state is State.EXISTS


def test_a_registry_gets_a_row_a_project(site: Site) -> None:
    done(site.step())
    rows = site.rows_of("hub:5000")
    assert set(rows) == {"stable", "extra"}
    assert {(row["url"], row["type"]) for row in rows.values()} == {("https://hub:5000", "docker")}
    assert {(row["username"], row["password"]) for row in rows.values()} == {("kim", "never shown")}
    assert not list(site.layout.seed_state.glob("fixture-*"))
    assert "never shown" not in "".join(site.marks.values()) + site.step().inspect().detail


def test_without_a_user_there_is_none_in_the_row(site: Site) -> None:
    done(site.step(replace(HUB, user="", password="")))
    row = site.rows_of("hub:5000")["stable"]
    assert (row["username"], row["password"]) == (None, None)


def test_a_new_password_and_address_are_followed(site: Site) -> None:
    done(site.step())
    site.marks[scan_mark("hub:5000")] = "3"
    newer = replace(HUB, password="newer", url="https://hub:5000/")
    ids = set(site.rows)
    done(site.step(newer))
    assert set(site.rows) == ids
    assert {row["password"] for row in site.rows.values()} == {"newer"}
    assert scan_mark("hub:5000") not in site.marks  # to be scanned again


def test_a_row_that_an_admin_edited_stays(site: Site) -> None:
    done(site.step())
    site.rows_of("hub:5000")["stable"]["password"] = "of the admin"
    newer = replace(HUB, password="newer")
    assert site.step().inspect().state is State.DIFFERS
    step = site.step(newer)
    assert step.inspect().detail == "extra"
    step.apply()
    assert step.inspect().state is State.DIFFERS
    assert step.inspect().detail == "stable: changed in Backend.AI"
    passwords = {project: row["password"] for project, row in site.rows_of("hub:5000").items()}
    assert passwords == {"stable": "of the admin", "extra": "newer"}


def test_a_row_that_an_admin_removed_stays_away(site: Site) -> None:
    done(site.step())
    del site.rows[site.rows_of("hub:5000")["extra"]["id"]]
    finding = site.step().inspect()
    assert (finding.state, finding.detail) == (State.DIFFERS, "extra: removed in Backend.AI")
    assert not finding.remedy  # no fault for the doctor


def test_a_row_of_an_admins_own_is_not_taken_over(site: Site) -> None:
    row = {"registry_name": "hub:5000", "url": "https://hub:5000", "type": "docker"}
    own = {"id": "x", **row, "project": "stable", "username": None, "password": None}
    site.rows["x"] = own
    step = site.step(replace(HUB, projects=("stable",)))
    assert step.inspect().state is State.DIFFERS
    step.apply()
    assert site.rows == {"x": own}
    assert not site.loaded


def test_rows_of_packages_before_get_the_password_of_site_toml(site: Site) -> None:
    old = str(uuid.uuid5(OLD_NAMES, "https://hub:5000/stable"))
    site.marks["seeded"] = "26.9.6"
    site.rows[old] = {
        "id": old, "registry_name": "hub:5000", "url": "https://hub:5000", "type": "docker",
        "project": "stable", "username": None, "password": None,
    }  # fmt: skip
    done(site.step(replace(HUB, projects=("stable",))))
    assert site.rows[old]["password"] == "never shown"
    assert list(site.rows) == [old]


def test_a_run_that_was_killed_knows_its_row_again(site: Site) -> None:
    done(site.step())
    before = dict(site.marks)
    newer = replace(HUB, password="newer")
    done(site.step(newer))
    killed = {name: f"{before[name]} {site.marks[name]}" for name in before}
    site.marks.update(killed)  # the row was written, and the mark not brought to its end
    newest = replace(HUB, password="newest")
    done(site.step(newest))
    assert {row["password"] for row in site.rows.values()} == {"newest"}


def test_the_releases_own_registry_is_as_its_fixture_has_it(site: Site) -> None:
    shipped = {**SHIPPED[0], "username": None, "password": None}
    site.rows[str(shipped["id"])] = shipped
    assert site.step(DEFAULT).inspect().state is State.EXISTS
    done(site.step(replace(DEFAULT, user="kim", password="x", is_default=False)))
    assert site.rows[str(shipped["id"])]["username"] == "kim"


def test_a_shipped_registry_that_was_removed_before_there_were_marks_stays_away(
    site: Site,
) -> None:
    site.marks["seeded"] = "26.9.6"
    assert site.step(DEFAULT).inspect().state is State.DIFFERS
    site.domain = ["index.docker.io"]
    assert site.allowance(DEFAULT).inspect().state is State.EXISTS


def test_the_domain_may_use_images_of_the_nodes_own_docker(site: Site) -> None:
    """The Web UI lists images of registries that the domain may use, and no others."""
    done(site.allowance(DEFAULT, replace(HUB, name="local", type="local")))
    assert site.domain == ["cr.backend.ai", "index.docker.io", "local"]


def test_the_domain_may_use_each_registry_once(site: Site) -> None:
    step = site.allowance(DEFAULT, HUB, replace(HUB, projects=("third",)))
    assert step.inspect().detail == "hub:5000"
    done(step)
    assert site.domain == ["cr.backend.ai", "index.docker.io", "hub:5000"]
    site.domain.remove("hub:5000")
    assert step.inspect().state is State.EXISTS  # an admin's removal stays


def test_a_domain_that_is_gone_is_said(site: Site) -> None:
    site.domain = None
    assert site.allowance(HUB).inspect().state is State.CREATE
    site.marks["seeded"] = "26.9.6"
    assert site.allowance(HUB).inspect().state is State.DIFFERS


def test_a_new_row_is_registered_anew_for_every_user(site: Site) -> None:
    """The rows before it are registered once; a changed row is the same member."""
    site.marks[shared_mark(TABLE)] = "26.9.6"
    site.step().apply()
    assert shared_mark(TABLE) not in site.marks
    site.marks[shared_mark(TABLE)] = "26.9.6"
    site.step(replace(HUB, password="another")).apply()
    assert shared_mark(TABLE) in site.marks
