"""Locks: the committed ones, their staleness, their text, and how Python is chosen."""

import re
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import LockError
from builder.base.files import hash_file
from builder.base.model import Arch
from builder.base.paths import PKGSPEC
from builder.index.uv import IndexFile, Limits, Resolved, Target
from builder.lock import load_lock, lock_path, save_lock, stale_locks
from builder.lock.file import render_lock
from builder.lock.inputs import inputs_digest, needs_lock, requirements, sample_pins
from builder.lock.resolve import choose_python, make_locks
from builder.lock.session import limits_of, lock_distribution
from builder.spec import Spec, load_spec
from tests.helpers.specs import RELEASE, SERVICE, load_example, locked, make_lock, write_pkgspec
from tests.helpers.wheelhouse import Recipe

LOCKS = sorted((PKGSPEC / "locks").rglob("*.toml"))


def test_the_committed_locks_fit_the_spec(real_spec: Spec) -> None:
    for release in real_spec.releases.values():
        assert stale_locks(real_spec, release) == []


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_committed_lock_names_no_host_and_is_as_it_would_be_written(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|pypi|index\.|pythonhosted", text)
    assert render_lock(load_lock(PKGSPEC, path.parent.name, path.stem)) == text


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_committed_lock_has_a_file_for_each_architecture(path: Path, real_spec: Spec) -> None:
    lock = load_lock(PKGSPEC, path.parent.name, path.stem)
    for wheel in lock.wheel:
        archs = real_spec.packages[path.stem].archs
        assert all(wheel.file_for(arch) for arch in archs), wheel.name
        # A wheel may say that it fits musl as well.
        for file in wheel.files:
            assert "musllinux" not in file.file or "manylinux" in file.file, file.file


def test_a_lock_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    spec = load_example(tmp_path)
    release, package = spec.release(None), spec.packages["example-service"]
    wheels = (
        locked("b", "2", "b-2-cp313-cp313-manylinux2014_x86_64.whl", arch=Arch.AMD64),
        locked("a", "1+x", "a-1.tar.gz"),
    )
    lock = make_lock(spec, "example-service", wheels, sample=(locked("c", "3", "c-3.whl"),))
    path = save_lock(spec.root, lock)
    first = path.read_bytes()
    loaded = load_lock(spec.root, release.name, package.name)
    assert {wheel.name for wheel in loaded.wheel} == {"a", "b"}
    assert save_lock(spec.root, loaded).read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_lock_is_stale_when_what_it_was_made_from_changes(tmp_path: Path) -> None:
    spec = load_example(tmp_path)
    save_lock(spec.root, make_lock(spec))
    assert stale_locks(spec, spec.release(None)) == []
    prose = SERVICE.replace("It serves nobody", "It serves all")
    (spec.root / "packages" / "example-service.toml").write_text(prose, encoding="utf-8")
    again = load_spec(spec.root)
    assert stale_locks(again, again.release(None)) == []
    text = RELEASE.replace("packages =", 'constraints = ["attrs<30"]\npackages =')
    (spec.root / "releases" / "1.0.toml").write_text(text, encoding="utf-8")
    changed = load_spec(spec.root)
    (problem,) = stale_locks(changed, changed.release(None))
    assert problem.startswith("pkgspec/locks/1.0/example-service: pkgspec/ has changed")


def test_an_absent_and_a_broken_lock_say_so(tmp_path: Path) -> None:
    spec = load_example(tmp_path)
    (problem,) = stale_locks(spec, spec.release(None))
    assert problem == "pkgspec/locks/1.0/example-service: no lock for this package"
    path = lock_path(spec.root, "1.0", "example-service")
    path.parent.mkdir(parents=True)
    path.write_text("python = = 1", encoding="utf-8")
    with pytest.raises(
        LockError, match=r"pkgspec/locks/1.0/example-service: not TOML.*line 1"
    ) as caught:
        load_lock(spec.root, "1.0", "example-service")
    assert caught.value.hint == "run 'builder lock'"


def test_one_distribution_at_two_versions_is_a_problem(tmp_path: Path) -> None:
    other = SERVICE.replace("example-service", "example-other").replace('"service"', '"other"')
    release_text = RELEASE.replace('"example-service"]', '"example-service", "example-other"]')
    write_pkgspec(tmp_path, releases={"1.0": release_text})
    (tmp_path / "pkgspec/packages/example-other.toml").write_text(other, encoding="utf-8")
    write_pkgspec(tmp_path, releases={"1.0": release_text})
    spec = load_spec(tmp_path / "pkgspec")
    for name, version in (("example-service", "1"), ("example-other", "2")):
        wheels = (locked("attrs", version, f"attrs-{version}-py3-none-any.whl"),)
        save_lock(spec.root, make_lock(spec, name, wheels))
    assert stale_locks(spec, spec.release(None)) == [
        "pkgspec/locks/1.0: attrs is 1 in example-service, 2 in example-other"
    ]


def test_requirements_without_a_version_mean_the_releases(real_spec: Spec) -> None:
    release, manager = real_spec.release("26.9"), real_spec.packages["backendai-manager"]
    assert requirements(manager, release) == [f"backend.ai-manager=={release.version}"]
    assert sample_pins(manager, release) == [f"backend.ai-install=={release.version}"]
    assert not needs_lock(real_spec.packages["backendai-common"])


def test_a_release_may_ask_for_more(tmp_path: Path) -> None:
    text = RELEASE + '[extra-requirements]\nexample-service = ["attrs"]\n'
    spec = load_spec(write_pkgspec(tmp_path, releases={"1.0": text}))
    release, package = spec.release(None), spec.packages["example-service"]
    assert requirements(package, release) == ["example-service==1.0.2", "attrs"]
    plain = load_example(tmp_path / "plain").release(None)
    assert inputs_digest(package, release, []) != inputs_digest(package, plain, [])


def test_an_sdist_is_for_the_architectures_that_have_no_wheel(tmp_path: Path) -> None:
    text = RELEASE + '[sdist.half]\narchs = ["arm64"]\n[sdist.none]\n'
    release = load_spec(write_pkgspec(tmp_path, releases={"1.0": text})).release(None)
    assert limits_of(release, Arch.AMD64, {}).sdists == ("none",)
    assert limits_of(release, Arch.ARM64, {}).sdists == ("half", "none")


def resolved(wheel: str | None, sdist: str | None = None) -> Resolved:
    def file(name: str | None) -> IndexFile | None:
        return IndexFile(name=name, url="", sha256="ab" * 32, size=1) if name else None

    return Resolved(name="half", version="1", wheel=file(wheel), sdist=file(sdist), files=())


def test_a_file_of_one_architecture_is_not_for_the_other() -> None:
    wheel = "half-1-cp36-abi3-manylinux2014_x86_64.whl"
    both = lock_distribution(
        [(Arch.AMD64, resolved(wheel)), (Arch.ARM64, resolved(None, "half-1.tar.gz"))]
    )
    found = {arch: both.file_for(arch) for arch in Arch}
    assert {arch: file.file for arch, file in found.items() if file} == {
        Arch.AMD64: wheel,
        Arch.ARM64: "half-1.tar.gz",
    }
    for name in ("half-1-py3-none-any.whl", "half-1.tar.gz"):
        distribution = resolved(name) if name.endswith(".whl") else resolved(None, name)
        (file,) = lock_distribution([(arch, distribution) for arch in Arch]).files
        assert file.arch is None
    with pytest.raises(LockError, match="half 1 has no file that arm64 can use"):
        lock_distribution([(Arch.ARM64, resolved(None))])


class FakeIndex:
    """Answers resolutions out of a table of wheels that lie in a cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._wheels: dict[str, IndexFile] = {}
        self.asked: list[tuple[Target, tuple[str, ...]]] = []

    def add(self, name: str, *, requires_python: str) -> None:
        folder = self._cache.root / "made"
        folder.mkdir(parents=True, exist_ok=True)
        recipe = Recipe(name=name, version="1.0.2", requires_python=requires_python)
        path = recipe.write(folder)
        sha256 = hash_file(path)
        self._cache.add_blob(path, sha256)
        url = f"http://127.0.0.1:9/{path.name}"
        self._wheels[name] = IndexFile(name=path.name, url=url, sha256=sha256, size=1)

    def resolve(
        self, wanted: list[str], target: Target, limits: Limits, _cache: Cache, **_: bool
    ) -> list[Resolved]:
        """In place of :func:`builder.index.uv.resolve`."""
        self.asked.append((target, limits.constraints))
        names = [word.partition("==")[0] for word in wanted]
        files = [self._wheels[name] for name in names]
        return [
            Resolved(name=name, version="1.0.2", wheel=file, sdist=None, files=(file,))
            for name, file in zip(names, files, strict=True)
        ]


@pytest.fixture
def index(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    fake = FakeIndex(cache)
    monkeypatch.setattr("builder.lock.resolve.resolve", fake.resolve)
    return fake


@pytest.mark.parametrize(
    ("bound", "minor"),
    [("<3.14,>=3.13", "3.13"), (">=3.11", "3.14"), ("~=3.11.4", "3.11"), ("==3.12.*", "3.12")],
)
def test_python_is_the_newest_within_both_bounds(
    tmp_path: Path, cache: Cache, index: FakeIndex, bound: str, minor: str
) -> None:
    spec = load_example(tmp_path)
    index.add("example-service", requires_python=bound)
    pythons = ["3.9.20", "3.11.16", "3.14.1", "3.12.9", "3.13.15"]
    family = [spec.packages["example-service"]]
    found, bounds = choose_python(family, spec.release(None), pythons, cache)
    assert found == minor
    assert set(bounds.split(",")) == set(bound.split(","))


def test_a_release_that_no_runtime_fits_names_both(
    tmp_path: Path, cache: Cache, index: FakeIndex
) -> None:
    spec = load_example(tmp_path)
    index.add("example-service", requires_python=">=3.10,<3.11")
    with pytest.raises(LockError) as caught:
        choose_python(
            [spec.packages["example-service"]], spec.release(None), ["3.13.15", "3.9.1"], cache
        )
    assert "release 1.0.2 requires Python <3.11,>=3.10" in caught.value.message
    assert "has only 3.13.15, 3.9.1" in caught.value.message
    assert "builder runtime list --latest" in str(caught.value.hint)


def test_locks_are_made_for_both_architectures_with_shared_constraints(
    tmp_path: Path, cache: Cache, index: FakeIndex
) -> None:
    spec = load_example(tmp_path)
    index.add("example-service", requires_python=">=3.12")
    (lock,) = make_locks(spec, spec.release(None), ["3.13.15"], cache, upgrade=False)
    assert (lock.package, lock.python, lock.requires_python) == (
        "example-service",
        "3.13",
        ">=3.12",
    )
    assert [file.arch for file in lock.wheel[0].files] == [None]
    own = [(target.arch, constraints) for target, constraints in index.asked[-2:]]
    assert own == [(arch, ("example-service==1.0.2",)) for arch in Arch]
    save_lock(spec.root, lock)
    assert stale_locks(spec, spec.release(None)) == []
