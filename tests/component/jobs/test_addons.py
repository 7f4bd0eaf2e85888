"""A family of add-ons: expanded, locked under its host's lock, staged beside its host."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import LockError, PayloadError, SpecError
from builder.base.files import hash_file
from builder.base.model import Arch, PackageFormat
from builder.base.paths import PKGSPEC
from builder.index.uv import IndexFile, Limits, Resolved, Target, UnresolvedError
from builder.lock import Lock, LockedDistribution, LockedFile, load_lock, save_lock, stale_locks
from builder.lock.addons import lock_addons
from builder.lock.inputs import inputs_digest
from builder.lock.session import Session
from builder.plan import PlanInput, plan_package
from builder.spec import Spec, load_spec
from builder.spec.load import Spec as LoadedSpec
from tests.helpers.builds import build_project, write_buildable
from tests.helpers.specs import RELEASE, SOURCES, locked, make_lock, write_pkgspec, write_sources
from tests.helpers.trees import MINOR
from tests.helpers.wheelhouse import Recipe

FAMILY = """
host = "example-service"
package = "example-addon-{name}"
requirement = "addon-{name}"
group = "example_plugins"
config = "service.conf"
allow-key = "service.allow"
block-key = "service.block"
folder = "/usr/lib/backendai/addons"
source = "postinst/addon.toml.j2"
about = "They extend it."

[[member]]
name = "one"
summary = "the first"
description = "It does one thing."
plugins = { one = "addon.one:Plugin" }
allow = ["addon.one"]
keys = ["one"]
recommends = { deb = ["driver-one"] }

[[member]]
name = "two"
summary = "the second"
description = "It does another."
plugins = { two = "addon.two:Plugin" }
allow = ["addon.two"]
keys = ["two"]
archs = ["amd64"]
"""
ADDONS = ("example-addon-one", "example-addon-two")
_RELEASE = RELEASE.replace('"example-service"]', '"example-service", "{}", "{}"]'.format(*ADDONS))
_TEMPLATE = b"name = {{ package.addon.name | toml }}\nkeys = {{ package.addon.keys | toml }}\n"


def write_family(root: Path, family: str = FAMILY, release: str = _RELEASE) -> Path:
    folder = write_pkgspec(root, releases={"1.0": release})
    (folder / "accelerators.toml").write_text(family)
    return folder


def load_family(root: Path, family: str = FAMILY) -> Spec:
    return load_spec(write_family(root, family))


def test_a_member_is_a_package_like_any_other(tmp_path: Path) -> None:
    spec = load_family(tmp_path)
    release, package = spec.release(None), spec.packages["example-addon-one"]
    assert [package.name for package in spec.select(release, ["example-addon-one"])] == [
        package.name
    ]
    given = PlanInput(
        project=spec.project,
        release=release,
        sources={**SOURCES, "postinst/addon.toml.j2": _TEMPLATE},
    )
    lock = addon_lock(spec, "example-addon-one", make_lock(spec))
    plan = plan_package(package, lock, Arch.AMD64, given)
    assert plan.python is not None
    assert str(plan.python.prefix) == "/opt/backendai/service"
    deb, rpm = plan.formats[PackageFormat.DEB], plan.formats[PackageFormat.RPM]
    assert deb.depends == ("example-service (= 1.0.2-1)",)
    assert rpm.depends == ("example-service = 1.0.2-1",)
    assert (deb.recommends, rpm.recommends) == (("driver-one",), ())
    (entry,) = plan.entries
    assert str(entry.target) == "/usr/lib/backendai/addons/one.toml"
    assert entry.content == b'name = "one"\nkeys = ["one"]\n'
    assert plan.metadata.description == "They extend it.\nIt does one thing."


def test_dpkg_refuses_a_host_that_leaves_its_addons_behind(tmp_path: Path) -> None:
    """It does not look at who depends on the old version, as rpm does."""
    spec = load_family(tmp_path)
    release, host = spec.release(None), spec.packages["example-service"]
    given = PlanInput(
        project=spec.project,
        release=release,
        sources=SOURCES,
        packages=[spec.packages[name] for name in release.packages],
    )
    plan = plan_package(host, make_lock(spec), Arch.AMD64, given)
    assert plan.formats[PackageFormat.DEB].breaks[:2] == (
        "example-addon-one (<< 1.0.2-1)",
        "example-addon-one (>> 1.0.2-1)",
    )
    assert plan.formats[PackageFormat.RPM].breaks == ()


@pytest.mark.parametrize(
    ("was", "becomes", "problem"),
    [
        ('name = "two"', 'name = "one"', "two members are called 'one'"),
        ("{ two =", "{ one =", "two members have the entry point 'one'"),
        ('host = "example-service"', 'host = "example-common"', "'example-common', which has no"),
        ("archs =", "arch =", "unknown key 'arch' in 'member.1' (did you mean 'archs'?)"),
        ("example-addon-{name}", "example-other-{name}", "names 'example-addon-one', which"),
    ],
)
def test_problems_of_a_family_are_reported(
    tmp_path: Path, was: str, becomes: str, problem: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load_family(tmp_path, FAMILY.replace(was, becomes, 1))
    assert any(problem in text for text in caught.value.problems), caught.value.problems


def test_a_need_that_nothing_can_see_is_refused(tmp_path: Path) -> None:
    family = FAMILY + '[[member.needs]]\ninstall = "a driver"\n'
    with pytest.raises(SpecError) as caught:
        load_family(tmp_path, family)
    assert any("needs one of 'paths'" in text for text in caught.value.problems)


def addon_lock(
    spec: LoadedSpec, name: str, host: Lock, *wheels: LockedDistribution, python: str = "3.13"
) -> Lock:
    release, package = spec.release(None), spec.packages[name]
    return make_lock(spec, name, wheels).model_copy(
        update={
            "inputs": inputs_digest(package, release, (), host),
            "python": python,
        }
    )


def save_locks(spec: Spec, *, first: Sequence[str] = (), second: Sequence[str] = ()) -> Lock:
    host = make_lock(spec)
    save_lock(spec.root, host)
    for name, extras in zip(ADDONS, (first, second), strict=True):
        wheels = (locked(extra, "1", f"{extra}-1-py3-none-any.whl") for extra in (name, *extras))
        save_lock(spec.root, addon_lock(spec, name, host, *wheels))
    return host


def test_a_changed_host_makes_the_addons_locks_stale(tmp_path: Path) -> None:
    spec = load_family(tmp_path)
    host = save_locks(spec)
    assert stale_locks(spec, spec.release(None)) == []
    more = (*host.wheel, locked("attrs", "1", "attrs-1-py3-none-any.whl"))
    save_lock(spec.root, host.model_copy(update={"wheel": more}))
    assert stale_locks(spec, spec.release(None)) == [
        f"pkgspec/locks/1.0/{name}: pkgspec/ or the lock of example-service has changed since "
        "this lock was made"
        for name in ADDONS
    ]


def test_what_two_addons_would_own_is_a_problem(tmp_path: Path) -> None:
    spec = load_family(tmp_path)
    save_locks(spec, first=["shared", "a"], second=["b", "shared"])
    (problem,) = stale_locks(spec, spec.release(None))
    assert problem.startswith("shared is in example-addon-one and in example-addon-two")
    assert problem.endswith(
        "add it to 'extra-requirements' under [python] of pkgspec/packages/example-service"
    )


class FakeIndex:
    """What the add-ons need, by name; versions that are bound win unless it says otherwise."""

    def __init__(self, needs: dict[str, dict[str, str]]) -> None:
        self._needs = needs
        self.asked: list[tuple[Arch, tuple[str, ...]]] = []

    def resolve(
        self, wanted: list[str], target: Target, limits: Limits, _cache: Cache, **_: bool
    ) -> list[Resolved]:
        self.asked.append((target.arch, limits.constraints))
        (name,) = (word.partition("==")[0] for word in wanted)
        found = {name: "1.0.2", **self._needs[name]}
        bound = dict(word.split("==") for word in limits.constraints)
        clash = [
            distribution
            for distribution, version in found.items()
            if bound.get(distribution, version) != version
        ]
        if clash:
            reason = f"no solution for {clash}"
            raise UnresolvedError("cannot resolve", reason=reason, target=target, hint="")
        return [_resolved(name, version) for name, version in sorted(found.items())]


def _resolved(name: str, version: str) -> Resolved:
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    wheel = IndexFile(name=file, url=f"http://127.0.0.1:9/{file}", sha256="ab" * 32, size=1)
    return Resolved(name=name, version=version, wheel=wheel, sdist=None, files=(wheel,))


def lock_family(
    spec: Spec, cache: Cache, monkeypatch: pytest.MonkeyPatch, needs: dict[str, dict[str, str]]
) -> tuple[list[Lock], FakeIndex]:
    index = FakeIndex(needs)
    monkeypatch.setattr("builder.lock.addons.resolve", index.resolve)
    release = spec.release(None)
    wheels = tuple(locked(name, "5", f"{name}-5-py3-none-any.whl") for name in ("attrs", "yarl"))
    host = make_lock(spec, wheels=wheels)
    session = Session(
        release=release,
        family=[spec.packages[name] for name in release.packages],
        requires_python=">=3.13",
        targets=[Target(minor="3.13", arch=arch, glibc=release.glibc) for arch in Arch],
        cache=cache,
    )
    members = [spec.packages[name] for name in ADDONS]
    return lock_addons(members, {"example-service": host}, session, {}), index


def test_an_addon_locks_only_what_its_host_lacks(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_family(tmp_path)
    needs = {"addon-one": {"attrs": "5", "extra": "3"}, "addon-two": {"yarl": "5"}}
    (locked, two), index = lock_family(spec, cache, monkeypatch, needs)
    assert [wheel.pin for wheel in locked.wheel] == ["addon-one==1.0.2", "extra==3"]
    assert [wheel.pin for wheel in two.wheel] == ["addon-two==1.0.2"]
    own = ("addon-one==1.0.2", "attrs==5", "extra==3", "yarl==5")
    assert index.asked == [
        (Arch.AMD64, ("attrs==5", "yarl==5")),
        (Arch.ARM64, own),
        (Arch.AMD64, ("attrs==5", "yarl==5")),  # the second is for one architecture alone
    ]


def test_an_addon_that_would_change_its_host_is_refused(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_family(tmp_path)
    needs = {"addon-one": {"attrs": "6", "extra": "3"}, "addon-two": {}}
    with pytest.raises(LockError) as caught:
        lock_family(spec, cache, monkeypatch, needs)
    assert caught.value.message == (
        "example-addon-one does not fit example-service on amd64: it needs other versions of "
        "what that has:\n  attrs: 5 there, 6 here"
    )
    assert "leave it out of the release's 'packages'" in str(caught.value.hint)


def test_two_addons_that_need_the_same_are_refused(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_family(tmp_path)
    needs = {"addon-one": {"extra": "3"}, "addon-two": {"extra": "3"}}
    with pytest.raises(LockError, match="extra is in example-addon-one and in example-addon-two"):
        lock_family(spec, cache, monkeypatch, needs)


def test_the_committed_locks_have_nothing_of_the_agents(real_spec: Spec) -> None:
    release = real_spec.release(None)
    for name in release.packages:
        addon = real_spec.packages[name].addon
        if addon:
            host = {wheel.name for wheel in load_lock(PKGSPEC, release.name, addon.host).wheel}
            own = [wheel.name for wheel in load_lock(PKGSPEC, release.name, name).wheel]
            assert own
            assert not host & set(own)


def wheel_of(name: str, more: Mapping[str, bytes] | None = None) -> Recipe:
    points = f"[example_plugins]\n{name} = addon.{name}:Plugin\n".encode()
    stem = f"addon_{name}-1.0.2.dist-info"
    files = {f"addon/{name}.py": b"class Plugin: pass\n", f"{stem}/entry_points.txt": points}
    return Recipe(name=f"addon-{name}", version="1.0.2", files={**files, **(more or {})})


def write_buildable_family(root: Path, *recipes: Recipe) -> None:
    """A project that builds, with the family beside its service."""
    write_buildable(root)
    spec = load_family(root)
    write_sources(root)
    (root / "postinst/addon.toml.j2").write_bytes(_TEMPLATE)
    host = load_lock(spec.root, "1.0", "example-service")
    for name, recipe in zip(ADDONS, recipes, strict=False):
        wheel = recipe.write(root / "mirror/wheels")
        file = LockedFile(file=wheel.name, sha256=hash_file(wheel), size=wheel.stat().st_size)
        own = LockedDistribution(name=recipe.name, version="1.0.2", files=(file,))
        save_lock(spec.root, addon_lock(spec, name, host, own, python=MINOR))


def test_an_addon_has_its_own_files_alone(tmp_path: Path) -> None:
    write_buildable_family(tmp_path, wheel_of("one"))
    built = build_project(tmp_path, "example-addon-one")
    assert {package.artifact.name for package in built} == {"example-addon-one"}
    stages = list((tmp_path / "cache/derived/stage").iterdir())
    (tree,) = [
        stage / "root"
        for stage in stages
        if (stage / "root/usr/lib/backendai/addons/one.toml").exists()
    ]
    site = tree / f"opt/backendai/service/lib/python{MINOR}/site-packages"
    assert sorted(path.name for path in site.iterdir()) == [
        *("addon", "addon_one-1.0.2.dist-info", "example-addon-one.bytecode")
    ]
    assert not (tree / "opt/backendai/service/bin").exists()
    assert b"addon/__pycache__/one." in (site / "example-addon-one.bytecode").read_bytes()


def test_a_file_of_the_hosts_is_refused_even_with_the_same_bytes(tmp_path: Path) -> None:
    write_buildable_family(tmp_path, wheel_of("one", {"example/__init__.py": b""}))
    with pytest.raises(PayloadError) as caught:
        build_project(tmp_path, "example-addon-one")
    assert "example-addon-one: the host has these files already" in caught.value.message
    assert f"lib/python{MINOR}/site-packages/example/__init__.py" in caught.value.message


def test_entry_points_that_the_spec_does_not_know_are_refused(tmp_path: Path) -> None:
    points = b"[example_plugins]\nother = addon.one:Plugin\n"
    recipe = wheel_of("one", {"addon_one-1.0.2.dist-info/entry_points.txt": points})
    write_buildable_family(tmp_path, recipe)
    with pytest.raises(PayloadError) as caught:
        build_project(tmp_path, "example-addon-one")
    assert "are other = addon.one:Plugin, 'plugins' of the member says one =" in str(
        caught.value.message
    )


def test_two_addons_with_one_file_are_refused(tmp_path: Path) -> None:
    shared = {"addon/__init__.py": b""}
    write_buildable_family(tmp_path, wheel_of("one", shared), wheel_of("two", shared))
    with pytest.raises(PayloadError, match=r"addon/__init__\.py is in example-addon-"):
        build_project(tmp_path, *ADDONS)
