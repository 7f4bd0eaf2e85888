"""Makes a plan of spec, lock, architecture and the text of all templates. Pure."""

import gzip
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from jinja2 import BytecodeCache
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.base.errors import LockError, SpecError
from builder.base.model import Arch, PackageFormat
from builder.base.paths import TARGET_ROOT, TARGET_RUNTIME
from builder.lock import Lock, LockedDistribution
from builder.plan.gateway import made_entries
from builder.plan.model import (
    ROOT,
    Change,
    Entry,
    FormatPlan,
    Metadata,
    PackagePlan,
    PythonPlan,
    SampleEntry,
)
from builder.plan.relations import plan_relations
from builder.plan.render import TEMPLATE_SUFFIX, Renderer, Sources
from builder.plan.shared import build_tools, one_python, shared_wheels
from builder.spec import PackageSpec, ReleaseSpec
from builder.spec.prune import PruneOrigin, PruneRule, PruneSpec
from builder.spec.schema import PayloadKind, PayloadSpec, ProjectSpec

_FOLDER_MODE = 0o755  # of every folder of the Python tree
_GZIP = ".gz"


@dataclass(frozen=True, kw_only=True)
class PlanInput:
    """The inputs of plans."""

    project: ProjectSpec
    release: ReleaseSpec
    sources: Sources
    maintainer: str | None = None  # in place of the project's
    packages: Sequence[PackageSpec] = ()  # of the release
    locks: Mapping[str, Lock] = field(default_factory=dict)  # of each service with a Python
    prune: PruneSpec = field(default_factory=PruneSpec)
    compiled: BytecodeCache | None = None  # templates of earlier builds

    @cached_property
    def shared(self) -> Mapping[Arch, tuple[LockedDistribution, ...]]:
        """The wheels of the runtime, found once for all packages."""
        return {arch: shared_wheels(list(self.locks.values()), arch) for arch in Arch}

    @cached_property
    def renderer(self) -> Renderer:
        """The renderer of the sources: it compiles each template once for all packages."""
        return Renderer(self.sources, self.compiled)


def plan_package(
    package: PackageSpec, lock: Lock | None, arch: Arch, given: PlanInput
) -> PackagePlan:
    """Plan one package for one architecture.

    Raises SpecError if a source is missing, a template is wrong, two entries have the
    same target, or an entry in the Python tree breaks the rules of that tree.
    """
    package = _with_own_samples(package, given.release)
    python = _plan_python(package, lock, arch, given)
    entries = _plan_entries(package, python, given)
    _refuse_collisions(package.name, entries)
    if python:
        _refuse_in_tree(package.name, entries, python.prefix)
    return PackagePlan(
        release=given.release.name,
        arch=arch if package.is_native else None,
        metadata=_plan_metadata(package, given),
        python=python,
        entries=tuple(sorted(entries, key=lambda entry: entry.target)),
        samples=_plan_samples(package, lock),
        resolved_for=(lock.python, lock.glibc) if lock else None,
        formats={fmt: _plan_format(package, fmt, python, given) for fmt in PackageFormat},
        own_folders=given.project.own_folders,
    )


def _with_own_samples(package: PackageSpec, release: ReleaseSpec) -> PackageSpec:
    """Return the package with own files for the samples that the release's wheels lack."""
    own = {sample.target: sample.source for sample in release.sample}
    replaced = [
        PayloadSpec.model_validate({"target": sample.target, "source": own[sample.target]})
        for sample in package.sample
        if sample.target in own
    ]
    return package.model_copy(
        update={
            "payload": (*package.payload, *replaced),
            "sample": tuple(sample for sample in package.sample if sample.target not in own),
        }
    )


def _plan_python(
    package: PackageSpec, lock: Lock | None, arch: Arch, given: PlanInput
) -> PythonPlan | None:
    shared = given.shared[arch]
    _require_wheels(package, shared)
    if package.runtime:
        return _plan_runtime(shared, arch, given)
    if package.python is None:
        return None
    if lock is None or package.folder is None:
        raise SpecError([f"{package.name}: has a Python and no lock"], hint="run 'builder lock'")
    names = {wheel.name for wheel in shared}
    own = tuple(wheel for wheel in lock.wheel if wheel.name not in names)
    return PythonPlan(
        prefix=TARGET_ROOT / package.folder,
        base=TARGET_RUNTIME,
        minor=lock.python,
        requires_python=lock.requires_python,
        glibc=lock.glibc,
        wheels=own,
        build=lock.build,
        foreign_binaries=package.python.foreign_binaries,
        shared=() if package.addon else tuple(sorted(names)),
        prune=_prune_rules(arch, given),
        addon=package.addon,
    )


def _plan_runtime(
    shared: tuple[LockedDistribution, ...], arch: Arch, given: PlanInput
) -> PythonPlan:
    locks = list(given.locks.values())
    lock = one_python(locks)
    foreign = (
        glob
        for package in given.packages
        if package.python and package.has_environment
        for glob in package.python.foreign_binaries
    )
    return PythonPlan(
        prefix=TARGET_RUNTIME,
        base=None,
        minor=lock.python,
        requires_python=lock.requires_python,
        glibc=lock.glibc,
        wheels=shared,
        build=build_tools(locks),
        foreign_binaries=tuple(dict.fromkeys(foreign)),
        prune=_prune_rules(arch, given),
    )


def _prune_rules(arch: Arch, given: PlanInput) -> tuple[PruneRule, ...]:
    rules = given.prune.of(PruneOrigin.WHEELS)
    return tuple(rule for rule in rules if arch in rule.archs)


def _require_wheels(package: PackageSpec, shared: Iterable[LockedDistribution]) -> None:
    """Require that the runtime has what a program without a Python of its own imports."""
    names = {canonicalize_name(wheel.name) for wheel in shared}
    missing = [name for name in package.runtime_wheels if canonicalize_name(name) not in names]
    if missing:
        raise SpecError(
            [f"{package.name}: the runtime lacks {', '.join(missing)} of 'runtime-wheels'"],
            hint="not every service of the release has it: the program needs another Python",
        )


def _context(
    package: PackageSpec, python: PythonPlan | None, given: PlanInput, fmt: PackageFormat | None
) -> dict[str, object]:
    """Return the names that a template may use."""
    context: dict[str, object] = {
        "package": package,
        "project": given.project,
        "release": given.release,
        "version": given.release.full_version_of(package.name),
        "prefix": str(python.prefix) if python else None,
        "runtime": str(TARGET_RUNTIME),
        "on_runtime": [
            member.service
            for member in given.packages
            if member.service and (member.python or member.runtime_wheels)
        ],
        "python": python.minor if python else None,
    }
    return context if fmt is None else {**context, "format": fmt.value}


def _plan_entries(package: PackageSpec, python: PythonPlan | None, given: PlanInput) -> list[Entry]:
    context = _context(package, python, given, None)
    shared = [_named(spec, package.name) for spec in given.project.payload]
    listed = (*shared, *package.payload)
    expanded = [entry for spec in listed for entry in _expand(spec, given.sources)]
    return made_entries(package) + [
        Entry(
            target=PurePosixPath(spec.target),
            kind=spec.kind,
            mode=spec.bits,
            owner=spec.owner,
            group=spec.group,
            formats=spec.formats,
            content=_content(spec, given.renderer, context),
            link=spec.link,
        )
        for spec in expanded
    ]


def _content(spec: PayloadSpec, renderer: Renderer, context: Mapping[str, object]) -> bytes | None:
    """Return the file's bytes; manual pages ship compressed (Debian policy 12.1)."""
    if spec.source is None:
        return None
    text = renderer.render(spec.source, context)
    if spec.target.endswith(_GZIP) and not spec.source.endswith(_GZIP):
        return gzip.compress(text, mtime=0)
    return text


def _named(spec: PayloadSpec, package: str) -> PayloadSpec:
    return spec.model_copy(update={"target": spec.target.replace("{package}", package)})


def _expand(spec: PayloadSpec, sources: Sources) -> Iterable[PayloadSpec]:
    """Expand an entry whose source ends in ``/*`` to every file below that folder."""
    if spec.source is None or not spec.source.endswith("/*"):
        return [spec]
    folder = spec.source.removesuffix("*")
    names = [name for name in sources if name.startswith(folder)]
    if not names:
        raise SpecError([f"{spec.source}: no such folder, but a payload entry names it"])
    base = spec.target.rstrip("/")
    return [
        spec.model_copy(
            update={
                "source": name,
                "target": f"{base}/{name.removeprefix(folder).removesuffix(TEMPLATE_SUFFIX)}",
            }
        )
        for name in names
    ]


def _refuse_collisions(name: str, entries: Iterable[Entry]) -> None:
    """Refuse two entries at one place, whatever their formats: both pack from the same tree."""
    times = Counter(entry.target for entry in entries)
    problems = [
        f"pkgspec/packages/{name}: two payload entries at {target}"
        for target, count in times.items()
        if count > 1
    ]
    if problems:
        raise SpecError(sorted(problems))


def _refuse_in_tree(name: str, entries: Iterable[Entry], prefix: PurePosixPath) -> None:
    """Require that entries in the Python tree are root's, for both formats, and no conffiles.

    The tree is packed as a whole: a single file in it has no attributes of its own.
    """
    problems = [
        f"pkgspec/packages/{name}: {entry.target} lies in the Python tree, where an entry "
        "is a plain file of root's, in both formats"
        for entry in entries
        if entry.target.is_relative_to(prefix)
        and (
            (entry.owner, entry.group) != (ROOT, ROOT)
            or entry.kind is PayloadKind.CONFFILE
            or (entry.kind is PayloadKind.DIR and entry.mode != _FOLDER_MODE)
            or set(entry.formats) != set(PackageFormat)
        )
    ]
    if problems:
        raise SpecError(problems)


def _plan_samples(package: PackageSpec, lock: Lock | None) -> tuple[SampleEntry, ...]:
    if not package.sample:
        return ()
    known = {canonicalize_name(sample.name): sample for sample in lock.sample} if lock else {}
    wanted = [(canonicalize_name(Requirement(s.distribution).name), s) for s in package.sample]
    absent = sorted({name for name, _ in wanted if name not in known})
    if absent:
        raise LockError(
            f"the lock of {package.name} lacks {', '.join(absent)}, which a [[sample]] names",
            hint="run 'builder lock'",
        )
    return tuple(
        SampleEntry(
            distribution=known[name],
            member=sample.member,
            target=PurePosixPath(sample.target),
        )
        for name, sample in wanted
    )


def _plan_metadata(package: PackageSpec, given: PlanInput) -> Metadata:
    release = given.release
    return Metadata(
        name=package.name,
        version=release.package_version,
        revision=release.revision_of(package.name),
        summary=package.summary,
        description=package.description.strip(),
        section=package.section,
        group=package.group,
        maintainer=given.maintainer or given.project.maintainer,
        vendor=given.project.vendor,
        homepage=given.project.homepage,
        licence=given.project.licence,
        changelog=tuple(map(Change.of, release.changelog_of(package.name))),
    )


def _plan_format(
    package: PackageSpec,
    fmt: PackageFormat,
    python: PythonPlan | None,
    given: PlanInput,
) -> FormatPlan:
    own = package.of_format(fmt)
    context = _context(package, python, given, fmt)
    named: dict[str, str | None] = own.scripts.model_dump()
    relations = plan_relations(package, fmt, given.project, given.release, given.packages)
    return FormatPlan(
        depends=(*relations.depends, *own.depends),
        recommends=own.recommends,
        suggests=own.suggests,
        conflicts=(*relations.conflicts, *own.conflicts),
        scripts={
            script: given.renderer.render(source, context).decode()
            for script, source in named.items()
            if source is not None
        },
        breaks=relations.breaks,
        provides=relations.provides,
        triggers_interest=package.deb.triggers_interest if fmt is PackageFormat.DEB else (),
    )
