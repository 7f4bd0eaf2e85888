"""Which packages of a channel a bundle gets."""

from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest

from builder.base.errors import UsageError
from builder.base.model import Arch, PackageFormat
from builder.bundle.choose import choose_packages, relations
from builder.repo.model import DebRecord, IndexRecord, RepoPackage, RpmRecord

_RPM = """<package><format><rpm:provides><rpm:entry name="common"/></rpm:provides>
<rpm:requires>
  <rpm:entry name="runtime" flags="LT" epoch="0" ver="2.1~"/>
  <rpm:entry name="runtime" flags="GE" epoch="0" ver="2.0" rel="1"/>
  <rpm:entry name="(valkey or redis)"/>
  <rpm:entry name="(a if b &amp; c)"/>
  <rpm:entry name="libc.so.6(GLIBC_2.34)(64bit)"/>
</rpm:requires></format></package>"""


def package(name: str, version: str, record: IndexRecord | str = "") -> RepoPackage:
    """A package of the channel; a text is its control paragraph."""
    made = DebRecord(control=record) if isinstance(record, str) else record
    return RepoPackage(
        name=name,
        version=version,
        arch=made.fmt.arch_name(Arch.AMD64),
        component="main",
        file=f"{name}-{version}",
        pool=PurePosixPath(f"pool/{name}-{version}"),
        sha256=f"{name}-{version}",
        size=1,
        added=datetime(2026, 1, 1, tzinfo=UTC),
        record=made,
    )


def chosen(present: list[RepoPackage], *words: str, fmt: PackageFormat = PackageFormat.DEB) -> str:
    """The names and versions that are chosen, in a line."""
    found = choose_packages(present, words, fmt, Arch.AMD64)
    return " ".join(f"{package.name}={package.version}" for package in found)


def test_the_newest_version_that_fits_all_bounds() -> None:
    present = [
        package("service", "2.0-1", "Depends: runtime (>= 2.0-1), runtime (<< 2.1~), libc6\n"),
        package("runtime", "1.9-1"),
        package("runtime", "2.0-1"),
        package("runtime", "2.0-10"),
        package("runtime", "2.0-9"),
        package("runtime", "2.1-1"),
    ]
    assert chosen(present, "service") == "runtime=2.0-10 service=2.0-1"


def test_a_named_version_brings_what_it_needs() -> None:
    present = [
        package("addon", "1.0-1", "Depends: host (= 1.0-1)\n"),
        package("addon", "2.0-1", "Depends: host (= 2.0-1)\n"),
        package("host", "1.0-1"),
        package("host", "2.0-1"),
    ]
    assert chosen(present, "addon=1.0-1") == "addon=1.0-1 host=1.0-1"
    assert chosen(present, "addon") == "addon=2.0-1 host=2.0-1"


def test_an_alternative_comes_only_if_it_is_named() -> None:
    present = [
        package("node", "1", "Pre-Depends: base\nDepends: postgresql | halfstack,\n stores | x\n"),
        package("base", "1"),
        package("halfstack", "1"),
        package("stores", "1"),
        package("x", "1"),
    ]
    assert chosen(present, "node") == "base=1 node=1 stores=1"
    assert chosen(present, "node", "halfstack", "x") == "base=1 halfstack=1 node=1 x=1"


def test_rpms() -> None:
    service = package("service", "2.0-1", RpmRecord(primary=_RPM, other=""))
    assert relations(service)[:3] == ["runtime < 2.1~", "runtime >= 2.0-1", "(valkey or redis)"]
    empty = RpmRecord(primary="", other="")
    present = [service, package("runtime", "2.0-3", empty), package("runtime", "2.1-1", empty)]
    assert chosen(present, "service", fmt=PackageFormat.RPM) == "runtime=2.0-3 service=2.0-1"


def test_a_dependency_that_the_channel_has_in_no_version_that_fits() -> None:
    present = [package("addon", "2", "Depends: host (= 2)\n"), package("host", "1")]
    with pytest.raises(UsageError) as error:
        chosen(present, "addon")
    assert error.value.message == "addon 2 (deb, amd64) needs host = 2, which the channel lacks"
