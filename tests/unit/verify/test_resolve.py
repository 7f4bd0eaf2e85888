"""Which dependencies a distribution meets, by its record and by its own package list."""

import gzip
import json
import lzma
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.base.errors import ExitCode, PayloadError, UsageError
from builder.base.model import PackageFormat
from builder.base.paths import PKGSPEC
from builder.cli.resolve import resolve_command
from builder.inspect import Package
from builder.inspect.model import Contents, Metadata, Relation
from builder.repo.version import compare_deb
from builder.spec import load_spec
from builder.verify import provides
from builder.verify.distributions import DISTRIBUTIONS_FILE, load_distributions
from builder.verify.lists import read_list, record_list
from builder.verify.provides import (
    Record,
    Symbols,
    deb_capabilities,
    load_record,
    load_symbols,
    rpm_capabilities,
)
from builder.verify.requirements import Alternative, find_satisfied, parse_requirement
from builder.verify.resolve import Offer, Resolution, asked_names, resolve_packages

DEB, RPM = PackageFormat.DEB, PackageFormat.RPM
KNOWN = load_distributions(DISTRIBUTIONS_FILE)


def package(
    fmt: PackageFormat,
    name: str,
    relations: Mapping[Relation, Sequence[str]],
    *,
    version: str = "1.0-1",
    compression: str = "zstd",
) -> Package:
    """A package of which only its name and relations count."""
    metadata = Metadata(
        name=name,
        version=version,
        arch="amd64",
        summary="",
        description="",
        licence="",
        maintainer="",
        vendor="",
        homepage="",
        section="",
        installed_size=0,
    )
    contents = Contents(
        fmt=fmt,
        compression=compression,
        metadata=metadata,
        relations={kind: tuple(rows) for kind, rows in relations.items()},
        scripts=(),
        conffiles=(),
        triggers=(),
        files=(),
    )
    return Package(
        path=Path(name),
        size=0,
        contents=contents,
        licence="",
        build_info=None,
        units=(),
        folders=(),
    )


def resolved(fmt: PackageFormat, *packages: Package, **versions: str) -> Resolution:
    """Packages on a distribution that has these versions."""
    offer = Offer(
        distribution="x",
        known_by="recorded",
        capabilities={name.replace("_", "-"): (version,) for name, version in versions.items()},
        payloads=("gzip", "zstd"),
    )
    return resolve_packages(fmt, packages, offer)


@pytest.mark.parametrize(
    ("fmt", "text", "provided", "by"),
    [
        (DEB, "libc6 (>= 2.34)", {"libc6": "2.34-0ubuntu1"}, "libc6"),
        (DEB, "libc6 (>= 2.34)", {"libc6": "2.34~rc1-1"}, None),
        (DEB, "a | b (<< 26) | b (>= 27)", {"b": "26.1.5+dfsg1-9"}, None),
        (DEB, "a | b (<< 26) | b (>= 27)", {"b": "28.2.2-0ubuntu1~24.04.1"}, "b"),
        (DEB, "a | b", {"b": "", "a": ""}, "a"),
        (DEB, "python3:any (>= 3.9)", {"python3": "3.11.2-1+b1"}, "python3"),
        (DEB, "awk (= 1)", {"awk": ""}, None),  # a virtual package has no version
        (DEB, "a (= 1:2-3)", {"a": "2-3"}, None),
        (RPM, "systemd", {"systemd": "239"}, "systemd"),
        (RPM, "(valkey or redis or backendai-halfstack)", {"redis": "6"}, "redis"),
        (RPM, "a >= 2-1", {"a": "2"}, "a"),  # without a release rpm compares versions alone
        (RPM, "a > 2-1", {"a": "2-2"}, "a"),
        (RPM, "a < 2~", {"a": "2~rc1-1"}, None),
        (RPM, "rpmlib(PayloadIsZstd) <= 5.4.18-1", {"rpmlib(PayloadIsZstd)": "5.4.18-1"}, "rpmlib"),
        (RPM, "libc.so.6(GLIBC_2.34)(64bit)", {"libc.so.6()(64bit)": ""}, None),
    ],
)
def test_a_dependency_is_met_as_by_the_package_manager(
    fmt: PackageFormat, text: str, provided: dict[str, str], by: str | None
) -> None:
    versions = {name: (version,) for name, version in provided.items()}
    found = find_satisfied(fmt, parse_requirement(fmt, text), versions)
    assert (found.name.partition("(")[0] if found else None) == by


@pytest.mark.parametrize(
    ("fmt", "text"), [(RPM, "(a if b)"), (RPM, "(a and b)"), (DEB, "a (~ 2)"), (DEB, "A B")]
)
def test_a_dependency_that_is_not_understood_is_no_met_one(fmt: PackageFormat, text: str) -> None:
    with pytest.raises(PayloadError, match="is not understood"):
        parse_requirement(fmt, text)


def test_packages_meet_each_others_dependencies() -> None:
    service = package(DEB, "manager", {Relation.DEPENDS: ["common (= 1.0-1)", "runtime-on (>= 1)"]})
    common = package(DEB, "common", {Relation.PROVIDES: ["runtime-on (= 1.0)"]})
    assert resolved(DEB, service, common).ok
    (row,) = resolved(
        DEB, service, package(DEB, "common", {}, version="1.0-2"), runtime_on="1"
    ).unmet
    assert (row.package, row.requirement) == ("manager", "common (= 1.0-1)")


def test_another_than_the_first_alternative_and_what_is_only_recommended_are_reported() -> None:
    node = package(
        DEB,
        "node",
        {Relation.PRE_DEPENDS: ["valkey | redis"], Relation.RECOMMENDS: ["sudo", "toolkit"]},
    )
    found = resolved(DEB, node, redis="6", sudo="1")
    assert found.ok
    assert [row.by for row in found.fallbacks] == ["redis"]
    assert [row.requirement for row in found.not_recommended] == ["toolkit"]


def test_a_payload_that_dpkg_does_not_unpack_is_no_success() -> None:
    found = resolved(DEB, package(DEB, "a", {}, compression="xz"))
    assert found.unreadable == ("a",)
    assert not found.ok


def test_every_distribution_has_a_record_of_a_day_and_a_source() -> None:
    for distribution in KNOWN:
        record = load_record(distribution.name)
        assert record.source
        assert record.recorded >= date(2026, 11, 26)
        # Symbols are rpm's; libc6 has its version in its name's dependency.
        assert bool(record.symbols) == (distribution.manager.packs is RPM)
        assert ("libc6" in record.packages) == (distribution.manager.packs is DEB)
    stems = {path.stem for path in provides.PROVIDES_FOLDER.glob("*.toml")}
    assert stems == {distribution.name for distribution in KNOWN} | {"symbols"}


@pytest.mark.parametrize("distribution", KNOWN, ids=lambda distribution: distribution.name)
def test_what_packages_ask_for_by_data_is_there_on_every_distribution(
    distribution: object,
) -> None:
    """Names that a person wrote into pkgspec/packages/; libraries need a build."""
    (known,) = [entry for entry in KNOWN if entry is distribution]
    fmt = known.manager.packs
    record = load_record(known.name)
    offered = deb_capabilities(record) if fmt is DEB else rpm_capabilities(record, load_symbols())
    spec = load_spec(PKGSPEC)
    own = dict.fromkeys(spec.packages, ("1",))
    lacking = [
        f"{name}: {text}"
        for name, recipe in spec.packages.items()
        for text in (recipe.deb if fmt is DEB else recipe.rpm).depends
        if find_satisfied(fmt, parse_requirement(fmt, text), {**offered, **own}) is None
    ]
    assert not lacking


def test_the_docker_command_is_docker_cli_by_name_but_on_debian_12() -> None:
    """A package of its own on Debian 13, and what docker.io of Ubuntu provides."""
    spec = load_spec(PKGSPEC)
    chosen = {}
    for name in ("debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04", "ubuntu-26.04"):
        offered = deb_capabilities(load_record(name))
        for text in spec.packages["backendai-agent"].deb.depends:
            found = find_satisfied(DEB, parse_requirement(DEB, text), offered)
            if "docker-cli" in text and found is not None:
                chosen[name] = found.name
    assert chosen.pop("debian-12") == "docker.io"
    assert set(chosen.values()) == {"docker-cli"}


def test_rpm_of_8_1_does_not_unpack_zstd_and_of_8_10_does() -> None:
    texts = {
        name: rpm_capabilities(load_record(name), load_symbols())
        for name in ("centos-8.1", "rocky-8")
    }
    zstd = parse_requirement(RPM, "rpmlib(PayloadIsZstd) <= 5.4.18-1")
    assert find_satisfied(RPM, zstd, texts["centos-8.1"]) is None
    assert find_satisfied(RPM, zstd, texts["rocky-8"]) is not None
    gzip_only = parse_requirement(RPM, "rpmlib(FileDigests) <= 4.6.0-1")
    assert find_satisfied(RPM, gzip_only, texts["centos-8.1"]) is not None


def test_symbols_end_at_the_version_of_the_distribution() -> None:
    symbols = Symbols.model_validate(
        {
            "libraries": ["libz.so.1()(64bit)"],
            "versioned": {"libc.so.6": ["GLIBC"], "libgcc_s.so.1": ["GCC"]},
            "series": {
                "GLIBC": {"versions": ["2.2.5"], "counted": "2."},
                "GCC": {"versions": ["7.0.0", "11.0"]},
            },
        }
    )
    found = set(symbols.provides({"GLIBC": "2.1", "GCC": "7.0.0"}))
    assert found == {
        "libz.so.1()(64bit)",
        "libc.so.6()(64bit)",
        "libgcc_s.so.1()(64bit)",
        "libc.so.6(GLIBC_2.2.5)(64bit)",
        "libc.so.6(GLIBC_2.0)(64bit)",
        "libc.so.6(GLIBC_2.1)(64bit)",
        "libgcc_s.so.1(GCC_7.0.0)(64bit)",
    }
    with pytest.raises(UsageError, match=r"9\.9 is no version"):
        list(symbols.provides({"GLIBC": "2.1", "GCC": "9.9"}))


_PACKAGES = """\
Package: libc6
Source: glibc
Version: 2.36-9+deb12u14
Description: with a line
 Version: 9

Package: libc6
Version: 2.36-9+deb12u9

Package: mawk
Version: 1.3
Provides: awk, awk-two (= 2.0)
"""


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_apts_package_list_is_read_compressed_or_not(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "Packages"
    assert callable(pack)
    path.write_bytes(pack(_PACKAGES.encode()))
    assert read_list(DEB, path) == {
        "libc6": ("2.36-9+deb12u14", "2.36-9+deb12u9"),
        "mawk": ("1.3",),
        "awk": ("",),
        "awk-two": ("2.0",),
    }


_PRIMARY = """<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common"
          xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="1">
<package type="rpm"><name>openssl</name><arch>x86_64</arch>
<version epoch="1" ver="3.2.2" rel="6.el9"/>
<checksum type="sha256" pkgid="YES">00</checksum><summary>s</summary><description>d</description>
<packager></packager><url></url><time file="1" build="1"/>
<size package="1" installed="1" archive="1"/><location href="o.rpm"/>
<format><rpm:license>x</rpm:license>
<rpm:provides>
<rpm:entry name="openssl" flags="EQ" epoch="1" ver="3.2.2" rel="6.el9"/>
<rpm:entry name="libssl.so.3()(64bit)"/>
</rpm:provides>
<file>/usr/bin/openssl</file></format></package></metadata>
"""


def test_a_repositorys_list_of_rpms_is_read_with_paths(tmp_path: Path) -> None:
    path = tmp_path / "primary.xml"
    path.write_text(_PRIMARY)
    assert read_list(RPM, path) == {
        "openssl": ("1:3.2.2-6.el9",),
        "libssl.so.3()(64bit)": ("",),
        "/usr/bin/openssl": ("",),
    }


@pytest.mark.parametrize("content", ["", "no list\n", "\x1f\x8b broken"])
def test_what_is_no_list_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "list"
    path.write_text(content, encoding="latin-1")
    for fmt in PackageFormat:
        with pytest.raises(UsageError):
            read_list(fmt, path)


def test_a_record_gets_the_newest_version_of_what_is_asked_for_and_keeps_the_rest(
    tmp_path: Path,
) -> None:
    path = tmp_path / "debian-12.toml"
    path.write_text(
        "# Ours.\n\nrecorded = 2020-01-01\nsource = 'x'\npayloads = ['gzip']\n\n"
        "[packages]\ngone = '1'\n"
    )
    versions = ("2.36-9+deb12u9", "2.36-9+deb12u14")
    assert compare_deb(*versions) < 0
    found = {"libc6": versions, "awk": ("",), "not-asked": ("1",)}
    asked = {"libc6", "awk", "docker-ce"}
    lacking = record_list(
        DEB, path, found, asked, today=date(2026, 11, 26), source="the list of a day"
    )
    assert lacking == ["docker-ce"]
    assert path.read_text().startswith("# Ours.\n")
    record = load_record("debian-12", tmp_path)
    assert record == Record(
        recorded=date(2026, 11, 26),
        source="the list of a day",
        payloads=("gzip",),
        packages={"libc6": "2.36-9+deb12u14"},
        virtual=("awk",),
    )


def test_only_names_of_others_are_asked_for() -> None:
    one = package(RPM, "a", {Relation.DEPENDS: ["b", "(c or d)"], Relation.RECOMMENDS: ["e"]})
    assert asked_names(RPM, [one, package(RPM, "b", {})]) == {"c", "d", "e"}
    assert parse_requirement(RPM, "c >= 2") == (Alternative(name="c", sign=">=", version="2"),)


def test_a_distribution_without_a_record_says_how_to_give_a_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_record("debian-99", tmp_path)
    assert "--lists debian-99=FILE" in str(caught.value.hint)


def test_the_command_reports_what_is_not_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = package(DEB, "manager", {Relation.DEPENDS: ["libc6 (>= 2.35)", "nobody-has-it"]})
    monkeypatch.setattr("builder.cli.resolve.inspect_package", lambda _: service)
    file = tmp_path / "manager.deb"
    done = CliRunner().invoke(resolve_command, [str(file), "--on", "debian-12"])
    assert done.exit_code == ExitCode.VERIFY
    assert (
        "debian-12: 1 deb, recorded 2026-11-26, the package list of debian-12: NOT installable"
        in done.output
    )
    assert "manager: nothing provides nobody-has-it" in done.output
    assert "libc6" not in done.output
    listed = tmp_path / "list"
    listed.write_text("Package: libc6\nVersion: 2.36\n\nPackage: nobody-has-it\nVersion: 1\n")
    options = ["--lists", f"debian-12={listed}", "--json"]
    done = CliRunner().invoke(resolve_command, [str(file), *options])
    assert done.exit_code == 0
    (found,) = json.loads(done.output)
    assert (found["ok"], found["known_by"]) == (True, str(listed))
