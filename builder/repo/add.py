"""Adds package files to a repository, or refuses them all.

A file is checked against its manifest, signed, read once, and put into the pool before
the state records it.
"""

import functools
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from builder.base import log
from builder.base.errors import BuilderError, PayloadError, RepoError, UsageError
from builder.base.files import PUBLIC_FILE, hash_file, make_public_folder
from builder.base.model import PackageFormat
from builder.inspect.identity import Identity
from builder.pack.manifest import MANIFEST, load_manifest
from builder.repo.beside import (
    Accepted,
    Documents,
    accepted_signatures,
    demand_documents,
    documents_of,
    keep_documents,
    read_documents,
)
from builder.repo.config import RepoConfig
from builder.repo.core import Repository, workspace
from builder.repo.deb_package import read_deb_package, sign_deb
from builder.repo.model import FileFacts, ParsedPackage, RepoPackage, pool_path
from builder.repo.publish.folder import FolderPublisher
from builder.repo.repodata import read_rpm_package, reread_header
from builder.repo.rpmsign import sign_rpm
from builder.repo.sign import Signer
from builder.repo.state import State

_READERS = {PackageFormat.DEB: read_deb_package, PackageFormat.RPM: read_rpm_package}
_SIGNERS = {PackageFormat.DEB: sign_deb, PackageFormat.RPM: sign_rpm}

LoadManifest = Callable[[Path], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class AddRequest:
    """The settings for adding packages."""

    channel: str
    component: str
    signer: Signer | None  # None: packages stay as they are
    by_manifest: bool  # whether each must be in the manifest beside it
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Added:
    """A package that is now in the channel, and whether the repository had it before."""

    package: RepoPackage
    known: bool


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    path: Path
    sha256: str
    parsed: ParsedPackage
    identity: Identity
    documents: Documents  # that came beside it
    known: RepoPackage | None  # the same package, added earlier


def add_packages(repository: Repository, paths: Sequence[Path], request: AddRequest) -> list[Added]:
    """Add package files; a folder stands for every package that its manifest lists.

    If one file is refused, nothing is added. A file is refused if it is damaged, differs from
    its manifest, is of an architecture that the repository lacks, or is a different file of the
    name and version of a package that the repository has.
    """
    repository.channel(request.channel)
    if request.component not in repository.config.components:
        raise UsageError(
            f"the repository has no component '{request.component}'",
            hint=f"it has: {', '.join(repository.config.components)}",
        )
    load_once = functools.cache(load_manifest)
    accepted = accepted_signatures(repository, request.signer)
    candidates, problems = [], []
    for path in _expand(paths, load_once):
        try:
            candidate = _examine(repository, path, request, load_once)
            candidates.append(_with_documents(repository, candidate, accepted))
        except BuilderError as error:
            problems.append(error)
    problems += _reject_duplicates(candidates)
    if problems:
        message = "\n".join(problem.message for problem in problems)
        raise type(problems[0])(message, hint=problems[0].hint)
    return [_add(repository, candidate, request) for candidate in candidates]


def _expand(paths: Iterable[Path], load: LoadManifest) -> list[Path]:
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found[path] = None
            continue
        listed = [path / entry["file"] for entry in load(path)]
        if not listed:
            raise RepoError(
                f"{path} has no {MANIFEST} that lists packages",
                hint="name the package files themselves, or a folder that 'builder build' made",
            )
        found |= dict.fromkeys(listed)
    return list(found)


def _examine(
    repository: Repository, path: Path, request: AddRequest, load: LoadManifest
) -> _Candidate:
    fmt = _format_of(path)
    sha256 = _hash(path)
    parsed = _READERS[fmt](path)
    if request.by_manifest:
        _compare_with_manifest(path, sha256, parsed, load(path.parent))
    identity = _identify(path, parsed)
    _check_arch(repository.config, path, parsed)
    known = repository.state.find(fmt, parsed.name, parsed.version, parsed.arch)
    if known and repository.state.given(known[0].sha256) != sha256 != known[0].sha256:
        raise RepoError(
            f"{path}: the repository has {known[0].label} already, with other content",
            hint="raise the packaging's revision: a published version never changes",
        )
    if known and known[0].component != request.component:
        raise RepoError(
            f"{path}: the repository has {known[0].label} in component {known[0].component}",
            hint=f"add it with --component {known[0].component}",
        )
    candidate = _Candidate(
        path=path,
        sha256=sha256,
        parsed=parsed,
        identity=identity,
        documents={},
        known=known[0] if known else None,
    )
    _check_place(repository.state, candidate, request.component)
    return candidate


def _with_documents(
    repository: Repository, candidate: _Candidate, accepted: Accepted
) -> _Candidate:
    """Return the candidate with the documents that came beside it, checked."""
    documents = read_documents(candidate.path, candidate.parsed, accepted)
    before = documents_of(repository, candidate.known) if candidate.known else {}
    demand = repository.config.provenance.require
    demand_documents(candidate.path, [*documents, *before], demand)
    return replace(candidate, documents=documents)


def _format_of(path: Path) -> PackageFormat:
    try:
        return PackageFormat(path.suffix.removeprefix("."))
    except ValueError:
        raise UsageError(f"{path} is not a package", hint="give .deb and .rpm files") from None


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="give .deb and .rpm files, or dist/"
        ) from error


def _compare_with_manifest(
    path: Path, sha256: str, parsed: ParsedPackage, manifest: Sequence[Mapping[str, Any]]
) -> None:
    entry = next((entry for entry in manifest if entry["file"] == path.name), None)
    if entry is None:
        raise RepoError(
            f"{path}: {path.parent / MANIFEST} does not list it",
            hint="add what 'builder build' made, or use --no-manifest",
        )
    found: Mapping[str, Any] = {
        "sha256": sha256,
        "size": path.stat().st_size,
        "format": parsed.fmt.value,
        "name": parsed.name,
        "version": parsed.version,
        "arch": parsed.arch,
    }
    differing = [name for name in found if entry.get(name) != found[name]]
    if differing:
        name = differing[0]
        raise RepoError(
            f"{path}: its {name} is {found[name]}, its manifest says {entry.get(name)}",
            hint="the file was changed after it was built: build it again",
        )


def _identify(path: Path, parsed: ParsedPackage) -> Identity:
    try:
        return parsed.identity
    except PayloadError as error:
        raise PayloadError(f"{path}: {error.message}", hint=error.hint) from error


def _check_arch(config: RepoConfig, path: Path, parsed: ParsedPackage) -> None:
    fmt = parsed.fmt
    names = [*map(fmt.arch_name, config.architectures), fmt.arch_name(None)]
    if parsed.arch not in names:
        raise RepoError(
            f"{path}: is for {parsed.arch}; a {fmt} of this repository is for "
            f"{', '.join(names[:-1])} or {names[-1]}",
            hint="add the architecture in repo.toml, or build the package for one of these",
        )


def _check_place(state: State, candidate: _Candidate, component: str) -> None:
    """Refuse a package whose place another package has, whatever its file is called."""
    place = pool_path(component, candidate.identity)
    other = state.at(place)
    if other and (candidate.known is None or other.sha256 != candidate.known.sha256):
        raise RepoError(
            f"{candidate.path}: its place {place} is taken by {other.label}",
            hint="take that package out of its channels, run 'builder repo prune', and add "
            "both again",
        )


def _reject_duplicates(candidates: Sequence[_Candidate]) -> list[BuilderError]:
    """Report files of one call that are the same package with different content."""
    seen: dict[tuple[object, ...], _Candidate] = {}
    problems: list[BuilderError] = []
    for candidate in candidates:
        parsed = candidate.parsed
        key = (parsed.fmt, parsed.name, parsed.version, parsed.arch)
        other = seen.setdefault(key, candidate)
        if other.sha256 != candidate.sha256:
            problems.append(
                RepoError(
                    f"{candidate.path} and {other.path} are {parsed.name} {parsed.version} "
                    f"({parsed.arch}), with different content",
                    hint="give one of them",
                )
            )
    return problems


def _add(repository: Repository, candidate: _Candidate, request: AddRequest) -> Added:
    state = repository.state
    known = candidate.known or state.by_sha256(candidate.sha256)
    if known and _is_whole(repository, known):
        with state.transaction():
            state.join(request.channel, [known.sha256])
        keep_documents(repository, known, candidate.documents, request.signer)
        return Added(package=known, known=True)
    with workspace(repository.root) as work:
        part = work / candidate.identity.file_name
        shutil.copyfile(candidate.path, part)
        part.chmod(PUBLIC_FILE)
        if hash_file(part) != candidate.sha256:
            raise RepoError(
                f"{candidate.path} was changed while it was read",
                hint="add it again when whatever writes it has ended",
            )
        parsed = _signed(part, candidate.parsed, request.signer)
        package = _package(part, candidate.identity, parsed, request)
        _move_into_pool(part, repository.public / package.pool)
    with state.transaction():
        channels = [request.channel]
        if known:  # its file was lost, and another signature makes a different file
            channels += state.channels_of(known.sha256)
            state.forget([known.sha256])
        state.add(package, parsed.listing, candidate.sha256)
        for channel in channels:
            state.join(channel, [package.sha256])
        keep_documents(repository, package, candidate.documents, request.signer)
    log.step(f"{'restored' if known else 'added'} {package.label} to {', '.join(channels)}")
    return Added(package=package, known=False)


def _is_whole(repository: Repository, package: RepoPackage) -> bool:
    facts = FileFacts(sha256=package.sha256, size=package.size)
    return FolderPublisher(repository.public).has(package.pool, facts)


def _signed(path: Path, parsed: ParsedPackage, signer: Signer | None) -> ParsedPackage:
    if signer is None:
        return parsed
    _SIGNERS[parsed.fmt](path, signer)
    # An index of rpm states where the header lies, and a signature moves it.
    return reread_header(path, parsed) if parsed.fmt is PackageFormat.RPM else parsed


def _package(
    path: Path, identity: Identity, parsed: ParsedPackage, request: AddRequest
) -> RepoPackage:
    return RepoPackage(
        name=parsed.name,
        version=parsed.version,
        arch=parsed.arch,
        component=request.component,
        file=path.name,
        pool=pool_path(request.component, identity),
        sha256=hash_file(path),
        size=path.stat().st_size,
        added=request.now,
        record=parsed.record,
    )


def _move_into_pool(part: Path, target: Path) -> None:
    make_public_folder(target.parent)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)
