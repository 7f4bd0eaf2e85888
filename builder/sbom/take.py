"""Takes the inventory of a package while it is staged."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name

from builder.base.model import Arch
from builder.plan import PackagePlan, PythonPlan
from builder.runtime.model import Runtime
from builder.sbom.graph import requirement_graph
from builder.sbom.model import Inventory, Part, PartKind
from builder.sbom.places import find_places
from builder.sbom.runtime import runtime_part
from builder.sbom.wheels import licence_facts, metadata_of, pypi_purl, wheel_part, wheel_ref
from builder.wheels.install import InstalledWheel


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a package is made for, and lies upon."""

    arch: Arch
    runtime_package: str


def take_inventory(
    plan: PackagePlan,
    wheels: Sequence[InstalledWheel],
    samples: Mapping[str, Path],
    runtime: Runtime | None,
    given: Surroundings,
) -> Inventory:
    """Return what is in the package of ``plan``; ``samples`` are wheels that files come from."""
    parts: list[Part] = []
    arch = given.arch
    if plan.python:
        below = _below(plan.python, given.runtime_package)
        parts += _python_parts(plan.python, wheels, below, arch)
        is_own = runtime is not None and plan.python.base is None
        own = runtime_part(runtime, plan.python.prefix) if is_own and runtime else None
        parts += [part for part in (below, own) if part is not None]
    parts += _sample_parts(plan, samples, arch)
    return Inventory(
        parts=tuple(sorted(parts, key=lambda part: part.ref)),
        requires=tuple(_roots(parts)),
    )


def _python_parts(
    python: PythonPlan,
    wheels: Sequence[InstalledWheel],
    below: Part | None,
    arch: Arch,
) -> Iterator[Part]:
    metadata = metadata_of(wheels)
    graph = requirement_graph(metadata, minor=python.minor, machine=arch.machine)
    below_ref = below.ref if below else ""
    places = find_places(wheels)
    for wheel in wheels:
        name = canonicalize_name(wheel.wheel.name)
        needed = {wheel_ref(word) if word in metadata else below_ref for word in graph[name]}
        part = wheel_part(wheel, metadata[name], python.prefix, places[wheel.wheel.file])
        yield replace(part, requires=tuple(sorted(ref for ref in needed if ref)))


def _below(python: PythonPlan, runtime_package: str) -> Part | None:
    """Return the package that has the rest of the environment: it is another one's inventory."""
    if python.base is None:
        return None
    name = python.addon.host if python.addon else runtime_package
    return Part(
        ref=f"package:{name}",
        kind=PartKind.PACKAGE,
        name=name,
        source="the package's dependencies: it has an SBOM of its own",
    )


def _sample_parts(plan: PackagePlan, samples: Mapping[str, Path], arch: Arch) -> Iterator[Part]:
    """Yield the wheels of which the package has single files."""
    found = {sample.distribution.name: sample.distribution for sample in plan.samples}
    for name, distribution in sorted(found.items()):
        file = distribution.file_for(arch)
        if file is None:
            continue
        yield Part(
            ref=f"sample:{name}",
            kind=PartKind.WHEEL,
            name=name,
            version=distribution.version,
            purl=pypi_purl(name, distribution.version),
            sha256=file.sha256,
            file=file.file,
            source="files that the package takes out of this wheel",
            licence=licence_facts(_wheel_metadata(samples[name])),
            places=tuple(_targets(plan, name)),
        )


def _targets(plan: PackagePlan, name: str) -> Iterator[str]:
    for sample in plan.samples:
        if sample.distribution.name == name:
            folder = "/*" if sample.member.endswith("/*") else ""
            yield f"{sample.target}{folder}".lstrip("/")


def _wheel_metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(member).decode("utf-8", "replace"))


def _roots(parts: Sequence[Part]) -> list[str]:
    """Return the parts that no other part requires: those that the package itself is for."""
    needed = {ref for part in parts for ref in part.requires}
    return sorted(part.ref for part in parts if part.ref not in needed)
