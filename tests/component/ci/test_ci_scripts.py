"""What a job's script does, with a stand-in for the builder."""

import shutil
from pathlib import Path

import pytest

from builder.base.errors import ToolError
from builder.base.paths import PROJECT
from builder.base.run import run

_STAND_IN = """#!/bin/sh
echo "$*" >>"$LOG"
case "$1 $2" in
"build --release")
    mkdir -p "dist/26.9-amd64"
    for name in a.deb a.rpm manifest.json; do : >"dist/26.9-amd64/$name"; done
    ;;
"release bump")
    echo "look at pkgspec/installers"
    [ -z "$NEWEST" ] || sed -i "1s/.*/version = \\"$NEWEST\\"/" "pkgspec/releases/$3.toml"
    ;;
"release report") echo "wheels: 3 changed" ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project with the scripts of CI, one release, and a builder that logs its arguments."""
    shutil.copytree(PROJECT / ".ci", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text("setup setup-sigstore:\n\t@true\n")
    (tmp_path / ".gitignore").write_text(".venv/\nbuild/\ndist/\nlog\n")
    program = tmp_path / ".venv/bin/builder"
    program.parent.mkdir(parents=True)
    program.write_text(_STAND_IN)
    program.chmod(0o755)
    release = tmp_path / "pkgspec/releases/26.9.toml"
    release.parent.mkdir(parents=True)
    release.write_text('version = "26.9.6"\nrevision = 1\n[[changelog]]\nversion = "26.9.6"\n')
    for words in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "n"],
        ["config", "user.email", "n@localhost"],
        ["add", "."],
        ["commit", "-qm", "begin"],
    ):
        run(["git", "-C", tmp_path, *words])
    return tmp_path


def call(place: Path, name: str, *arguments: str, **environment: str) -> list[str]:
    """Run a script; what it called."""
    log = place / "log"
    log.unlink(missing_ok=True)
    run([place / ".ci" / name, *arguments], env={"LOG": str(log), "NEWEST": "", **environment})
    return log.read_text().splitlines() if log.exists() else []


def test_a_build_is_checked_and_made_again(place: Path) -> None:
    calls = call(place, "build", "26.9", "amd64")
    first, gate, *again = calls
    assert first.startswith("build --release 26.9 --arch amd64 --out dist/26.9-amd64")
    assert gate == "gate --release 26.9"
    assert again == [f"reproduce dist/26.9-amd64/a.{name}" for name in ("deb", "rpm")]


def test_all_builds_are_added_and_published_once(place: Path) -> None:
    for name in ("26.8-amd64", "26.9-amd64", "26.9-arm64", "without-a-manifest"):
        (place / "dist" / name).mkdir(parents=True)
        if not name.startswith("without"):
            (place / "dist" / name / "manifest.json").touch()
    assert call(place, "publish", "nightly", BUILDER_REPO="/srv/repo") == [
        "repo add --channel nightly dist/26.8-amd64",
        "repo add --channel nightly dist/26.9-amd64",
        "repo add --channel nightly dist/26.9-arm64",
        "repo publish",
        "repo check",
    ]


def test_provenance_is_signed_by_the_job_before_it_is_added(place: Path) -> None:
    folder = place / "dist/26.9-amd64"
    folder.mkdir(parents=True)
    for name in ("manifest.json", "a.deb", "b.deb"):
        (folder / name).touch()
    calls = call(place, "publish", "nightly", BUILDER_REPO="/srv/repo", BUILDER_SIGSTORE="yes")
    assert calls[:2] == [
        "attest --sigstore dist/26.9-amd64/a.deb dist/26.9-amd64/b.deb",
        "repo add --channel nightly dist/26.9-amd64",
    ]


def test_nothing_is_published_where_nothing_was_built(place: Path) -> None:
    with pytest.raises(ToolError, match="nothing was built"):
        call(place, "publish", "nightly", BUILDER_REPO="/srv/repo")
    with pytest.raises(ToolError, match="BUILDER_REPO"):
        call(place, "publish", "nightly", BUILDER_REPO="")


def test_a_newer_release_becomes_a_branch_with_a_report(place: Path) -> None:
    assert call(place, "bump", "26.9") == ["release bump 26.9"]
    assert _git(place, "branch", "--show-current") == "main"
    calls = call(place, "bump", "26.9", NEWEST="26.9.7")
    assert [line.partition(" --no")[0] for line in calls[1:]] == [
        "release report 26.9 --against 26.9.6",
        "release report 26.9 --against 26.9.6",
    ]
    assert _git(place, "branch", "--show-current") == "bump/26.9-26.9.7"
    message = _git(place, "log", "-1", "--format=%B")
    assert message == "pkgspec: Move 26.9 to 26.9.7\n\nlook at pkgspec/installers"
    assert (place / "build/report.txt").read_text() == "wheels: 3 changed\n"
    assert _git(place, "status", "--porcelain") == ""


def test_changes_of_a_person_are_not_taken_along(place: Path) -> None:
    (place / "pkgspec/mine.toml").touch()
    with pytest.raises(ToolError, match="not committed"):
        call(place, "bump", "26.9", NEWEST="26.9.7")


def _git(place: Path, *words: str) -> str:
    return run(["git", "-C", place, *words]).stdout.strip()
