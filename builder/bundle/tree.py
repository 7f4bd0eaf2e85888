"""The tree of a bundle: a repository of its packages alone, signed, and the sources that name it.

Its indexes state the time of the channel's own, so the same packages make the same bytes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.errors import RepoError
from builder.base.files import hash_file, link_file
from builder.base.model import Arch, PackageFormat
from builder.base.pages import text_template
from builder.bundle.model import SETUP, STATE
from builder.repo.apt import AptIndexer
from builder.repo.channel_index import sign_index
from builder.repo.config import ChannelSpec, RepoConfig
from builder.repo.core import Repository
from builder.repo.keyfiles import armored_path, index_key_files, make_key_files
from builder.repo.model import KEYS, Index, RepoPackage
from builder.repo.packages import HeldPackages
from builder.repo.parts import Output
from builder.repo.repodata import RpmIndexer
from builder.repo.sign import Signer
from builder.repo.spool import Spool

TARGET = Path(__file__).parent / "target"


@dataclass(frozen=True, kw_only=True)
class TreeInput:
    """What the indexes of a bundle are made with."""

    repository: Repository
    signer: Signer
    arch: Arch
    time: datetime
    id: str

    def config(self, channel: str, components: Sequence[str]) -> RepoConfig:
        """Return the repository's configuration for one channel of a bundle.

        Its indexes are valid without end, because a bundle is not published again.
        """
        config = self.repository.config
        spec = ChannelSpec(description=f"{config.label}, the bundle {self.id}")
        return config.model_copy(
            update={
                "channels": {channel: spec},
                "components": tuple(components),
                "architectures": (self.arch,),
                "apt": config.apt.model_copy(update={"contents": False}),
            }
        )


def dependencies_channel(suite: str) -> str:
    """Return the channel of a bundle that has a distribution's packages."""
    return f"dependencies-{suite}"


def place_packages(repository: Repository, packages: Sequence[RepoPackage], tree: Path) -> None:
    """Place package files below ``tree``; raises RepoError if one is not what is on record."""
    for package in packages:
        target = tree / package.pool
        source = repository.public / package.pool
        try:
            link_file(source, target)
            found = hash_file(target)
        except OSError as error:
            raise RepoError(
                f"cannot read {source}: {error.strerror}", hint="builder repo check"
            ) from error
        if found != package.sha256:
            raise RepoError(
                f"{source} is damaged: its sha256 is {found}, on record is {package.sha256}",
                hint="add the package again from its artifact",
            )


def write_repository(
    given: TreeInput, channel: str, packages: Sequence[RepoPackage], tree: Path
) -> None:
    """Write the indexes, the keys and the sources of the chosen packages."""
    config = given.config(channel, _components(packages, given.repository.config))
    listing = given.repository.state.listing
    output = Output(spool=Spool(tree))
    sources: Index = {}
    debs = [package for package in packages if package.fmt is PackageFormat.DEB]
    rpms = [package for package in packages if package.fmt is PackageFormat.RPM]
    if debs:
        AptIndexer(output, listing).index(channel, HeldPackages(debs), config, given.time)
        sources |= _sources(given, channel, config, "bundle")
    if rpms:
        RpmIndexer(output, listing).index(channel, HeldPackages(rpms), config, given.time)
        sources |= _render_repo(given, channel, config)
    log.step(f"signing the indexes of {len(packages)} packages")
    sign_index(output.spool, given.signer)
    keys = index_key_files(config.name, make_key_files(given.repository, given.signer))
    output.spool.write_all(sources | keys)


def write_dependencies(
    given: TreeInput, suite: str, packages: Sequence[RepoPackage], tree: Path
) -> None:
    """Write the indexes and the source of a distribution's packages."""
    channel = dependencies_channel(suite)
    config = given.config(channel, given.repository.config.components[:1])
    output = Output(spool=Spool(tree))
    indexer = AptIndexer(output, lambda _sha256: b"")
    indexer.index(channel, HeldPackages(packages), config, given.time)
    sign_index(output.spool, given.signer)
    output.spool.write_all(_sources(given, channel, config, suite))


def _components(packages: Sequence[RepoPackage], config: RepoConfig) -> list[str]:
    present = {package.component for package in packages}
    return [component for component in config.components if component in present]


def _sources(given: TreeInput, channel: str, config: RepoConfig, name: str) -> Index:
    key = KEYS / f"{config.name}.gpg"
    # A stanza of its own, where several files are joined.
    text = "\n" + _render("bundle.sources.j2", given, channel, config, key)
    return {SETUP / f"{name}.sources": text.encode()}


def _render_repo(given: TreeInput, channel: str, config: RepoConfig) -> Index:
    key = armored_path(config.name)
    files = {"bundle.repo": False, "bundle-zypper.repo": True}
    return {
        SETUP / name: _render("bundle.repo.j2", given, channel, config, key, medium=medium).encode()
        for name, medium in files.items()
    }


def _render(  # noqa: PLR0913 - by name
    name: str,
    given: TreeInput,
    channel: str,
    config: RepoConfig,
    key: PurePosixPath,
    *,
    medium: bool = False,
) -> str:
    """Render a source; with ``medium``, its base URL is the whole folder, as a medium's is."""
    return text_template(TARGET / name).render(
        label=config.label,
        id=given.id,
        root=STATE / given.id,
        suite=channel,
        components=config.components,
        signed=config.signing.packages,
        key=key,
        machine=given.arch.machine,
        medium=medium,
    )


def list_tree(tree: Path) -> list[PurePosixPath]:
    """Return every file below ``tree``, sorted."""
    found = [Path(folder) / name for folder, _, names in os.walk(tree) for name in names]
    return sorted(PurePosixPath(path.relative_to(tree)) for path in found)
