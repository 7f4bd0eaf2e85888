"""Gates, by the Python that runs the tests and folders that are like a service's."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from builder.base.cache import Cache
from builder.base.errors import PayloadError
from builder.base.paths import PKGSPEC
from builder.jobs.gates import GatedStage, Gatekeeper, check_gates
from builder.spec import Spec
from builder.spec.gates import GatesSpec, load_gates
from builder.stage.gates import console_scripts, failing_scripts, unread_keys
from builder.stage.imports import Environment

# Of pydantic's models, as far as the gate looks at them.
_MODELS = """
from typing import Annotated, Any, Optional


class Field:
    def __init__(self, annotation, *, validation_alias=None, alias=None):
        self.annotation = annotation
        self.validation_alias, self.alias, self.serialization_alias = validation_alias, alias, None


class Choices:
    choices = ["scaling-group", "scaling_group"]


class Docker:
    model_fields = {"port": Field(int)}


class Agent:
    model_fields = {
        "scaling_group": Field(str, validation_alias=Choices()),
        "docker": Field(Optional[Docker]),
        "labels": Field(dict[str, Any]),
        "volumes": Field(dict[str, Docker]),
    }


class Config:
    model_fields = {"agent": Field(Annotated[Agent, "more"], alias="agent")}
"""
_SCRIPTS = """
import sys


def good():
    assert sys.argv == ["good", "--help"]
    print("Usage:")
    raise SystemExit(0)


def bad():
    raise RuntimeError("no help here")


def wrong():
    return 3


def stops():
    import os
    os._exit(1)
"""
_POINTS = """
[console_scripts]
good = scripts:good
bad = scripts:bad [extra]
wrong = scripts:wrong
stops = scripts:stops
gone = no_such_module:main

[other]
x = y:z
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of distributions."""
    folder = tmp_path / "stage/opt/backendai/manager/lib/python3.99/site-packages"
    (folder / "scripts-1.dist-info").mkdir(parents=True)
    (folder / "scripts-1.dist-info/entry_points.txt").write_text(_POINTS)
    (folder / "scripts.py").write_text(_SCRIPTS)
    (folder / "models.py").write_text(_MODELS)
    return folder


@pytest.fixture
def environment(site: Path) -> Environment:
    return Environment(python=Path(sys.executable), sites=[site])


def test_scripts_whose_help_fails_are_named(environment: Environment, tmp_path: Path) -> None:
    scripts = console_scripts(environment.sites)
    assert scripts["bad"] == "scripts:bad"
    assert "x" not in scripts
    assert failing_scripts(environment, scripts, tmp_path / "work", jobs=2) == {
        "bad": "RuntimeError: no help here",
        "wrong": "status 3",
        "stops": "ended the interpreter",
        "gone": "ModuleNotFoundError: No module named 'no_such_module'",
    }


def test_keys_that_no_field_reads_are_named(environment: Environment, tmp_path: Path) -> None:
    keys = [
        "agent.scaling-group",  # by an alias
        "agent.docker.port",  # below an optional table
        "agent.labels.anything",  # a table without a model
        "agent.volumes.volume1.port",  # a table of any names
        "agent.volumes.volume1.path",
        "agent.volumes.{storage.label}.port",  # a recipe's word for each of the site's
        "agent.volumes.{storage.label}.path",
        "agent.initial-resource-group-name",
        "agent.docker.ports",
        "agents.x",
    ]
    assert unread_keys(environment, "models:Config", keys, tmp_path) == {
        "agent.initial-resource-group-name": "no field 'initial-resource-group-name'",
        "agent.docker.ports": "no field 'ports'",
        "agent.volumes.volume1.path": "no field 'path'",
        "agent.volumes.{storage.label}.path": "no field 'path'",
        "agents.x": "no field 'agents'",
    }
    gone = unread_keys(environment, "models:Gone", keys, tmp_path / "gone")
    assert gone == {"models:Gone": "ended the interpreter"}


@pytest.fixture
def stage(site: Path, tmp_path: Path) -> GatedStage:
    """The manager's stage, with two migrations that nobody joined, on this Python."""
    versions = site / "ai/backend/manager/models/alembic/versions"
    versions.mkdir(parents=True)
    for name in ("a", "b"):
        (versions / f"{name}.py").write_text(f'revision = "{name}"\ndown_revision = None\n')
    runtime = tmp_path / "runtime/opt/backendai/runtime"
    (runtime / "bin").mkdir(parents=True)
    (runtime / "bin/python3.99").symlink_to(sys.executable)
    (site / "scripts-1.dist-info/entry_points.txt").write_text(
        "[console_scripts]\nbad=scripts:bad\n"
    )
    (site / "broken.py").write_text("import no_such_module\n")
    return GatedStage(
        package="backendai-manager",
        service="manager",
        key="1",
        root=tmp_path / "stage",
        runtime=tmp_path / "runtime",
    )


def keeper(spec: Spec, cache: Cache, services: Path, **gates: object) -> Gatekeeper:
    return Gatekeeper(
        release=spec.release(None),
        gates=GatesSpec.model_validate(gates),
        services=services,
        cache=cache,
        jobs=2,
    )


def test_what_has_no_reason_ends_the_gates(
    stage: GatedStage, real_spec: Spec, cache: Cache, tmp_path: Path
) -> None:
    recipe = tmp_path / "services/manager/recipe.toml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(
        '[[config]]\nfile = "m.toml"\nmodel = "models:Config"\n[config.set]\n"agent.x" = 1\n'
    )
    said: list[str] = []
    with pytest.raises(PayloadError) as found:
        check_gates(keeper(real_spec, cache, recipe.parents[1]), [stage], said.append)
    assert str(found.value).splitlines()[1:] == [
        "backendai-manager: migrations: 2 heads: a, b",
        "backendai-manager: module broken: ModuleNotFoundError: No module named 'no_such_module'",
        "backendai-manager: script bad: RuntimeError: no help here",
        "backendai-manager: key m.toml: agent.x: no field 'x'",
    ]
    assert said == ["backendai-manager: 4 problems"]


def test_a_known_reason_lets_a_failure_pass_and_nothing_runs_twice(
    stage: GatedStage, real_spec: Spec, cache: Cache, tmp_path: Path
) -> None:
    (stage.root / "opt/backendai/manager/lib/python3.99/site-packages/ai").rename(tmp_path / "ai")
    known = {
        "module": [{"match": ["bro*"], "error": "ModuleNotFoundError*", "reason": "Optional."}],
        "script": [
            {
                "match": ["bad"],
                "error": "RuntimeError: *",
                "packages": ["backendai-manager"],
                "reason": "No help.",
            }
        ],
    }
    first = keeper(real_spec, cache, tmp_path / "services", **known)
    assert first.check(stage) == []
    # The same inputs are not looked at again; another key is.
    (stage.root / "opt/backendai/manager/lib/python3.99/site-packages/late.py").write_text("1/0")
    assert first.check(stage) == []
    others = keeper(real_spec, cache, tmp_path / "services")
    assert len(others.check(stage)) == 2
    script = known["script"][0] | {"packages": ["backendai-agent"]}
    elsewhere = keeper(real_spec, cache, tmp_path / "services", **{**known, "script": [script]})
    assert elsewhere.check(stage) == ["script bad: RuntimeError: no help here"]


@pytest.mark.parametrize("how", [{}, {"error": "*", "missing": ["a"]}])
def test_a_reason_says_in_one_way_how_it_fails(how: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="either 'error' or 'missing'"):
        GatesSpec.model_validate({"module": [{"match": ["a"], "reason": "b", **how}]})


def test_the_projects_own_reasons_leave_backend_ai_to_be_looked_at() -> None:
    reasons = load_gates(PKGSPEC).module

    def is_known(name: str, error: str) -> bool:
        return any(reason.covers("backendai-manager", name, error) for reason in reasons)

    assert not is_known("ai.backend.manager.server", "ModuleNotFoundError: No module named 'x'")
    assert not is_known("aiohttp.web", "ImportError: cannot import name 'x'")
    assert is_known("aiohttp.worker", "ModuleNotFoundError: No module named 'gunicorn'")
    # What a service lost is not what it never had.
    assert not is_known("aiohttp.worker", "ModuleNotFoundError: No module named 'yarl'")
    assert is_known(
        "ai.backend.manager.models.alembic.env",
        "AttributeError: module 'alembic.context' has no attribute 'config'",
    )
