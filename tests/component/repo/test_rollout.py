"""Phased updates: what the indexes say, and how a rollout goes on."""

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.base.errors import ExitCode, UsageError
from builder.cli import main
from builder.inspect.deb822 import parse_fields
from builder.repo.advisories import Advisory
from builder.repo.core import Repository, open_repository, promote_packages
from builder.repo.dated import take_snapshots
from builder.repo.indexing import build_tree
from builder.repo.prune import prune_packages
from builder.repo.rollout import begin_rollout, continue_rollouts
from builder.repo.sign import Signer
from builder.spec.release import ChangelogSpec
from tests.helpers.repos import NOW, DebPackage, add, write_repository, write_rpm

_HOUR = timedelta(hours=1)
_RUNTIME = DebPackage(name="runtime", extra="Source: own\nSection: net\n")


@pytest.fixture
def phased(signed_repository: Repository, signer: Signer, tmp_path: Path) -> Repository:
    """A new release of two packages and an rpm for a part of the hosts, in one channel."""
    add(signed_repository, DebPackage().write(tmp_path), _RUNTIME.write(tmp_path))
    new = [
        DebPackage(version="1.1-1").write(tmp_path),
        DebPackage(name="runtime", version="1.1-2", extra=_RUNTIME.extra).write(tmp_path),
        DebPackage(name="fresh", version="1.1-1").write(tmp_path),
        write_rpm(tmp_path, version="1.1"),
    ]
    add(signed_repository, *new, channel="testing")
    build_tree(signed_repository, signer, NOW)
    names = ["tool", "runtime", "fresh"]
    promoted = promote_packages(signed_repository, names, "testing", "stable")
    chosen = begin_rollout(signed_repository, "stable", promoted, 20)
    assert [package.label for package in chosen] == [
        "runtime 1.1-2 (deb, amd64)",
        "tool 1.1-1 (deb, amd64)",
    ]
    return signed_repository


def _published(
    repository: Repository, signer: Signer, hours: int, channel: str = "stable"
) -> dict[str, tuple[str, str]]:
    """The source and the percentage by name and version, as the index of a channel states them."""
    build_tree(repository, signer, NOW + hours * _HOUR)
    path = repository.public / f"dists/{channel}/main/binary-amd64/Packages"
    found = {}
    for paragraph in path.read_text().rstrip().split("\n\n"):
        fields = parse_fields(paragraph)
        assert paragraph.count("Source: ") <= 1
        found[f"{fields['package']} {fields['version']}"] = (
            fields.get("source", ""),
            fields.get("phased-update-percentage", ""),
        )
    return found


def test_what_is_promoted_together_is_phased_together(phased: Repository, signer: Signer) -> None:
    assert _published(phased, signer, 1) == {
        "fresh 1.1-1": ("", ""),
        "runtime 1.0-1": ("own", ""),
        "runtime 1.1-2": ("example (1.1-2)", "20"),
        "tool 1.0-1": ("", ""),
        "tool 1.1-1": ("example (1.1-2)", "20"),
    }
    assert _published(phased, signer, 1, "testing")["tool 1.1-1"] == ("", "")


def test_a_later_publication_raises_and_ends_it(phased: Repository, signer: Signer) -> None:
    _published(phased, signer, 1)
    assert not len(build_tree(phased, signer, NOW + 2 * _HOUR).puts)
    assert continue_rollouts(phased, 60) == 2
    assert _published(phased, signer, 3)["tool 1.1-1"] == ("example (1.1-2)", "60")
    assert continue_rollouts(phased, 100) == 2
    assert _published(phased, signer, 4)["tool 1.1-1"] == ("", "")
    with pytest.raises(UsageError, match="no version is phased"):
        continue_rollouts(phased, 100)


def _advisory(version: str, fixes: tuple[str, ...], revision: int) -> Advisory:
    entry = ChangelogSpec.model_validate(
        {
            "version": "1.1",
            "revision": revision,
            "day": NOW.date(),
            "changes": ["Another wheel."],
            "fixes": fixes,
        }
    )
    return Advisory(name="a", line="1", version=version, packages=("tool",), entry=entry)


def test_a_fix_of_a_vulnerability_is_never_held_back(
    signed_repository: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for version in ("1.0-1", "1.1-2", "1.1-3"):
        add(signed_repository, DebPackage(version=version).write(tmp_path), channel="testing")
    tools = list(signed_repository.state.select("testing"))
    first, second, third = ([package] for package in tools)
    state = signed_repository.state
    state.join("stable", [first[0].sha256, second[0].sha256])
    known = [_advisory("1.1-2", ("CVE-2026-1",), 2), _advisory("1.1-3", (), 3)]
    assert begin_rollout(signed_repository, "stable", second, 20, known) == []
    assert "nothing is phased: 1.1-2 fixes CVE-2026-1" in caplog.text
    assert state.rollouts("stable") == {}
    # The next one brings no fix: the channel has it already.
    state.join("stable", [third[0].sha256])
    assert begin_rollout(signed_repository, "stable", third, 20, known) == third
    # Past the version that fixed it, a later one brings the fix.
    state.leave("stable", [second[0].sha256])
    assert begin_rollout(signed_repository, "stable", third, 20, known) == []


def test_a_snapshot_is_not_phased(phased: Repository, signer: Signer) -> None:
    (taken,) = take_snapshots(phased.state, ["stable"], NOW)
    assert _published(phased, signer, 1, taken.channel)["tool 1.1-1"] == ("", "")


def test_a_version_that_leaves_is_phased_no_more(phased: Repository) -> None:
    for version in ("1.2-1", "1.3-1", "1.4-1", "1.5-1", "1.6-1"):
        add(phased, DebPackage(version=version).write(phased.root), now=NOW)
    prune_packages(phased, NOW)
    (left,) = phased.state.rollouts("stable")
    package = phased.state.by_sha256(left)
    assert package is not None
    assert package.name == "runtime"


def test_the_command_phases_what_it_promotes(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "repo")
    with open_repository(root) as repository:
        add(repository, DebPackage().write(tmp_path))
        add(repository, DebPackage(version="1.1-1").write(tmp_path), channel="testing")
    words = ["repo", "promote", "tool", "--root", str(root), "--from", "testing", "--to", "stable"]
    refused = CliRunner().invoke(main, [*words, "--phased", "101"])
    assert refused.exit_code == ExitCode.USAGE
    done = CliRunner().invoke(main, [*words, "--phased", "20"])
    assert done.exit_code == 0, done.output
    with open_repository(root) as repository:
        (rollout,) = repository.state.rollouts("stable").values()
        assert (rollout.percent, rollout.source) == (20, "example (1.1-1)")
