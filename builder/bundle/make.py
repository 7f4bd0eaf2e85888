"""Makes a bundle out of a channel of a repository.

The same channel, words and images make the same bytes. Files appear by rename, the script last:
a process that is killed leaves nothing that looks like a bundle.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from builder.base import log
from builder.base.errors import RepoError, UsageError
from builder.base.files import PUBLIC_FILE, hash_file, link_file, make_public_folder
from builder.base.model import PackageFormat
from builder.base.scratch import scratch_folder, sweep
from builder.base.storage import storage_guard
from builder.bundle.choose import choose_packages
from builder.bundle.debian import Wanted, fetch_dependencies, read_dependencies
from builder.bundle.head import ManifestInput, render_head, render_manifest
from builder.bundle.images import place_images, plan_images
from builder.bundle.model import SUFFIX, SUMS, Bundle, BundleRequest, Image, Part, bundle_id
from builder.bundle.payload import Payload, SplitFile, tree_size, write_payload, write_sums
from builder.bundle.tree import (
    TARGET,
    TreeInput,
    list_tree,
    place_packages,
    write_dependencies,
    write_repository,
)
from builder.repo.core import Repository
from builder.repo.model import KEYS, RepoPackage
from builder.repo.sign import Signer

_PREFIX = ".bundle-"
_SWEEP_AGE_S = 60
_SCRIPT = "bundle.sh"
_WHOLE = "payload"  # of a bundle without parts


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What lies in the tree of a bundle."""

    names: tuple[str, ...]
    packages: tuple[RepoPackage, ...]
    dependencies: dict[str, int]
    images: tuple[Image, ...]


def plan_bundle(repository: Repository, request: BundleRequest) -> Bundle:
    """Return the bundle that would be made, and check what can be checked without making it."""
    packages = _choose(repository, request)
    images = plan_images(request.images, request.arch)
    identity = _identify(repository, request, packages)
    return Bundle(
        id=identity,
        file=request.out / f"{identity}{SUFFIX}",
        packages=packages,
        dependencies={},
        images=tuple(images),
        unpacked=sum(package.size for package in packages) + sum(image.size for image in images),
    )


def make_bundle(repository: Repository, signer: Signer, request: BundleRequest) -> Bundle:
    """Make the bundle in ``request.out``; returns it.

    Raises UsageError for words that name nothing, RepoError for a repository that is damaged or
    was never published, FetchError for dependencies that cannot be had.
    """
    packages = _choose(repository, request)
    time = _time_of(repository, signer, request.channel)
    given = TreeInput(
        repository=repository,
        signer=signer.at(time),
        arch=request.arch,
        time=time,
        id=_identify(repository, request, packages),
    )
    with storage_guard(request.out):
        make_public_folder(request.out)
        sweep(request.out, prefix=_PREFIX, min_age_s=_SWEEP_AGE_S)
        with scratch_folder(request.out, prefix=_PREFIX) as work:
            return _make(given, request, packages, work)


def _make(
    given: TreeInput, request: BundleRequest, packages: tuple[RepoPackage, ...], work: Path
) -> Bundle:
    tree, ready = work / "tree", work / "ready"
    tree.mkdir()
    ready.mkdir()
    content = _fill(given, request, packages, work)
    write_sums(tree)
    file = f"{given.id}{SUFFIX}"
    target = SplitFile(
        ready,
        (lambda number: f"{file}.{number:03}") if request.split else (lambda _number: _WHOLE),
        request.split,
    )
    payload = write_payload(tree, int(given.time.timestamp()), target)
    unpacked = tree_size(tree, list_tree(tree))
    head = _head(
        given,
        request,
        content,
        payload=payload,
        unpacked=unpacked,
        sums=hash_file(tree / SUMS),
    )
    parts = payload.parts if request.split else ()
    _write_head(ready / file, head, None if request.split else ready / _WHOLE)
    sums = "".join(
        f"{hash_file(ready / name)}  {name}\n" for name in (file, *(part.name for part in parts))
    )
    (ready / f"{file}.sha256").write_text(sums, encoding="utf-8")
    (ready / f"{file}.sha256.asc").write_bytes(given.signer.detach(sums.encode()))
    size = sum(path.stat().st_size for path in ready.iterdir())
    _deliver(ready, request.out, file, parts)
    return Bundle(
        id=given.id,
        file=request.out / file,
        packages=content.packages,
        dependencies=content.dependencies,
        images=content.images,
        unpacked=unpacked,
        parts=parts,
        size=size,
        fingerprint=given.signer.fingerprints[0],
    )


def _fill(
    given: TreeInput, request: BundleRequest, packages: tuple[RepoPackage, ...], work: Path
) -> _Content:
    """Place everything but the sums into the tree."""
    tree = work / "tree"
    place_packages(given.repository, packages, tree)
    write_repository(given, request.channel, packages, tree)
    names = tuple(dict.fromkeys(word.partition("=")[0] for word in request.words))
    dependencies = {}
    config = given.repository.config
    for suite in request.suites:
        wanted = Wanted(
            suite=suite,
            arch=request.arch,
            names=names,
            tree=tree,
            channel=request.channel,
            components=tuple(dict.fromkeys(package.component for package in packages)),
            key=KEYS / f"{config.name}.gpg",
        )
        debs = fetch_dependencies(wanted, work)
        found = read_dependencies(debs, config.components[0], given.time)
        for path, package in found:
            link_file(path, tree / package.pool)
        write_dependencies(given, suite, [package for _, package in found], tree)
        dependencies[suite] = len(found)
    images = place_images(request.images, request.arch, tree, work)
    return _Content(
        names=names,
        packages=packages,
        dependencies=dependencies,
        images=tuple(images),
    )


def _choose(repository: Repository, request: BundleRequest) -> tuple[RepoPackage, ...]:
    channel = repository.channel(request.channel)
    found: list[RepoPackage] = []
    for fmt in request.formats:
        present = repository.state.select(channel).where(fmt=fmt)
        if len(present):
            found += choose_packages(present, request.words, fmt, request.arch)
    if not found:
        listed = " and ".join(fmt.value for fmt in request.formats)
        raise UsageError(
            f"channel {channel} has no package as {listed}", hint="builder repo add --channel …"
        )
    if request.suites and not any(package.fmt is PackageFormat.DEB for package in found):
        raise UsageError(
            "dependencies are of Debian's packages, and the bundle has no deb",
            hint="leave --with-dependencies away, or say --format deb",
        )
    return tuple(found)


def _identify(
    repository: Repository, request: BundleRequest, packages: Sequence[RepoPackage]
) -> str:
    first = request.words[0].partition("=")[0]
    version = next(package.version for package in packages if package.name == first)
    return bundle_id(request.name or repository.config.name, version, request.arch)


def _time_of(repository: Repository, signer: Signer, channel: str) -> datetime:
    """Return the time that the channel's own indexes state, or that of a key that is newer."""
    indexed = repository.state.indexed(channel)
    if indexed is None:
        raise RepoError(
            f"channel {channel} was never published, so its content is not settled",
            hint=f"builder repo publish --root {repository.root}",
        )
    return max(indexed[1], *(key.created for key in signer.keys))


def _head(  # noqa: PLR0913 - by name
    given: TreeInput,
    request: BundleRequest,
    content: _Content,
    *,
    payload: Payload,
    unpacked: int,
    sums: str,
) -> bytes:
    manifest = render_manifest(
        ManifestInput(
            id=given.id,
            label=given.repository.config.label,
            channel=request.channel,
            arch=request.arch,
            fingerprint=given.signer.fingerprints[0],
            names=content.names,
            packages=content.packages,
            suites=request.suites,
            images=content.images,
            unpacked=unpacked,
            sums=sums,
            payload=payload,
            is_split=request.split is not None,
        )
    )
    signature = given.signer.detach(manifest, armor=False)
    keys = given.signer.public_keys(armor=False)
    return render_head((TARGET / _SCRIPT).read_bytes(), manifest, signature, keys)


def _write_head(path: Path, head: bytes, payload: Path | None) -> None:
    with path.open("wb") as file:
        file.write(head)
        if payload is not None:
            with payload.open("rb") as source:
                shutil.copyfileobj(source, file, 2**20)
    if payload is not None:
        payload.unlink()


def _deliver(ready: Path, out: Path, file: str, parts: Sequence[Part]) -> None:
    """Move the files to their place; a former bundle of the name ends first."""
    (out / file).unlink(missing_ok=True)
    for path in out.glob(f"{file}.[0-9][0-9][0-9]"):
        path.unlink()
    names = [part.name for part in parts]
    for name in (*names, f"{file}.sha256", f"{file}.sha256.asc", file):
        (ready / name).chmod(PUBLIC_FILE)
        (ready / name).replace(out / name)
        log.detail(f"wrote {out / name}")
