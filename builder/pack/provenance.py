"""Writes the provenance of a package: an in-toto statement with SLSA's predicate, unsigned.

It has everything that making the package again needs: the parameters, and every input by hash.
"""

import functools
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import __version__
from builder.base.files import hash_file
from builder.base.model import Arch, PackageFormat, Profile
from builder.base.paths import PROJECT
from builder.base.run import run
from builder.index.uv import uv_path
from builder.inspect.content import content_digest
from builder.lock import LockedDistribution
from builder.plan import PackagePlan
from builder.runtime.buildhost import host_identity
from builder.sbom.wheels import pypi_purl

PROVENANCE_SUFFIX = ".provenance.json"  # beside the package
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:backendai:builder:package:v1"
CONTENT = "contentSha256"  # of what signing does not change
_BUILDER_VARIABLE = "BUILDER_ID"
_LOCAL_BUILDER = "urn:backendai:builder:local"


@dataclass(frozen=True, kw_only=True)
class BuildFacts:
    """What a build was asked for, beside the plan."""

    fmt: PackageFormat
    epoch: int
    profile: Profile
    runtime: Mapping[str, object] | None  # the record of its CPython
    arch: Arch  # whose wheels a package of all architectures is made from


def render_statement(package: Path, plan: PackagePlan, facts: BuildFacts, nfpm: Path) -> bytes:
    """Return the statement on the package that was just packed."""
    subject = {"sha256": hash_file(package), CONTENT: content_digest(package)}
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": package.name, "digest": subject}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": external_parameters(plan, facts),
                "internalParameters": _environment(),
                "resolvedDependencies": [
                    *materials(plan, facts),
                    _project(),
                    *_tools(nfpm),
                ],
            },
            "runDetails": {
                "builder": {
                    "id": os.environ.get(_BUILDER_VARIABLE) or _LOCAL_BUILDER,
                    "version": {"backendai-builder": __version__},
                },
            },
        },
    }
    return (json.dumps(statement, indent=1, sort_keys=True) + "\n").encode()


def external_parameters(plan: PackagePlan, facts: BuildFacts) -> dict[str, object]:
    """Return what decides the package, as far as it was chosen."""
    runtime = facts.runtime or {}
    return {
        "package": plan.name,
        "version": plan.metadata.full_version,
        "release": plan.release,
        "format": facts.fmt.value,
        "architecture": plan.arch.value if plan.arch else None,
        "profile": facts.profile.value,
        "runtime": runtime.get("provider"),
        "maintainer": plan.metadata.maintainer,
        "sourceDateEpoch": facts.epoch,
    }


def materials(plan: PackagePlan, facts: BuildFacts) -> list[dict[str, object]]:
    """Return every input that the package is made of, by its hash, sorted by name."""
    found = {row["name"]: row for row in _inputs(plan, facts)}
    return [found[name] for name in sorted(found)]


def _inputs(plan: PackagePlan, facts: BuildFacts) -> Iterator[dict[str, Any]]:
    arch = plan.arch or facts.arch
    for sample in plan.samples:
        yield from _files([sample.distribution], arch, "files are taken from it")
    if plan.python is None:
        return
    yield from _files(plan.python.wheels, arch, "is installed")
    if any(
        not file.is_wheel
        for wheel in plan.python.wheels
        if (file := wheel.file_for(arch)) is not None
    ):
        yield from _files(plan.python.build, arch, "builds sdists")
    if facts.runtime and facts.runtime.get("sha256"):
        origin = str(facts.runtime["origin"])
        yield {
            "name": origin.rpartition("/")[2],
            "uri": origin if "://" in origin else f"pkg:generic/python@{facts.runtime['version']}",
            "digest": {"sha256": facts.runtime["sha256"]},
            "annotations": {"role": "CPython", "options": facts.runtime.get("options", {})},
        }


def _files(
    distributions: Sequence[LockedDistribution], arch: Arch, role: str
) -> Iterator[dict[str, Any]]:
    for distribution in distributions:
        file = distribution.file_for(arch)
        if file is not None:
            yield {
                "name": file.file,
                "uri": pypi_purl(distribution.name, distribution.version),
                "digest": {"sha256": file.sha256},
                "annotations": {"role": role},
            }


def _environment() -> dict[str, str]:
    return {
        "host": host_identity(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


@functools.cache
def _project() -> dict[str, object]:
    """Return the project's own commit; without a repository, its version alone."""
    git = ["git", "-C", str(PROJECT)]
    head = run([*git, "rev-parse", "HEAD"], check=False) if (PROJECT / ".git").exists() else None
    source: dict[str, object] = {
        "name": "backendai-builder",
        "uri": f"pkg:generic/backendai-builder@{__version__}",
        "annotations": {"role": "builds, and has the plan, scripts and units"},
    }
    if head is None or head.status != 0:
        return source
    changed = run([*git, "status", "--porcelain"], check=False).stdout.strip()
    note = {"role": "builds, and has the plan, scripts and units", "modified": bool(changed)}
    return {**source, "digest": {"gitCommit": head.stdout.strip()}, "annotations": note}


@functools.cache
def _tools(nfpm: Path) -> tuple[dict[str, object], ...]:
    return tuple(
        {
            "name": path.name,
            "uri": f"pkg:generic/{path.name}",
            "digest": {"sha256": hash_file(path.resolve())},
            "annotations": {"role": "tool"},
        }
        for path in (nfpm, uv_path())
    )
