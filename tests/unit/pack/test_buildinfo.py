"""The .buildinfo of a deb, as python-debian reads it."""

import hashlib
from pathlib import Path

import pytest
from debian.deb822 import BuildInfo

from builder.base.model import PackageFormat, Profile, host_arch
from builder.base.run import Result
from builder.pack import buildinfo
from builder.pack.buildinfo import build_closure, buildinfo_name, parse_installed, render_buildinfo
from builder.pack.provenance import BuildFacts
from builder.plan import PackagePlan
from tests.helpers.specs import load_example, plan_example

_ARCH = host_arch().value
_LISTED = f"""\
base\t{_ARCH}\t1-1\tyes\tinstalled\t, libc6 (>= 2.36)\t
libc6\t{_ARCH}\t2.36-9\tno\tinstalled\t, libgcc-s1\t
libgcc-s1\tother\t12\tno\tinstalled\t, \t
python3\tall\t3.11.2-1+b1\tno\tinstalled\tpython3-minimal, mail-transport | x:any\t
python3-minimal\t{_ARCH}\t3.11\tno\tconfig-files\t, \t
postfix\t{_ARCH}\t3.7\tno\tinstalled\t, \tmail-transport (= 1), smtp
gcc\t{_ARCH}\t12.2\tno\tinstalled\t, base\t
unrelated\t{_ARCH}\t1\tno\tinstalled\t, \t
"""


@pytest.fixture
def plan(tmp_path: Path) -> PackagePlan:
    return plan_example(load_example(tmp_path))


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    path = tmp_path / "example-service_1.0.2-1_amd64.deb"
    path.write_bytes(b"a deb")
    return path


def _facts(provider: str = "pbs") -> BuildFacts:
    return BuildFacts(
        fmt=PackageFormat.DEB,
        epoch=1700000000,
        profile=Profile.FAST,
        runtime={"provider": provider},
        arch=host_arch(),
    )


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages of the build host are the listed ones."""
    monkeypatch.setattr(buildinfo, "_installed", lambda: parse_installed(_LISTED))


@pytest.mark.usefixtures("listed")
def test_another_reader_finds_the_deb_and_the_host(
    deb: Path, plan: PackagePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "open sesame")
    data = render_buildinfo(deb, plan, _facts())
    assert data is not None
    assert b" \n" not in data
    assert b"sesame" not in data
    assert b"PATH" not in data
    found = BuildInfo(data.decode())
    assert found["Format"] == "1.0"
    assert found["Source"] == "example-service"
    assert found.get_binary() == ["example-service"]
    assert found.get_architecture() == ["amd64"]
    assert found["Version"] == "1.0.2-1"
    assert found["Build-Architecture"] == _ARCH
    for name in ("md5", "sha1", "sha256"):
        (row,) = found[f"Checksums-{name.capitalize()}"]
        assert row[name] == hashlib.new(name, deb.read_bytes()).hexdigest()
        assert (row["name"], row["size"]) == (deb.name, "5")
    environment = found.get_environment()
    assert environment["SOURCE_DATE_EPOCH"] == "1700000000"
    assert environment["LC_ALL"] == "C.UTF-8"
    depends = found.relations["installed-build-depends"]
    assert depends
    named = {rows[0]["name"]: rows[0]["version"] for rows in depends}
    assert named == {
        "base": ("=", "1-1"),
        "libc6": ("=", "2.36-9"),
        "postfix": ("=", "3.7"),
        "python3": ("=", "3.11.2-1+b1"),
    }


@pytest.mark.usefixtures("listed")
def test_a_compiled_python_names_the_compiler(deb: Path, plan: PackagePlan) -> None:
    data = render_buildinfo(deb, plan, _facts("source"))
    assert data is not None
    assert b"\n gcc (= 12.2)" in data


def test_without_dpkg_there_is_none(
    deb: Path, plan: PackagePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buildinfo, "_installed", lambda: None)
    assert render_buildinfo(deb, plan, _facts()) is None


def test_the_closure_ends_where_packages_depend_on_each_other() -> None:
    rows = f"a\t{_ARCH}\t1\tno\tinstalled\t, b\t\nb\t{_ARCH}\t1\tno\tinstalled\ta, \t\n"
    found = build_closure(parse_installed(rows), ["a", "absent"])
    assert [row.name for row in found] == ["a", "b"]


def test_the_name_is_the_debs() -> None:
    assert buildinfo_name("a_1-1_all.deb") == "a_1-1_all.buildinfo"


def test_dpkg_is_asked_for_what_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    buildinfo._installed.cache_clear()
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/dpkg-query")
    done = Result(stdout=_LISTED, stderr="", status=0)
    monkeypatch.setattr(buildinfo, "run", lambda _words: done)
    found = buildinfo._installed()
    buildinfo._installed.cache_clear()
    assert found is not None
    assert set(found) == {"base", "libc6", "python3", "postfix", "gcc", "unrelated"}
