"""Makes a package again from its provenance, in a clean place, and compares the two."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import UsageError, VerifyError
from builder.base.model import Arch, PackageFormat, Profile, RuntimeChoice, host_arch
from builder.base.run import run
from builder.inspect import inspect_package
from builder.inspect.content import content_digest
from builder.inspect.model import FileEntry
from builder.jobs.build import BuildRequest, build
from builder.pack.provenance import PROVENANCE_SUFFIX
from builder.repo.attest import Provenance, load_provenance
from builder.runtime.model import RuntimeOptions
from builder.spec import Spec

# What is compiled for minutes, by inputs that its key has: taken from the cache on request.
_COMPILED = ("cpython", "runtime")
_LONGEST_DIFF = 40


@dataclass(frozen=True, kw_only=True)
class Again:
    """The result of making a package again."""

    made: Path
    identical: bool
    differences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReproduceRequest:
    """What to make again, and where."""

    package: Path
    provenance: Provenance
    work: Path  # a clean folder
    jobs: int
    compile_runtime: bool  # else a CPython that was compiled before is used
    archive: Path | None = None  # the CPython of the provider 'archive'


def reproduce(request: ReproduceRequest, spec: Spec, project: Path, cache: Cache) -> Again:
    """Build the package again from the inputs that its provenance names, without network.

    Downloads come from ``cache``, by hash; nothing that was derived from them does. Raises
    VerifyError if this checkout would build from other inputs.
    """
    clean = _clean_cache(request, cache)
    out = request.work / "dist"
    (built, *_) = build(_build_request(request, spec, out), spec, project, clean)
    made = out / built.artifact.file
    present = load_provenance(made, None, None)
    _check_inputs(request.provenance, present)
    if content_digest(made) == content_digest(request.package):
        return Again(made=made, identical=True, differences=())
    found = [*_other_commit(request.provenance, present), *differences(request.package, made)]
    return Again(made=made, identical=False, differences=tuple(found))


def _build_request(request: ReproduceRequest, spec: Spec, out: Path) -> BuildRequest:
    given = request.provenance.parameters
    try:
        release = spec.release(given["release"])
        arch, profile = given["architecture"], Profile(given["profile"])
        runtime = RuntimeChoice(given["runtime"] or RuntimeChoice.AUTO)
        return BuildRequest(
            release=release,
            packages=spec.select(release, [given["package"]]),
            formats=[PackageFormat(given["format"])],
            archs=[Arch(arch) if arch else host_arch()],
            out=out,
            jobs=request.jobs,
            offline=True,
            profile=profile,
            runtime=runtime,
            runtime_options=RuntimeOptions(
                offline=True,
                jobs=request.jobs,
                archive=request.archive,
                pgo=profile.optimizes_python,
                lto=profile.optimizes_python,
            ),
            maintainer=given["maintainer"],
            epoch=given["sourceDateEpoch"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise VerifyError(f"the provenance has no parameters to build by: {error}") from error


def _clean_cache(request: ReproduceRequest, cache: Cache) -> Cache:
    """Return an empty cache that shares the downloads, which are checked by hash at each use."""
    root = request.work / "cache"
    root.mkdir(parents=True)
    blobs = cache.root / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    (root / "blobs").symlink_to(blobs.resolve())
    for kind in () if request.compile_runtime else _COMPILED:
        compiled = cache.root / "derived" / kind
        if compiled.is_dir():
            (root / "derived").mkdir(exist_ok=True)
            (root / "derived" / kind).symlink_to(compiled.resolve())
    return Cache(root=root)


def _check_inputs(recorded: Provenance, present: Provenance) -> None:
    """Raise VerifyError if the inputs were others: then a comparison would mean nothing."""
    before, now = _digests(recorded.inputs), _digests(present.inputs)
    changed = sorted(
        name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
    )
    if changed:
        commit = _commit(recorded.inputs)
        raise VerifyError(
            f"this checkout builds the package from other inputs: {', '.join(changed)}",
            hint=f"check out the commit that the provenance names: {commit or 'it names none'}",
        )


def _digests(inputs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the hash of each input that becomes part of the package."""
    return {
        row["name"]: row["digest"]["sha256"]
        for row in inputs
        if row.get("annotations", {}).get("role") != "tool" and "sha256" in row.get("digest", {})
    }


def _commit(inputs: Sequence[Mapping[str, Any]]) -> str:
    found = (row.get("digest", {}).get("gitCommit", "") for row in inputs)
    return next((commit for commit in found if commit), "")


def _other_commit(recorded: Provenance, present: Provenance) -> Iterator[str]:
    before, now = _commit(recorded.inputs), _commit(present.inputs)
    if before and before != now:
        yield f"it was made at commit {before}, and this checkout is at {now or 'none'}"


def differences(first: Path, second: Path) -> Iterator[str]:
    """Yield what differs between two packages: by diffoscope, or by their lists of files."""
    if shutil.which("diffoscope"):
        report = run(["diffoscope", "--text", "-", first, second], check=False).stdout
        yield from report.splitlines()[:_LONGEST_DIFF]
        return
    before, now = inspect_package(first).contents, inspect_package(second).contents
    for name in ("metadata", "relations", "scripts", "triggers", "conffiles"):
        if getattr(before, name) != getattr(now, name):
            yield f"the {name} differ"
    files = [{file.path: file for file in side.files} for side in (before, now)]
    for path in sorted(files[0].keys() | files[1].keys()):
        text = _differing(files[0].get(path), files[1].get(path))
        if text:
            yield f"{path}: {text}"
    for path in sorted(before.kept.keys() | now.kept.keys()):
        if before.kept.get(path) != now.kept.get(path):
            yield f"{path}: other content"


def _differing(before: FileEntry | None, now: FileEntry | None) -> str:
    if before is None or now is None:
        return "only in the second" if before is None else "only in the first"
    if before == now:
        return ""
    return f"{_described(before)} became {_described(now)}"


def _described(file: FileEntry) -> str:
    owner = f"{file.owner}:{file.group}"
    link = f" -> {file.link}" if file.link else ""
    return f"{file.listing_mode} {owner} {file.size} bytes{link}"


def keep_made(again: Again, out: Path) -> Path:
    """Copy what was made again, and its provenance, into ``out``."""
    if out.resolve() == again.made.parent.resolve():
        raise UsageError(f"{out} is the place that is cleaned up")
    out.mkdir(parents=True, exist_ok=True)
    for path in (again.made, again.made.with_name(f"{again.made.name}{PROVENANCE_SUFFIX}")):
        shutil.copyfile(path, out / path.name)
    log.step(f"wrote {out / again.made.name}")
    return out / again.made.name
