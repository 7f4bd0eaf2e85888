"""nfpm's configuration: golden files for both formats, and the rules it must keep."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from builder.base.errors import SpecError
from builder.base.model import PackageFormat, Profile
from builder.pack.nfpm import (
    Compression,
    PackInput,
    changelog_entries,
    compression_of,
    nfpm_config,
)
from builder.plan import PackagePlan
from builder.spec import load_spec
from tests.conftest import Golden
from tests.helpers.specs import PACKAGES, SERVICE, load_example, plan_example, write_pkgspec

EPOCH = 1767312000
LICENCE = PurePosixPath("/usr/share/licenses/example-service/COPYING")
TIME = "2026-01-02T00:00:00Z"


@pytest.fixture
def plan(tmp_path: Path) -> PackagePlan:
    return plan_example(load_example(tmp_path))


def given(plan: PackagePlan, fmt: PackageFormat, root: Path = Path("STAGE")) -> PackInput:
    return PackInput(
        fmt=fmt,
        root=root,
        scripts={name: Path("WORK") / name for name in plan.formats[fmt].scripts},
        changelog=Path("WORK/changelog.json"),
        depends=("libc6 (>= 2.28)", "adduser"),
        made={
            PurePosixPath("/usr/share/doc/example-service/sbom.cdx.json"): Path("WORK/sbom"),
            **({LICENCE: Path("WORK/COPYING")} if fmt is PackageFormat.RPM else {}),
        },
        licence="Apache-2.0 AND MIT",
        epoch=EPOCH,
        compression=Compression.ZSTD,
    )


def contents(plan: PackagePlan, fmt: PackageFormat) -> list[dict[str, object]]:
    found = nfpm_config(plan, given(plan, fmt))["contents"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("fmt", PackageFormat)
def test_the_configuration_is_as_reviewed(
    plan: PackagePlan, fmt: PackageFormat, golden: Golden
) -> None:
    text = json.dumps(nfpm_config(plan, given(plan, fmt)), indent=2) + "\n"
    golden.check(f"nfpm-{fmt.value}.json", text)


@pytest.mark.parametrize("fmt", PackageFormat)
def test_every_entry_but_the_tree_has_owner_mode_and_time(
    plan: PackagePlan, fmt: PackageFormat
) -> None:
    trees = [entry for entry in contents(plan, fmt) if entry.get("type") == "tree"]
    assert [entry["dst"] for entry in trees] == ["/opt/backendai/service"]
    for entry in contents(plan, fmt):
        if entry in trees:
            continue
        info = entry["file_info"]
        assert isinstance(info, dict)
        assert set(info) == {"mode", "owner", "group", "mtime"}, entry["dst"]
        assert info["mtime"] == TIME


@pytest.mark.parametrize("fmt", PackageFormat)
def test_nothing_lies_in_the_tree_twice_and_conffiles_lie_outside(
    plan: PackagePlan, fmt: PackageFormat
) -> None:
    places = [str(entry["dst"]) for entry in contents(plan, fmt)]
    assert len(places) == len(set(places))
    inside = [place for place in places if place.startswith("/opt/backendai/service/")]
    assert inside == []
    conffiles = [
        entry["dst"] for entry in contents(plan, fmt) if "config" in str(entry.get("type"))
    ]
    assert conffiles == ["/etc/example/service.conf"]


def test_an_entry_of_one_format_is_not_in_the_other(plan: PackagePlan) -> None:
    preset = "/usr/lib/systemd/system-preset/80-example.preset"
    for fmt, expected in ((PackageFormat.DEB, False), (PackageFormat.RPM, True)):
        assert (preset in {entry["dst"] for entry in contents(plan, fmt)}) is expected


@pytest.mark.parametrize("field", ["name", "summary", "description", "maintainer", "homepage"])
def test_a_dollar_that_nfpm_would_expand_is_refused(plan: PackagePlan, field: str) -> None:
    changes: dict[str, Any] = {field: "costs $HOME"}
    broken = replace(plan, metadata=replace(plan.metadata, **changes))
    with pytest.raises(SpecError, match=r"'\$' in .*would be expanded by nfpm"):
        nfpm_config(broken, given(broken, PackageFormat.DEB))


def test_a_dollar_in_a_dependency_that_the_stage_found_is_refused(plan: PackagePlan) -> None:
    wrong = replace(given(plan, PackageFormat.RPM), depends=("lib${X}.so",))
    with pytest.raises(SpecError, match=r"'\$'"):
        nfpm_config(plan, wrong)


def test_a_dependency_is_named_once_and_the_specs_come_first(plan: PackagePlan) -> None:
    config = nfpm_config(plan, given(plan, PackageFormat.DEB))
    assert config["depends"] == [
        "example-runtime (>= 1.0.2-1)",
        "example-runtime (<< 1.0.3~)",
        "example-common (= 1.0.2-1)",
        "adduser",
        "libc6 (>= 2.28)",
    ]


@pytest.mark.parametrize(
    ("profile", "deb", "rpm"),
    [
        (Profile.FAST, "zstd:3", "zstd:3"),
        (Profile.RELEASE, "zstd:19", "zstd:19"),
        (Profile.COMPAT, "xz", "gzip"),
    ],
)
def test_the_profile_decides_the_compression(
    plan: PackagePlan, profile: Profile, deb: str, rpm: str
) -> None:
    settings = {}
    for fmt in PackageFormat:
        asked = replace(given(plan, fmt), compression=compression_of(profile, fmt))
        table = nfpm_config(plan, asked)[fmt.value]
        assert isinstance(table, dict)
        settings[fmt.value] = table["compression"]
    assert settings == {"deb": deb, "rpm": rpm}


def test_samples_outside_of_the_tree_are_listed_file_by_file(tmp_path: Path) -> None:
    sample = """
[[sample]]
distribution = "example-service"
member = "fixtures/*"
target = "/usr/share/example"

[deb]"""
    packages = {
        **PACKAGES,
        "example-service": SERVICE.replace("[deb]", sample),
    }
    spec = load_spec(write_pkgspec(tmp_path, packages=packages))
    plan = plan_example(spec, sample="example-service")
    folder = tmp_path / "stage/usr/share/example"
    folder.mkdir(parents=True)
    for name in ("b.json", "a.json"):
        (folder / name).touch()
    config = nfpm_config(plan, given(plan, PackageFormat.DEB, tmp_path / "stage"))
    found = config["contents"]
    assert isinstance(found, list)
    places = [
        entry["dst"] for entry in found if str(entry["dst"]).startswith("/usr/share/example/")
    ]
    assert places == ["/usr/share/example/a.json", "/usr/share/example/b.json"]


def test_the_changelog_is_what_the_release_says(plan: PackagePlan) -> None:
    (entry,) = changelog_entries(plan.metadata)
    assert entry["semver"] == "1.0.2-1"
    assert entry["date"] == TIME
    assert entry["deb"] == {"distributions": ["stable"], "urgency": "medium"}
    assert entry["changes"] == [{"note": "First packages."}]
    assert datetime.fromtimestamp(EPOCH, UTC).isoformat().startswith("2026-01-02")


@pytest.mark.parametrize("fmt", PackageFormat)
def test_only_the_packages_own_folders_are_claimed(plan: PackagePlan, fmt: PackageFormat) -> None:
    folders = {entry["dst"] for entry in contents(plan, fmt) if entry.get("type") == "dir"}
    licences = {"/usr/share/licenses/example-service"} if fmt is PackageFormat.RPM else set()
    assert folders == licences | {
        "/etc/example",
        "/opt/backendai",
        "/usr/share/doc/example-service",
        "/var/lib/example",
    }
