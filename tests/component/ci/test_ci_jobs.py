"""Each job's scripts, run as they stand, in a project of stand-ins.

The builder notes how it is called and prints its real matrix; git, make and the scripts of CI are
real, but for what starts an engine or all tests.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from builder.base.paths import PROJECT
from builder.base.run import run

_GITHUB = sorted((PROJECT / ".github/workflows").glob("*.yml"))
_SITE_GITHUB = PROJECT / "docs/ci/site.github.yml"
_GITLAB = (PROJECT / ".gitlab-ci.yml", PROJECT / ".gitlab/night.yml")
_SITE_GITLAB = PROJECT / "docs/ci/site.gitlab-ci.yml"
# What an expression of GitHub's has become when a script runs.
_VALUES = {
    "inputs.tag": "v26.9-2",
    "inputs.jobs": "8",
    "inputs.release": "26.9",
    "matrix.target": "test-full",
    "matrix.line": "26.9",
    "matrix.script": "BUILDER_PART=1 .ci/build 26.9 amd64 backendai-agent",
    "github.token": "a-token",
    "vars.BUILDER_REPO": "/srv/repo",
    "vars.BUILDER_REMOTE_CACHE": "",
    "vars.BUILDER_SIGSTORE": "",
    "secrets.BUILDER_SIGNING_KEY": "a-key",
    "secrets.BUILDER_SIGNING_PASSPHRASE": "",
    "needs.plan.outputs.lines": '["26.9"]',
}
# What GitLab sets by itself, or a schedule.
_PREDEFINED = {
    "CI_COMMIT_TAG": "",
    "CI_JOB_ID": "7",
    "CI_PROJECT_DIR": "/builds/project",
    "CI_SERVER_URL": "https://gitlab.test",
    "CI_PROJECT_PATH": "tools/packages",
    "CI_DEFAULT_BRANCH": "main",
    "CHANNEL": "nightly",
    "BUMP": "26.9",
    "BUMP_TOKEN": "a-token",
    "TARGET": "e2e-full",
    "ARCH": "amd64",
    "RELEASE": "26.9",
    "BUILDER_REPO": "/srv/repo",
}
_BUILDER = f"""#!/bin/sh
echo "builder $*" >>"$LOG"
case "$1 $2" in
matrix\\ *) PYTHONPATH={PROJECT} exec {sys.executable} -m builder "$@" ;;
"build --release")
    while [ "$1" != --out ]; do shift; done
    mkdir -p "$2" && touch "$2/a.deb" "$2/manifest.json"
    [ -z "$BUILDER_COSTS" ] || echo '{{"package": "a"}}' >"$BUILDER_COSTS"
    ;;
"merge --out") mkdir -p merged && touch merged/a.deb merged/a.rpm merged/manifest.json ;;
"release bump") sed -i '1s/.*/version = "26.9.7"/' pkgspec/releases/26.9.toml ;;
esac
"""
_MAKEFILE = """
%:
\t@echo "make $@ PROOF=$(PROOF)" >>"$(LOG)"
proof:
\t@echo "make proof $(RECORDS)" >>"$(LOG)"; mkdir -p docs
\t@date +%N | tee docs/proof.json >docs/proof.md
"""
_LOGGED = '#!/bin/sh\necho "{name} $*" >>"$LOG"\n'
_SUDO = '#!/bin/sh\nwhile case "$1" in -*) ;; *) false ;; esac; do shift; done\nexec "$@"\n'
_GIT_WORDS = 'case " $* " in *" push "*) echo "git $*" >>"$LOG" ;; *) exec {git} "$@" ;; esac\n'


@dataclass
class Place:
    """A project whose tools note their calls; jobs run in it one after another."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, script: str, environment: Mapping[str, str]) -> list[str]:
        """Run a script as both systems do; return the calls of tools, and fail where it fails."""
        log = self.root / "log"
        log.unlink(missing_ok=True)
        env = {
            "PATH": f"{self.root / 'tools'}:{os.environ['PATH']}",
            "LOG": str(log),
            "GITHUB_OUTPUT": str(self.root / "outputs"),
            "BUILDER_COSTS": "",
            **self.variables,
            **environment,
        }
        run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.root,
            env=env,
        )
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The real scripts of CI, and stand-ins of what they call."""
    shutil.copytree(PROJECT / ".ci", tmp_path / ".ci")
    tools = {
        ".ci/run": _LOGGED.format(name="run"),
        ".ci/engine": _LOGGED.format(name="engine"),
        ".venv/bin/builder": _BUILDER,
        ".venv/bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        "tools/sudo": _SUDO,
        "tools/gh": _LOGGED.format(name="gh"),
        "tools/apt-get": _LOGGED.format(name="apt-get"),
        "tools/git": "#!/bin/sh\n" + _GIT_WORDS.format(git=shutil.which("git")),
    }
    for name, text in tools.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "Makefile").write_text(_MAKEFILE)
    (tmp_path / ".gitignore").write_text("/*\n!/docs/\n!/pkgspec/\n")
    (tmp_path / "pkgspec/releases").mkdir(parents=True)
    (tmp_path / "pkgspec/releases/26.9.toml").write_text('version = "26.9.6"\n')
    (tmp_path / "build").mkdir()
    for target in ("test-full", "e2e-full"):
        (tmp_path / f"build/proof-{target}.json").write_text("{}")
    for words in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "n"],
        ["config", "user.email", "n@localhost"],
        ["add", "-A", "."],
        ["commit", "-qm", "begin"],
    ):
        run(["git", *words], cwd=tmp_path)
    return Place(root=tmp_path)


def _value(text: object) -> str:
    """Return a value of ``env`` with its expressions replaced; KeyError for an unknown one."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: _VALUES[match[1]], str(text))


def _read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def _github_jobs() -> Iterator[Any]:
    for path in (*_GITHUB, _SITE_GITHUB):
        for name, job in _read(path)["jobs"].items():
            if "steps" in job:
                yield pytest.param(path, name, id=f"{path.stem}-{name}")


def _github(place: Place, path: Path, name: str) -> list[str]:
    """Run the steps of a job of GitHub; return what they call."""
    workflow = _read(path)
    job = workflow["jobs"][name]
    calls = []
    for step in job["steps"]:
        tables = [table.get("env", {}) for table in (workflow, job, step)]
        environment = {key: _value(value) for table in tables for key, value in table.items()}
        if "run" in step:
            calls += place.start(_value(step["run"]), environment)
    return calls


@pytest.mark.parametrize(("path", "name"), list(_github_jobs()))
def test_each_job_of_github_runs_as_it_stands(place: Place, path: Path, name: str) -> None:
    if name in ("publish", "verify"):  # what download-artifact brings
        (place.root / "merged").mkdir()
        for file in ("a.deb", "a.rpm", "manifest.json"):
            (place.root / "merged" / file).touch()
    if name == "merge":
        (place.root / "parts/packages-1/26.9-amd64").mkdir(parents=True)
        (place.root / "parts/packages-1/26.9-amd64/manifest.json").touch()
    calls = _github(place, path, name)
    assert calls, "no tool was called"


def test_the_plan_of_github_is_two_matrices_whose_scripts_run(place: Place) -> None:
    _github(place, PROJECT / ".github/workflows/build.yml", "plan")
    name, _, value = (place.root / "outputs").read_text().partition("=")
    assert name == "matrix"
    split = json.loads(value)
    rows = [*split["first"]["include"], *split["second"]["include"]]
    assert 2 < len(rows) <= 8
    assert {need for row in rows for need in row["needs"]} <= {row["name"] for row in rows}
    for row in rows:
        calls = place.start(row["script"], {})
        assert any(f"build --release 26.9 --arch {row['arch']}" in call for call in calls)


def test_a_night_is_merged_with_its_costs_and_published_once(place: Place) -> None:
    for part in ("runtime", "1"):
        place.start(
            f"BUILDER_PART={part} .ci/build 26.9 amd64", {"BUILDER_COSTS": "dist/costs.jsonl"}
        )
        (place.root / "parts").mkdir(exist_ok=True)
        (place.root / "dist").rename(place.root / f"parts/packages-{part} of two")
    merge = _github(place, PROJECT / ".github/workflows/build.yml", "merge")
    (call,) = [call for call in merge if "builder merge" in call]
    assert call == (
        "builder merge --out merged --release 26.9"
        " parts/packages-1 of two/26.9-amd64-1"
        " parts/packages-runtime of two/26.9-amd64-runtime"
    )
    assert (place.root / "build/costs.jsonl").read_text().count("\n") == 2
    published = _github(place, PROJECT / ".github/workflows/nightly.yml", "publish")
    assert [call for call in published if call.startswith("builder")] == [
        "builder repo add --channel nightly merged",
        "builder repo publish",
        "builder repo check",
    ]


def test_what_has_passed_tonight_becomes_a_branch(place: Place) -> None:
    calls = _github(place, PROJECT / ".github/workflows/nightly.yml", "proof")
    assert "make proof build/proof-e2e-full.json build/proof-test-full.json" in calls
    assert "git push --force origin proof" in calls
    assert any(call.startswith("gh pr create --head proof --title docs:") for call in calls)
    changed = run(["git", "show", "--name-only", "--format=", "proof"], cwd=place.root).stdout
    assert changed.split() == ["docs/proof.json", "docs/proof.md"]


def _gitlab_jobs() -> Iterator[Any]:
    for path in (*_GITLAB, _SITE_GITLAB):
        for name, job in _read(path).items():
            if isinstance(job, dict) and "script" in job:
                yield pytest.param(path, name, id=f"{path.stem}-{name}")


@pytest.mark.parametrize(("path", "name"), list(_gitlab_jobs()))
def test_each_job_of_gitlab_runs_as_it_stands(place: Place, path: Path, name: str) -> None:
    if path == _SITE_GITLAB:  # its first line clones the builder
        place.root.rename(place.root.with_name("builder"))
        place.root.mkdir()
        place.root.with_name("builder").rename(place.root / "builder")
    here = place.root / "builder" if path == _SITE_GITLAB else place.root
    place.variables["PATH"] = f"{here / 'tools'}:{os.environ['PATH']}"
    for folder in ("dist/26.9-amd64", "merged") if name.strip(".") in ("publish", "verify") else ():
        (here / folder).mkdir(parents=True)
        for file in ("a.deb", "a.rpm", "manifest.json"):
            (here / folder / file).touch()
    pipeline = _read(path)
    job = pipeline[name]
    tables = (_PREDEFINED, pipeline.get("variables", {}), job.get("variables", {}))
    environment = {key: str(value) for table in tables for key, value in table.items()}
    script = [*pipeline["default"]["before_script"], *job["script"]]
    assert place.start("\n".join(script), environment), "no tool was called"
    if name == "plan":
        night = json.loads((place.root / "night.yml").read_text())
        assert {"proof", "publish", "test-full"} <= set(night)
