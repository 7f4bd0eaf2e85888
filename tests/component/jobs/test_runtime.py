"""The runtime and the services upon it, built: what is shared, and what a change rebuilds."""

from pathlib import Path

import pytest

from builder.base.errors import ToolError
from builder.base.files import hash_file
from builder.index.uv import uv_path
from builder.jobs.build import Built
from builder.lock import LockedDistribution, LockedFile, save_lock
from builder.spec import load_spec
from tests.helpers.builds import SERVICE_WHEEL, build_project, write_buildable
from tests.helpers.specs import PACKAGES, RELEASE, SERVICE, make_lock, write_pkgspec
from tests.helpers.trees import MINOR
from tests.helpers.wheelhouse import Recipe

try:
    uv_path()
except ToolError:
    pytest.skip("needs uv", allow_module_level=True)

_OTHER = "example-other"
_SITE = f"lib/python{MINOR}/site-packages"


def shared(version: str, tool: str = "shared-tool") -> Recipe:
    """The wheel that both services have."""
    return Recipe(
        name="example-shared",
        version=version,
        files={"shared.py": f"VERSION = '{version}'\ndef main():\n    pass\n".encode()},
        scripts={tool: "shared:main"},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with two services that share a wheel."""
    write_buildable(tmp_path)
    other = SERVICE.replace("example-service", _OTHER)
    other = other.replace('name = "service"', 'name = "other"').replace("/service/", "/other/")
    release = RELEASE.replace('"example-service"]', f'"example-service", "{_OTHER}"]')
    packages = {**PACKAGES, _OTHER: other}
    write_pkgspec(tmp_path, packages=packages, releases={"1.0": release})
    lock_both(tmp_path, shared("1.0"))
    return tmp_path


def lock_both(root: Path, *common: Recipe, only: Recipe | None = None) -> None:
    """Lock both services: each with its own wheel and the common ones."""
    spec = load_spec(root / "pkgspec")
    mine = Recipe(name=_OTHER, version="1.0.2", files={"other/__init__.py": b""}, scripts={})
    for name, recipe in (("example-service", SERVICE_WHEEL), (_OTHER, mine)):
        extra = [only] if only and name == _OTHER else []
        wheels = tuple(locked(root, found) for found in (recipe, *common, *extra))
        lock = make_lock(spec, name, wheels=wheels).model_copy(update={"python": MINOR})
        save_lock(spec.root, lock)


def locked(root: Path, recipe: Recipe) -> LockedDistribution:
    wheel = recipe.write(root / "mirror/wheels")
    file = LockedFile(file=wheel.name, sha256=hash_file(wheel), size=wheel.stat().st_size)
    return LockedDistribution(name=recipe.name, version=recipe.version, files=(file,))


def stages(root: Path) -> dict[str, Path]:
    """The newest stage of each package, by the package's name."""
    found: dict[str, Path] = {}
    for info in sorted(
        (root / "cache/derived/stage").glob("*/root/usr/share/doc/*/build-info.json"),
        key=lambda path: path.parents[5].stat().st_mtime_ns,
    ):
        found[info.parent.name] = info.parents[4]
    return found


def rebuilt(built: list[Built]) -> set[str]:
    return {package.artifact.name for package in built if not package.artifact.reused}


def test_what_both_have_is_in_the_runtime_and_its_programs_in_both(root: Path) -> None:
    build_project(root)
    found = stages(root)
    runtime = found["example-runtime"] / "opt/backendai/runtime"
    assert (runtime / _SITE / "shared.py").is_file()
    assert not (runtime / "bin/shared-tool").exists()
    for package, name in (("example-service", "service"), (_OTHER, "other")):
        prefix = found[package] / "opt/backendai" / name
        assert not (prefix / _SITE / "shared.py").exists()
        tool = (prefix / "bin/shared-tool").read_text()
        assert tool.startswith(f"#!/opt/backendai/{name}/bin/python3\n")
        python = prefix / f"bin/python{MINOR}"
        assert str(python.readlink()) == f"/opt/backendai/runtime/bin/python{MINOR}"
        assert "home = /opt/backendai/runtime/bin\n" in (prefix / "pyvenv.cfg").read_text()
        path_file = (prefix / _SITE / "backendai-runtime.pth").read_text()
        assert f"/opt/backendai/runtime/{_SITE}" in path_file


def test_another_version_of_a_shared_wheel_is_one_package(root: Path) -> None:
    build_project(root)
    lock_both(root, shared("2.0"))
    assert rebuilt(build_project(root)) == {"example-runtime"}
    lock_both(root, shared("2.0"))
    assert rebuilt(build_project(root)) == set()


def test_a_shared_wheel_with_another_program_changes_the_services_too(root: Path) -> None:
    build_project(root)
    lock_both(root, shared("2.0", tool="other-tool"))
    assert rebuilt(build_project(root)) == {"example-runtime", "example-service", _OTHER}
    prefix = stages(root)["example-service"] / "opt/backendai/service/bin"
    assert (prefix / "other-tool").exists()
    assert not (prefix / "shared-tool").exists()


def test_a_wheel_that_is_no_longer_common_moves_to_who_has_it(root: Path) -> None:
    build_project(root)
    lock_both(root, only=shared("1.0"))
    assert rebuilt(build_project(root)) == {"example-runtime", "example-service", _OTHER}
    found = stages(root)
    assert not (found["example-runtime"] / f"opt/backendai/runtime/{_SITE}/shared.py").exists()
    assert (found[_OTHER] / f"opt/backendai/other/{_SITE}/shared.py").is_file()
    assert not (found["example-service"] / "opt/backendai/service/bin/shared-tool").exists()
