"""What services share, and how their packages relate to the runtime's."""

from pathlib import Path

import pytest

from builder.base.errors import LockError, SpecError
from builder.base.model import Arch, PackageFormat
from builder.lock import Lock, LockedDistribution
from builder.plan.relations import next_version, plan_relations
from builder.plan.shared import one_python, shared_wheels
from builder.spec import Spec, load_spec
from tests.helpers.specs import PACKAGES, RELEASE, SERVICE, locked, make_lock, write_pkgspec


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return load_spec(write_pkgspec(tmp_path))


def wheel(
    name: str, version: str = "1.0", *, arch: Arch | None = None, sha256: str = "ab" * 32
) -> LockedDistribution:
    return locked(name, version, f"{name}-{version}-py3-none-any.whl", arch=arch, sha256=sha256)


def lock(spec: Spec, *wheels: LockedDistribution, python: str = "3.13") -> Lock:
    return make_lock(spec, wheels=wheels).model_copy(update={"python": python})


def names(*locks: Lock, arch: Arch = Arch.AMD64) -> list[str]:
    return [found.name for found in shared_wheels(locks, arch)]


def test_only_what_every_lock_has_is_shared(spec: Spec) -> None:
    first = lock(spec, wheel("attrs"), wheel("click"), wheel("yarl"))
    second = lock(spec, wheel("attrs"), wheel("yarl"), wheel("zipp"))
    third = lock(spec, wheel("attrs"), wheel("click"))
    assert names(first, second) == ["attrs", "yarl"]
    assert names(first, second, third) == ["attrs"]


def test_one_service_shares_nothing_but_cpython(spec: Spec) -> None:
    assert names(lock(spec, wheel("attrs"))) == []
    assert names() == []


def test_another_file_of_the_same_distribution_is_not_shared(spec: Spec) -> None:
    other = wheel("attrs", "2.0", sha256="cd" * 32)
    assert names(lock(spec, wheel("attrs")), lock(spec, other)) == []


def test_each_architecture_shares_what_it_has(spec: Spec) -> None:
    both = lock(spec, wheel("attrs", arch=Arch.AMD64), wheel("click"))
    assert names(both, both) == ["attrs", "click"]
    assert names(both, both, arch=Arch.ARM64) == ["click"]


def test_services_on_two_pythons_are_refused(spec: Spec) -> None:
    with pytest.raises(LockError, match="several Pythons"):
        one_python([lock(spec), lock(spec, python="3.12")])
    with pytest.raises(LockError, match="no service"):
        one_python([])


@pytest.mark.parametrize(
    ("version", "above"),
    [
        ("26.9.6", "26.9.7~"),
        ("26.9", "26.10~"),
        ("26.9.0~rc1", "26.9.0~rc2~"),
        ("26.9.0~~dev3", "26.9.0~~dev4~"),
        ("26.9.6+post9", "26.9.6+post10~"),
    ],
)
def test_the_next_version_is_above_every_revision(version: str, above: str) -> None:
    assert next_version(version) == above


def relations(spec: Spec, name: str, fmt: PackageFormat) -> tuple[tuple[str, ...], ...]:
    release = spec.release(None)
    members = [spec.packages[member] for member in release.packages]
    found = plan_relations(spec.packages[name], fmt, spec.project, release, members)
    return found.depends, found.breaks, found.conflicts


def raised(tmp_path: Path, package: str) -> Spec:
    """The spec with one package at revision 2 and the others at 1."""
    entry = f"""
[[changelog]]
version = "1.0.2"
revision = 2
day = 2026-02-03
packages = ["{package}"]
changes = ["A fix."]

[[changelog]]"""
    text = RELEASE.replace("\n[[changelog]]", entry, 1)
    return load_spec(write_pkgspec(tmp_path, releases={"1.0": text}))


def test_a_runtime_that_is_raised_alone_fits_the_services(tmp_path: Path) -> None:
    spec = raised(tmp_path, "example-runtime")
    release = spec.release(None)
    assert release.full_version_of("example-runtime") == "1.0.2-2"
    assert release.full_version_of("example-service") == "1.0.2-1"
    assert release.epoch_of("example-runtime") > release.epoch_of("example-service")
    depends, _, _ = relations(spec, "example-service", PackageFormat.DEB)
    assert depends[0] == "example-runtime (>= 1.0.2-1)"
    _, breaks, _ = relations(spec, "example-runtime", PackageFormat.DEB)
    assert breaks == ("example-service-on-runtime (<< 1.0.2-1)",)
    _, _, conflicts = relations(spec, "example-runtime", PackageFormat.RPM)
    assert conflicts == ("example-service-on-runtime < 1.0.2-1",)


def test_a_service_that_is_raised_alone_wants_no_runtime_that_there_is_not(tmp_path: Path) -> None:
    spec = raised(tmp_path, "example-service")
    depends, _, _ = relations(spec, "example-service", PackageFormat.RPM)
    assert depends == (
        "example-runtime >= 1.0.2-1",
        "example-runtime < 1.0.3~",
        "example-common = 1.0.2-1",
    )
    _, breaks, _ = relations(spec, "example-runtime", PackageFormat.DEB)
    # The runtime is not built again, and the older service still fits it.
    assert breaks == ("example-service-on-runtime (<< 1.0.2-1)",)


def test_what_a_package_says_of_another_changes_only_when_it_is_raised(tmp_path: Path) -> None:
    """First the service alone, then the runtime alone: its bounds are of that time."""
    spec = raised(tmp_path, "example-service")
    text = (spec.root / "releases/1.0.toml").read_text()
    entry = text[text.index("[[changelog]]") : text.index("[[changelog]]", 20 + text.index("[[ch"))]
    later = entry.replace("example-service", "example-runtime").replace("= 2\n", "= 3\n")
    text = text.replace("[[changelog]]", f"{later}[[changelog]]", 1)
    spec = load_spec(write_pkgspec(tmp_path, releases={"1.0": text}))
    depends, _, _ = relations(spec, "example-service", PackageFormat.DEB)
    assert depends[0] == "example-runtime (>= 1.0.2-1)"
    _, breaks, _ = relations(spec, "example-runtime", PackageFormat.DEB)
    assert breaks == ("example-service-on-runtime (<< 1.0.2-2)",)


def test_a_changelog_of_packages_that_the_release_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="names example-client, not in 'packages'"):
        raised(tmp_path, "example-client")


def test_a_service_in_a_release_without_the_runtime_is_refused(tmp_path: Path) -> None:
    text = RELEASE.replace('"example-runtime", ', "")
    with pytest.raises(SpecError, match="lacks 'example-runtime', whose Python example-service"):
        load_spec(write_pkgspec(tmp_path, releases={"1.0": text}))


def test_the_runtime_is_the_package_that_the_project_names(tmp_path: Path) -> None:
    wrong = {**PACKAGES, "example-common": PACKAGES["example-common"] + "\n"}
    wrong["example-runtime"] = wrong["example-runtime"].replace("runtime = true\n", "")
    with pytest.raises(SpecError, match="example-runtime: 'runtime' is false"):
        load_spec(write_pkgspec(tmp_path, packages=wrong))
    both = SERVICE.replace("depends-common = true", "depends-common = true\nruntime = true")
    with pytest.raises(SpecError, match=r"follow from the locks of the services"):
        load_spec(write_pkgspec(tmp_path / "b", packages={**PACKAGES, "example-service": both}))
