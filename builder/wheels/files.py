"""Gets the wheels of a lock into the cache: from a mirror or the index, by hash.

What has no wheel is built into one, without network, by build requirements that
the lock pins too.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.cache import Cache, hash_file, key_of
from builder.base.errors import FetchError, LockError, OfflineError, PayloadError, ToolError
from builder.base.model import Arch, host_arch
from builder.base.run import run
from builder.base.timing import phase
from builder.index.tags import is_pure
from builder.index.uv import Target, locate, uv_environment, uv_path
from builder.lock import LockedDistribution, LockedFile
from builder.net.download import fetch_blob
from builder.net.http import open_client
from builder.net.mirror import site_mirror

_CONNECTIONS = 8


@dataclass(frozen=True, kw_only=True)
class WheelFile:
    """A wheel in the cache, ready to be installed."""

    name: str  # of the distribution, normalised
    version: str
    file: str  # the wheel's file name
    sha256: str
    path: Path

    @property
    def pin(self) -> str:
        """The requirement that means exactly this."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, kw_only=True)
class WheelRequest:
    """Distributions of a lock for one target, and what may be done to get them."""

    distributions: Sequence[LockedDistribution]
    build: Sequence[LockedDistribution]
    target: Target

    def files(self, arch: Arch | None = None) -> list[tuple[LockedDistribution, LockedFile]]:
        """Every distribution that the architecture installs, with its file."""
        wanted = arch or self.target.arch
        pairs = (
            (distribution, distribution.file_for(wanted)) for distribution in self.distributions
        )
        return [(distribution, file) for distribution, file in pairs if file is not None]

    def all_files(self) -> list[tuple[LockedDistribution, LockedFile]]:
        """:meth:`files`, and what the sdists among them are built with."""
        found = self.files()
        if any(not file.is_wheel for _, file in found):
            # Build requirements are locked for one architecture; they are pure.
            found += [
                (distribution, file) for distribution in self.build for file in distribution.files
            ]
        return found


def fetch_files(needed: WheelRequest, cache: Cache, *, offline: bool) -> dict[str, Path]:
    """Bring every file that ``needed`` names into the cache: sha256 to path.

    Raises OfflineError or FetchError naming what is missing.
    """
    files = needed.all_files()
    paths = {file.sha256: cache.find_blob(file.sha256) for _, file in files}
    missing = [(distribution, file) for distribution, file in files if paths[file.sha256] is None]
    if missing:
        if offline and not (site_mirror() or "").startswith("file:"):
            raise OfflineError(
                f"offline, and the cache lacks {len(missing)} of {len(files)} wheels: "
                f"{_some(file.file for _, file in missing)}",
                hint="run 'builder fetch' where there is a network, with the same cache",
            )
        paths |= _download(missing, needed.target, cache)
    return {sha256: path for sha256, path in paths.items() if path is not None}


def _some(names: Iterable[str], shown: int = 3) -> str:
    listed = sorted(names)
    rest = len(listed) - shown
    return ", ".join(listed[:shown]) + (f" and {rest} more" if rest > 0 else "")


def _download(
    missing: Sequence[tuple[LockedDistribution, LockedFile]], target: Target, cache: Cache
) -> dict[str, Path | None]:
    urls = _locate_missing(missing, target, cache)
    unknown = [file.file for _, file in missing if file.file not in urls]
    if unknown:
        raise FetchError(
            f"the index no longer has {_some(unknown)}, which the lock names",
            hint="run 'builder lock', or take the file from a mirror (BUILDER_MIRROR)",
        )
    total = sum(file.size for _, file in missing)
    log.step(f"fetching from the index: {len(missing)} files, {total / 1e6:.1f} MB")
    with (
        phase("fetch"),
        log.progress("wheels", total) as advance,
        open_client() as client,
        ThreadPoolExecutor(max_workers=_CONNECTIONS) as pool,
    ):

        def fetch(file: LockedFile) -> tuple[str, Path | None]:
            path = fetch_blob(urls[file.file], sha256=file.sha256, cache=cache, client=client)
            advance(file.size)
            return file.sha256, path

        return dict(pool.map(fetch, [file for _, file in missing]))


def _locate_missing(
    missing: Sequence[tuple[LockedDistribution, LockedFile]], target: Target, cache: Cache
) -> dict[str, str]:
    mirror = site_mirror()
    if mirror:
        return {file.file: f"{mirror}/wheels/{file.file}" for _, file in missing}
    sdists = [distribution.name for distribution, file in missing if not file.is_wheel]
    try:
        return locate([distribution.pin for distribution, _ in missing], target, sdists, cache)
    except LockError as error:
        raise FetchError(
            f"cannot find the wheels on the index:\n{error.message}",
            hint="is the Python index reachable? UV_DEFAULT_INDEX names another one, "
            "BUILDER_MIRROR a folder or site made by 'builder fetch --mirror'",
        ) from error


def prepare_wheels(
    needed: WheelRequest, python: Path, cache: Cache, *, epoch: int, offline: bool
) -> list[WheelFile]:
    """Every wheel of ``needed`` in the cache, those without one on the index built.

    ``python`` is an interpreter of the target's minor version that runs here.
    """
    paths = fetch_files(needed, cache, offline=offline)
    workshop = _SdistBuilder(needed=needed, paths=paths, python=python, cache=cache, epoch=epoch)
    return [
        _wheel(distribution, file.file, file.sha256, paths[file.sha256])
        if file.is_wheel
        else workshop.build(distribution, file)
        for distribution, file in needed.files()
    ]


def _wheel(distribution: LockedDistribution, file: str, sha256: str, path: Path) -> WheelFile:
    return WheelFile(
        name=distribution.name, version=distribution.version, file=file, sha256=sha256, path=path
    )


@dataclass(frozen=True, kw_only=True)
class _SdistBuilder:
    """Builds wheels from sdists, by pinned build requirements and without network."""

    needed: WheelRequest
    paths: dict[str, Path]
    python: Path
    cache: Cache
    epoch: int

    def build(self, distribution: LockedDistribution, sdist: LockedFile) -> WheelFile:
        minor = self.needed.target.minor
        tools = [file.sha256 for _, file in self._tools]
        key = key_of("sdist", sdist.sha256, minor, self.epoch, tools)
        folder = self.cache.derive(
            "sdist", key, lambda folder: self._make(distribution, sdist, folder)
        )
        wheel = next(folder.glob("*.whl"))
        host = host_arch()
        if not is_pure(wheel.name) and self.needed.target.arch is not host:
            raise PayloadError(
                f"{distribution.pin} has no wheel for {self.needed.target.arch} on the index, "
                f"and what is built from its sdist here runs only on {host}",
                hint=f"build the {self.needed.target.arch} packages on such a host",
            )
        return _wheel(distribution, wheel.name, hash_file(wheel), wheel)

    @property
    def _tools(self) -> list[tuple[LockedDistribution, LockedFile]]:
        return [
            (distribution, file)
            for distribution in self.needed.build
            for file in distribution.files
        ]

    def _make(self, distribution: LockedDistribution, sdist: LockedFile, folder: Path) -> None:
        log.step(f"building a wheel of {distribution.pin}, which has none on the index")
        with self.cache.workspace() as work:
            # The index's names: uv reads the version from them.
            (work / sdist.file).hardlink_to(self.paths[sdist.sha256])
            links = work / "links"
            links.mkdir()
            for _, file in self._tools:
                (links / file.file).hardlink_to(self.paths[file.sha256])
            constraints = work / "constraints.txt"
            constraints.write_text(
                "".join(f"{tool.pin} --hash=sha256:{f.sha256}\n" for tool, f in self._tools),
                encoding="utf-8",
            )
            command = [
                # Not quiet: that would hide what the build itself says when it fails.
                *[str(uv_path()), "build", "--no-config"],
                *["--wheel", str(work / sdist.file), "--out-dir", str(folder)],
                *["--python", str(self.python), "--no-index", "--find-links", str(links)],
                *["--build-constraints", str(constraints), "--require-hashes"],
            ]
            environment = uv_environment(self.cache) | {"SOURCE_DATE_EPOCH": str(self.epoch)}
            try:
                run(command, env=environment)
            except ToolError as error:
                raise PayloadError(
                    f"cannot build a wheel of {distribution.pin}:\n{error.message}",
                    hint="its build requirements are under [sdist] of the release",
                ) from error
