"""A small project that builds from end to end, with stand-ins for CPython and nfpm."""

import os
from pathlib import Path
from unittest.mock import patch

from builder.base.cache import open_cache
from builder.base.files import hash_file
from builder.base.model import PackageFormat, Profile, RuntimeChoice, host_arch
from builder.jobs.build import BuildRequest, Built, build
from builder.lock import LockedDistribution, LockedFile, save_lock
from builder.runtime.model import Runtime, RuntimeRequest
from builder.spec import load_spec
from tests.helpers.fakenfpm import FakeNfpm
from tests.helpers.specs import make_lock, write_project
from tests.helpers.trees import MINOR, VERSION, make_request, write_tree
from tests.helpers.wheelhouse import Recipe

SERVICE_WHEEL = Recipe(
    name="example-service",
    version="1.0.2",
    files={"example/__init__.py": b"", "example/server.py": b"def main():\n    pass\n"},
    scripts={"example": "example.server:main"},
)


def write_buildable(root: Path) -> None:
    """Write project, mirror, CPython and nfpm below ``root``."""
    spec = write_project(root)
    (root / "mirror/wheels").mkdir(parents=True)
    wheel = SERVICE_WHEEL.write(root / "mirror/wheels")
    file = LockedFile(file=wheel.name, sha256=hash_file(wheel), size=wheel.stat().st_size)
    locked = LockedDistribution(name="example-service", version="1.0.2", files=(file,))
    lock = make_lock(spec, wheels=(locked,)).model_copy(update={"python": MINOR})
    save_lock(spec.root, lock)
    write_tree(root / "cpython")
    FakeNfpm(root / "nfpm")


def environment(root: Path) -> dict[str, str]:
    """What a build of the project needs in its environment."""
    return {
        "BUILDER_CACHE": str(root / "cache"),
        "BUILDER_MIRROR": str(root / "mirror"),
        "BUILDER_NFPM": str(root / "nfpm/nfpm"),
    }


def fake_runtime(root: Path) -> Runtime:
    """The stand-in for CPython."""
    return Runtime(
        provider=RuntimeChoice.ARCHIVE,
        version=VERSION,
        arch=host_arch(),
        origin="cpython",
        sha256="ab" * 32,
        key="cpython",
        tree=root / "cpython",
        python=root / f"cpython/bin/python{MINOR}",
        glibc="2.17",
    )


def build_project(root: Path, *names: str, out: str = "dist") -> list[Built]:
    """Build the project's packages as ``builder build`` does."""
    spec = load_spec(root / "pkgspec")
    release = spec.release(None)
    request = BuildRequest(
        release=release,
        packages=spec.select(release, names),
        formats=tuple(PackageFormat),
        archs=(host_arch(),),
        out=root / out,
        jobs=2,
        offline=False,
        profile=Profile.FAST,
        runtime=RuntimeChoice.ARCHIVE,
        runtime_options=make_request(),
    )

    def provide(_wanted: RuntimeRequest, *_: object, **_more: object) -> Runtime:
        return fake_runtime(root)

    with (
        patch("builder.jobs.runtimes.provide_runtime", provide),
        patch.dict(os.environ, environment(root)),
    ):
        return build(request, spec, root, open_cache(root / "cache"))
