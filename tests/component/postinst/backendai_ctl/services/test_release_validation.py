"""The installed release validates a configuration, and problems are reported by key."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from backendai_ctl import cli
from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands import configuration
from backendai_ctl.services import release_validation as validate
from backendai_ctl.services.recipe import ConfigRecipe, load_recipe
from backendai_ctl.services.release_validation import Validator
from backendai_ctl.stores.readiness import check_docker

Configured = Callable[..., list[str]]

# A model as pydantic's look from outside, and wrapped as the release wraps it.
MODEL = """\
import logging
import pathlib

class ValidationError(ValueError):
    def __init__(self, found):
        super().__init__("wrong")
        self._found = found
    def errors(self):
        return self._found

class ManagerUnifiedConfig:
    @classmethod
    def model_validate(cls, raw):
        found = []
        manager = raw["manager"]
        if manager["service-addr"]["port"] == 8082:
            at = ("manager", "service_addr", "port")
            found.append({"loc": at, "type": "value_error", "msg": "8082 is not for you"})
        if raw["db"]["password"].startswith("bad"):
            says = "no good: " + raw["db"]["password"]
            found.append({"loc": ("db", "password"), "type": "value_error", "msg": says})
        folder = pathlib.Path(manager["ipc-base-path"])
        folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            at = ("manager", "ipc-base-path")
            found.append({"loc": at, "type": "path_not_directory", "msg": "no folder"})
        if "pid-file" in manager and not pathlib.Path(manager["pid-file"]).parent.is_dir():
            at = ("manager", "pid-file")
            found.append({"loc": at, "type": "path_not_directory", "msg": "no such folder"})
        logging.getLogger("release").warning("Unknown config field(s) in ManagerConfig: hurra")
        print("the release talks")
        if found:
            raise RuntimeError("Schema validation failed") from ValidationError(found)
"""


@pytest.fixture
def release(layout: Layout, tmp_path: Path) -> Path:
    """A private CPython of the manager with a model in it; answers the model's file."""
    packages = tmp_path / "opt/backendai/manager/packages"
    model = packages / "ai/backend/manager/config/unified.py"
    model.parent.mkdir(parents=True)
    model.write_text(MODEL)
    python = layout.python("manager")
    python.parent.mkdir(parents=True)
    # -I keeps PYTHONPATH out, so the worker is run with the packages in front.
    python.write_text(
        f'#!/bin/sh\nfor worker; do :; done\nexec {sys.executable} -B -c "import runpy, sys; '
        f"sys.path.insert(0, '{packages}'); runpy.run_path('$worker', run_name='__main__')\"\n"
    )
    python.chmod(0o755)
    return model


def manager_config(layout: Layout) -> ConfigRecipe:
    """The [[config]] of manager.toml."""
    return load_recipe(layout, "manager").configs[0]


_OTHER_ANSWER = '[manager]\naddress = "127.0.0.1:8081"\n'


@pytest.mark.usefixtures("release")
def test_what_the_release_takes_passes(layout: Layout, configured: Configured) -> None:
    layout.site.write_text(_OTHER_ANSWER)
    said = configured()
    assert len([line for line in said if line.startswith("made ")]) == 3
    verdict = Validator(layout=layout, service="manager").check_file(manager_config(layout))
    assert verdict.refused == ()
    assert verdict.unknown == (
        f"{layout.etc}/manager.toml: Unknown config field(s) in ManagerConfig: hurra",
    )


@pytest.mark.usefixtures("release")
def test_a_refused_answer_is_reported_and_nothing_is_made(
    layout: Layout, configured: Configured
) -> None:
    layout.site.write_text('[manager]\naddress = "127.0.0.1:8082"\n[database]\npassword = "bad"\n')
    with pytest.raises(SiteError) as caught:
        configured()
    file = f"{layout.etc}/manager.toml"
    assert caught.value.problems == [
        (
            f"{file}: manager.service-addr.port = 8082: "
            "8082 is not for you (site.toml: manager.address)"
        ),
        f"{file}: db.password = (not shown): no good: (not shown) (site.toml: database.password)",
    ]
    assert not (layout.etc / "manager.toml").exists()
    assert not (layout.etc / "alembic.ini").exists()


@pytest.mark.usefixtures("release")
def test_an_admins_file_is_only_warned_of(layout: Layout, configured: Configured) -> None:
    configured()
    path = layout.etc / "manager.toml"
    edited = path.read_text().replace("port = 8081", "port = 8082")
    path.write_text(edited)
    said = configured()
    assert any("= 8082: 8082 is not for you" in line for line in said)
    assert path.read_text() == edited


@pytest.mark.usefixtures("release")
def test_folders_that_the_model_makes_are_not_made(layout: Layout, tmp_path: Path) -> None:
    text = (
        '[db]\npassword = ""\n[manager]\nservice-addr = { port = 1 }\n'
        f'ipc-base-path = "{tmp_path}/ipc"\npid-file = "{tmp_path}/none/pid"\n'
    )
    verdict = Validator(layout=layout, service="manager").check(manager_config(layout), text)
    assert [problem.key for problem in verdict.problems] == ["manager.pid-file"]
    assert verdict.refused == ()
    assert not (tmp_path / "ipc").exists()


def test_a_release_that_cannot_be_asked_is_no_verdict(
    layout: Layout, release: Path, configured: Configured
) -> None:
    release.write_text("import nothing_like_this\n")
    layout.site.write_text(_OTHER_ANSWER)
    said = configured()
    assert any(
        "could not ask the release" in line and "No module named 'nothing_like_this'" in line
        for line in said
    )
    assert (layout.etc / "manager.toml").exists()


def test_a_release_that_hangs_is_left(
    layout: Layout, release: Path, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    release.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(validate, "_SECONDS", 0.5)
    layout.site.write_text(_OTHER_ANSWER)
    assert any("took longer than 0.5 s" in line for line in configured())


def test_new_files_of_default_answers_are_not_asked_about(
    release: Path, configured: Configured
) -> None:
    release.write_text("import nothing_like_this\n")
    assert not any("could not ask" in line for line in configured())
    # What an admin may have edited since is.
    assert any("could not ask" in line for line in configured())


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(
    ("port", "status", "words"),
    [(8081, 0, "the release takes the configuration"), (8082, 78, "8082 is not for you")],
)
def test_check_config(
    layout: Layout, capsys: pytest.CaptureFixture[str], port: int, status: int, words: str
) -> None:
    folder = layout.root / "run"
    folder.mkdir()
    (layout.etc / "manager.toml").write_text(
        f'[db]\npassword = ""\n[manager]\nservice-addr = {{ port = {port} }}\n'
        f'ipc-base-path = "{folder}"\n'
    )
    arguments = ["--root", os.fspath(layout.root), "--as-caller", "check-config", "manager"]
    assert cli.main(arguments) == status
    said = capsys.readouterr().err
    assert words in said
    assert "note: " in said


def test_a_release_without_a_model_is_not_said_to_agree(
    layout: Layout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(layout, "manager")
    old = replace(recipe, configs=tuple(replace(config, model=None) for config in recipe.configs))
    monkeypatch.setattr(configuration, "load_recipe", lambda *_: old)
    arguments = ["--root", os.fspath(layout.root), "--as-caller", "check-config", "manager"]
    assert cli.main(arguments) == 0
    assert "has no model of its configuration" in capsys.readouterr().err


def test_broken_toml_is_reported(layout: Layout, release: Path) -> None:
    assert release.exists()
    (layout.etc / "manager.toml").write_text("[manager\n")
    verdict = Validator(layout=layout, service="manager").check_file(manager_config(layout))
    assert "is not TOML" in str(verdict.problems[0])


def test_no_docker_is_reported(layout: Layout) -> None:
    with pytest.raises(NotReadyError, match="has no Docker") as caught:
        check_docker(layout)
    assert "docker.io" in str(caught.value.hint)
    unit = layout.root / "usr/lib/systemd/system/docker.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    check_docker(layout)
