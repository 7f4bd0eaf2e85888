"""Packages of one identity have one content: a revision goes up before they change."""

import json
from pathlib import Path

from builder.base.model import full_version
from builder.base.paths import PROJECT
from builder.spec import Spec
from builder.stage.model import FORMAT
from tests.conftest import Golden

_NAME = "revisions.json"


def test_revisions_go_up_when_stages_are_made_differently(golden: Golden, real_spec: Spec) -> None:
    """The golden file has the FORMAT of stages, and the revisions that are made by it."""
    path = PROJECT / "tests/golden" / _NAME
    releases = {
        name: full_version(release.package_version, release.revision)
        for name, release in sorted(real_spec.releases.items())
    }
    problem = forgotten(path, FORMAT, releases)
    assert not problem, problem
    golden.check(_NAME, render(FORMAT, releases))


def render(stages: int, releases: dict[str, str]) -> str:
    """The text of the golden file."""
    return json.dumps({"stages": stages, "releases": releases}, indent=2) + "\n"


def forgotten(path: Path, stages: int, releases: dict[str, str]) -> str:
    """What has to be done for revisions that would name two contents; empty if nothing."""
    known = json.loads(path.read_text())
    if stages == known["stages"]:
        return ""
    kept = [name for name, version in releases.items() if known["releases"].get(name) == version]
    if not kept:
        return ""
    files = ", ".join(f"pkgspec/releases/{name}.toml" for name in kept)
    return (
        f"stages are made by FORMAT {stages}, and packages of FORMAT {known['stages']} have the "
        f"same revisions: give a new 'revision' with its [[changelog]] to {files}; then run pytest "
        "with --update-golden"
    )


def test_a_revision_that_did_not_go_up_is_named(tmp_path: Path) -> None:
    path = tmp_path / _NAME
    path.write_text(render(10, {"26.8": "26.8.3-1", "26.9": "26.9.6-2"}))
    assert forgotten(path, 10, {"26.8": "26.8.3-1", "26.9": "26.9.6-2"}) == ""
    assert forgotten(path, 11, {"26.8": "26.8.4-1", "26.9": "26.9.6-3", "26.11": "26.11.0-1"}) == ""
    said = forgotten(path, 11, {"26.8": "26.8.4-1", "26.9": "26.9.6-2"})
    assert "FORMAT 11, and packages of FORMAT 10 have the same revisions" in said
    assert "26.9.toml;" in said
    assert "26.8.toml" not in said
