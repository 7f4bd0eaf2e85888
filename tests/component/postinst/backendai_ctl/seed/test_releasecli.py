"""The release's own commands: by their group, or one alone where its group does not work."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.data import load_seed_data
from backendai_ctl.seed.releasecli import ReleaseCli

from builder.base.paths import PROJECT

_SERVICE = "appproxy-coordinator"
_MODULE = """
class Command:
    def main(self, args, prog_name, standalone_mode=True):
        print(prog_name, *args)
        raise SystemExit(3 if "fail" in args else 0)

oneshot = Command()
"""


@pytest.fixture
def cli(layout: Layout, tmp_path: Path) -> ReleaseCli:
    """The coordinator's commands, by a run script whose Python has a module with one."""
    folder = layout.shipped / "seed"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROJECT / f"postinst/services/{_SERVICE}/seed.toml", folder / f"{_SERVICE}.toml")
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "release_commands.py").write_text(_MODULE)
    script = layout.run_script(_SERVICE)
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(
        "#!/bin/sh\n"
        f'case "$1" in python3) shift; PYTHONPATH={modules} exec {sys.executable} "$@" ;; esac\n'
        'echo "by the group: $*"\n'
    )
    script.chmod(0o755)
    layout.seed_state.mkdir(parents=True, exist_ok=True)
    data = load_seed_data(layout, _SERVICE)
    log = layout.seed_state / f"{_SERVICE}.log"
    return ReleaseCli(layout=layout, data=data, config=layout.etc / "x.toml", log=log)


def test_a_command_is_called_by_its_group(cli: ReleaseCli) -> None:
    cli.run("schema", "oneshot", "-f", "a.ini")
    expected = "by the group: backend.ai app-proxy-coordinator schema oneshot -f a.ini\n"
    assert cli.log.read_text() == expected


def test_what_commands_need_is_imported_before_they_are_called(
    cli: ReleaseCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_early.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ReleaseCli, "is_own", True)
    names = ("imported_early", "of_another_line")
    replace(cli, data=replace(cli.data, entry="json:load", imports=names)).preload()
    assert "imported_early" in sys.modules


def test_a_command_whose_group_does_not_work_is_called_alone(cli: ReleaseCli) -> None:
    cli.call("release_commands:oneshot", "-f", "a.ini")
    assert cli.log.read_text() == "backend.ai -f a.ini\n"
    with pytest.raises(
        NotReadyError, match=r"`release_commands:oneshot fail` failed: exit status 3"
    ):
        cli.call("release_commands:oneshot", "fail")


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        ("26.4.16", "ai.backend.appproxy.coordinator.cli.dbschema:oneshot"),
        ("26.8.3", "ai.backend.appproxy.coordinator.cli.dbschema:oneshot"),
        ("26.9.5", ""),
    ],
)
def test_the_coordinators_schema_is_made_by_what_works_in_its_release(
    cli: ReleaseCli, version: str, entry: str
) -> None:
    assert cli.data.profile(version).schema_entry == entry
