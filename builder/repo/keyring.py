"""The archive keyring: packages that bring a host the keys and the sources of a repository.

They are planned, staged and packed like any other package. Their version is the day of
the newest key, so that a host gets a new key by an ordinary upgrade.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from builder.base.cache import Cache
from builder.base.model import PackageFormat, host_arch
from builder.base.pages import text_template
from builder.pack.deliver import deliver
from builder.pack.manifest import write_manifest
from builder.pack.nfpm import Compression
from builder.pack.packing import PackRequest, pack_stage
from builder.plan import PlanInput, plan_package
from builder.plan.render import Sources
from builder.repo.config import RepoConfig
from builder.repo.keyfiles import KeyFiles
from builder.spec.release import ReleaseSpec
from builder.spec.schema import PackageSpec, ProjectSpec
from builder.stage.model import StageFiles, StageInput
from builder.stage.stager import stage_package

_TEMPLATES = Path(__file__).parent / "templates"
_KEYRINGS = PurePosixPath("/usr/share/keyrings")
_RPM_KEYS = PurePosixPath("/etc/pki/rpm-gpg")
_SOURCES = "keyring/archive.sources"
_REPO = "keyring/archive.repo"
_BINARY = "keyring/archive.gpg"
_ARMORED = "keyring/archive.asc"


@dataclass(frozen=True, kw_only=True)
class KeyringRequest:
    """The keyring packages to build."""

    channel: str
    revision: int
    out: Path


@dataclass(frozen=True, kw_only=True)
class KeyringInput:
    """The inputs of the packages beside the repository's own."""

    project: ProjectSpec
    sources: Sources
    cache: Cache


def deb_keyring(config: RepoConfig) -> PurePosixPath:
    """Return the path at which apt finds the keys."""
    return _KEYRINGS / f"{config.name}-archive-keyring.gpg"


def rpm_key(config: RepoConfig) -> PurePosixPath:
    """Return the path at which dnf finds the keys."""
    return _RPM_KEYS / f"RPM-GPG-KEY-{config.name}"


def render_sources(config: RepoConfig, channel: str) -> str:
    """Render the deb822 sources of a channel. Pure."""
    return _render("archive.sources.j2", config, channel)


def render_repo(config: RepoConfig, channel: str) -> str:
    """Render the .repo file of a channel, for dnf and zypper. Pure."""
    return _render("archive.repo.j2", config, channel)


def render_credentials(config: RepoConfig) -> str:
    """Render the script that stores the credentials of a private repository on a host. Pure."""
    return _render("credentials.sh.j2", config, "")


def credentials_machine(config: RepoConfig) -> str:
    """Return the repository as apt's auth.conf names it: without "https://"."""
    return config.base_url.removeprefix("https://")


def _render(name: str, config: RepoConfig, channel: str) -> str:
    return text_template(_TEMPLATES / name).render(
        config=config,
        channel=channel,
        keyring=deb_keyring(config),
        key=f"file://{rpm_key(config)}",
        variable=re.sub(r"\W", "_", config.name),
        machine=credentials_machine(config),
    )


def build_keyring(
    config: RepoConfig, keys: KeyFiles, request: KeyringRequest, given: KeyringInput
) -> list[Path]:
    """Build the keyring as deb and rpm into ``request.out``; returns the files."""
    release = keyring_release(config, keys.newest, request.revision)
    own = {
        _SOURCES: render_sources(config, request.channel).encode(),
        _REPO: render_repo(config, request.channel).encode(),
        _BINARY: keys.apt,
        _ARMORED: keys.rpm,
    }
    plan = plan_package(
        keyring_spec(config),
        None,
        host_arch(),
        PlanInput(project=given.project, release=release, sources={**given.sources, **own}),
    )
    stage_input = StageInput(
        arch=host_arch(),
        runtime=None,
        epoch=release.epoch,
        libraries={},
        jobs=1,
    )
    stage = stage_package(plan, stage_input, StageFiles, given.cache)
    artifacts = []
    for fmt in PackageFormat:
        pack = PackRequest(
            fmt=fmt,
            depends=(),
            epoch=release.epoch,
            compression=Compression.GZIP,  # read by every dpkg and rpm that may want a key
        )
        artifacts.append(pack_stage(plan, stage, pack, given.cache))
    files = [deliver(artifact, request.out, given.cache) for artifact in artifacts]
    write_manifest(request.out, artifacts)
    return files


def keyring_release(config: RepoConfig, newest: datetime, revision: int) -> ReleaseSpec:
    """Return the keyring's release, whose version is the day of the newest key. Pure."""
    day = newest.astimezone(UTC).date()
    version = f"{day:%Y}.{day.month}.{day.day}"
    changes = [f"Keys and sources of {config.label}."]
    return ReleaseSpec.model_validate(
        {
            "name": version,
            "version": version,
            "revision": revision,
            "index-until": newest,
            "packages": [keyring_name(config)],
            "changelog": [
                {"version": version, "revision": revision, "day": day, "changes": changes}
            ],
        }
    )


def keyring_name(config: RepoConfig) -> str:
    """Return the name of the packages."""
    return f"{config.name}-archive-keyring"


def keyring_spec(config: RepoConfig) -> PackageSpec:
    """Return the spec of the keyring package, like that of any other package. Pure."""

    def entry(
        source: str, target: PurePosixPath, fmt: str, kind: str = "file"
    ) -> dict[str, object]:
        return {"source": source, "target": str(target), "formats": [fmt], "kind": kind}

    sources = PurePosixPath(f"/etc/apt/sources.list.d/{config.name}.sources")
    repo = PurePosixPath(f"/etc/yum.repos.d/{config.name}.repo")
    return PackageSpec.model_validate(
        {
            "name": keyring_name(config),
            "summary": f"keys and sources of the {config.name} package repository",
            "description": (
                f"The public keys that sign {config.label}, and the file that names the\n"
                f"package manager to look for packages at {config.base_url}."
            ),
            "section": "misc",
            "payload": [
                entry(_BINARY, deb_keyring(config), "deb"),
                entry(_SOURCES, sources, "deb", "conffile"),
                entry(_ARMORED, rpm_key(config), "rpm"),
                entry(_REPO, repo, "rpm", "conffile"),
            ],
        }
    )
