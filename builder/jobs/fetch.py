"""Fetches every input of a build into the cache, and from there into a mirror.

A mirror is a folder that any web server can serve::

    wheels/FILE           wheels and sdists, by the index's names
    standalone/TAG/ASSET  standalone builds, in the shape of their release tree
    source/FILE           CPython's source tarballs
    pylock.NAME.toml      the locks for other installers (PEP 751)

BUILDER_MIRROR names it on the host that builds. Nothing there is trusted: every
file is checked against its pin.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from builder.base.cache import Cache
from builder.base.files import hash_file
from builder.base.model import Arch, RuntimeChoice, host_arch
from builder.base.storage import replacing
from builder.index.uv import Target
from builder.lock import Lock, load_lock
from builder.lock.inputs import needs_lock
from builder.lock.pylock import write_pylock
from builder.runtime.choose import provide_runtime
from builder.runtime.model import Runtime, RuntimeOptions, RuntimeRequest
from builder.runtime.pins import load_pins
from builder.spec import PackageSpec, ReleaseSpec, Spec
from builder.wheels.files import fetch_files
from builder.wheels.model import WheelRequest


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """The inputs to fetch, and their destination."""

    release: ReleaseSpec
    packages: Sequence[PackageSpec]
    archs: Sequence[Arch]
    runtime: RuntimeChoice
    runtime_options: RuntimeOptions
    mirror: Path | None


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input: its place in a mirror, its hash, its size in bytes."""

    path: str
    sha256: str
    size: int

    def as_dict(self) -> dict[str, object]:
        """Return the input for JSON."""
        return asdict(self)


def fetch_inputs(request: FetchRequest, spec: Spec, cache: Cache) -> list[Input]:
    """Bring every input of the packages into the cache, and into the mirror if one is named."""
    found: dict[str, Input] = {}
    packages = _locked_packages(request, spec)
    for package in packages:
        lock = load_lock(spec.root, request.release.name, package.name)
        for arch in _archs(package, request):
            if arch in package.archs:
                found |= _wheel_inputs(lock, arch, cache)
    for runtime in _runtimes(request, spec, cache):
        tarball = _runtime_input(runtime, cache)
        if tarball is not None:
            found[tarball.path] = tarball
    inputs = [found[path] for path in sorted(found)]
    if request.mirror is not None:
        for item in inputs:
            _copy(item, cache, request.mirror)
        for package in packages:
            write_pylock(load_lock(spec.root, request.release.name, package.name), request.mirror)
    return inputs


def _archs(package: PackageSpec, request: FetchRequest) -> Sequence[Arch]:
    """Return the architectures whose wheels of a package a build needs.

    A gateway's schemas are dumped on the host, whatever architecture is built.
    """
    gateways = [member.gateway for member in request.packages if member.gateway]
    needed = {name for gateway in gateways for name in (gateway.schemas_of, gateway.operations_of)}
    extra = [host_arch()] if package.name in needed else []
    return list(dict.fromkeys([*request.archs, *extra]))


def _locked_packages(request: FetchRequest, spec: Spec) -> list[PackageSpec]:
    """Return the packages whose locks name the inputs.

    What a service shares with the others follows from all their locks: so does the runtime.
    """
    if not any(package.is_native or package.gateway for package in request.packages):
        return [package for package in request.packages if needs_lock(package)]
    family = (spec.packages[name] for name in request.release.packages)
    services = [package for package in family if package.has_environment]
    wanted = {package.name: package for package in (*request.packages, *services)}
    return [package for package in wanted.values() if needs_lock(package)]


def _wheel_inputs(lock: Lock, arch: Arch, cache: Cache) -> dict[str, Input]:
    needed = WheelRequest(
        distributions=(*lock.wheel, *lock.sample),
        build=lock.build,
        target=Target(minor=lock.python, arch=arch, glibc=lock.glibc),
    )
    paths = fetch_files(needed, cache, offline=False)
    return {
        f"wheels/{file.file}": Input(
            path=f"wheels/{file.file}",
            sha256=file.sha256,
            size=paths[file.sha256].stat().st_size,
        )
        for _, file in needed.all_files()
    }


def _runtimes(request: FetchRequest, spec: Spec, cache: Cache) -> list[Runtime]:
    wanted: dict[tuple[str, str], str] = {}
    for package in _locked_packages(request, spec):
        if package.python is not None:
            lock = load_lock(spec.root, request.release.name, package.name)
            for arch in request.archs:
                wanted[lock.python, arch.value] = lock.requires_python
    return [
        provide_runtime(
            RuntimeRequest.with_options(
                request.runtime_options,
                minor=minor,
                requires_python=requires_python,
                release=request.release.version,
                arch=Arch(arch),
            ),
            cache,
            request.runtime,
        )
        for (minor, arch), requires_python in wanted.items()
    ]


def _runtime_input(runtime: Runtime, cache: Cache) -> Input | None:
    """Return the runtime's source at its place in a mirror; None if it has no pin."""
    blob = cache.find_blob(runtime.sha256)
    if blob is None:
        return None
    pins = load_pins()
    places = {pin.sha256: f"standalone/{pin.tag}/{pin.asset}" for pin in pins.standalone}
    places |= {pin.sha256: f"source/{pin.file}" for pin in pins.source}
    path = places.get(runtime.sha256)
    return Input(path=path, sha256=runtime.sha256, size=blob.stat().st_size) if path else None


def _copy(item: Input, cache: Cache, mirror: Path) -> None:
    target = mirror / item.path
    if target.is_file() and hash_file(target) == item.sha256:
        return
    with replacing(target) as part:
        shutil.copyfile(cache.blob(item.sha256), part)
