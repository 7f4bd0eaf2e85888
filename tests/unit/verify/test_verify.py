"""Which hosts `builder verify` makes, and how it reports the results."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from builder.base.errors import SpecError, UsageError
from builder.base.model import PackageFormat
from builder.verify.case import Case, Status, Step, leftovers
from builder.verify.distributions import (
    DISTRIBUTIONS_FILE,
    choose,
    load_distributions,
    match,
    parse_os_release,
)
from builder.verify.listing import Entry, Listing
from builder.verify.report import as_junit, as_table

KNOWN = load_distributions(DISTRIBUTIONS_FILE)


def test_every_distribution_of_a_format_by_default() -> None:
    chosen = choose(KNOWN, [], [PackageFormat.RPM])
    assert chosen
    assert {distribution.manager.packs for distribution in chosen} == {PackageFormat.RPM}
    assert [
        distribution.name for distribution in choose(KNOWN, ["debian-13"], [PackageFormat.RPM])
    ] == ["debian-13"]


def test_an_unknown_distribution_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="'debian-1'") as caught:
        choose(KNOWN, ["debian-1"], [PackageFormat.DEB])
    assert "debian-12, debian-13" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian-12"),
        ("ID=debian\nVERSION_ID=13\n", "debian-13"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', "rocky-9"),
        ("ID=mint\nID_LIKE='ubuntu debian'\nVERSION_ID=22\n", "ubuntu-24.04"),
    ],
)
def test_a_custom_image_is_set_up_like_its_distribution(text: str, entry: str) -> None:
    found = match(KNOWN, "registry.example.org/os:1", parse_os_release(text))
    (like,) = choose(KNOWN, [entry], [])
    assert (found.stores, found.manager) == (like.stores, like.manager)
    assert found.image == "registry.example.org/os:1"
    assert found.name == "registry.example.org-os-1"


def test_an_image_of_an_unknown_family_is_refused() -> None:
    with pytest.raises(UsageError, match="'alpine'"):
        match(KNOWN, "alpine:3", {"ID": "alpine"})


def test_a_wrong_file_is_reported_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[[distribution]]\nname = "x"\nimages = "y"\n')
    with pytest.raises(SpecError) as caught:
        load_distributions(path)
    assert any("images" in problem for problem in caught.value.problems)
    assert any("manager" in problem for problem in caught.value.problems)


def _case(*steps: Step) -> Case:
    return Case(
        distribution="debian-13",
        image="debian:13",
        packages=("tiny",),
        evidence=Path("build/verify/debian-13"),
        steps=list(steps),
    )


def test_junit_has_a_case_a_step_and_says_why() -> None:
    failed = Step(
        name="start",
        status=Status.FAILED,
        seconds=2.5,
        detail="tiny\x1b[0m\ufffe\udcff & <co>\n]]>",
    )
    skipped = Step(name="purge", status=Status.SKIPPED, seconds=0, detail="dnf has no purge")
    case = _case(Step(name="install", status=Status.OK, seconds=1), failed, skipped)
    suite = ElementTree.fromstring(as_junit([case]))[0]
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["3", "1", "0", "1"]
    install, start, purge = suite
    assert not list(install)
    assert start[0].get("message") == "tiny[0m & <co>"
    assert "evidence: build/verify/debian-13" in (start[0].text or "")
    assert purge[0].get("message") == "dnf has no purge"


def test_a_skipped_step_is_no_failure_and_a_failed_one_is() -> None:
    skipped = Step(name="purge", status=Status.SKIPPED, seconds=0)
    failed = Step(name="start", status=Status.FAILED, seconds=0)
    assert as_table([_case(skipped)])["ok"] is True
    assert as_table([_case(skipped), _case(failed)])["ok"] is False


def _listing(*paths: str) -> Listing:
    entry = Entry(kind="f", mode="644", owner="root:root", changed="0", link="")
    return Listing(entries=dict.fromkeys(paths, entry), settings={})


def test_what_other_packages_left_is_not_ours() -> None:
    after = _listing("/etc/docker/key.json", "/etc/backend.ai/x", "/var/lib/backendai/y")
    assert leftovers(_listing(), after) == ["+ /etc/backend.ai/x", "+ /var/lib/backendai/y"]
    assert leftovers(after, after) == []
