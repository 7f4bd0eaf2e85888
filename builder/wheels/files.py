"""Gets the wheels of a lock into the cache: from a mirror or the index, by hash.

A distribution without a wheel is built into one, without network, by build requirements
that the lock pins too.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import FetchError, LockError, OfflineError
from builder.base.files import hash_file
from builder.base.paths import extra_wheels
from builder.base.timing import phase
from builder.base.words import name_some
from builder.index.uv import Target, locate
from builder.lock import LockedDistribution, LockedFile
from builder.net.download import fetch_blob
from builder.net.http import open_client
from builder.net.mirror import site_mirror
from builder.wheels.model import WheelFile, WheelRequest
from builder.wheels.sdist import SdistBuilder, describe_wheel

_CONNECTIONS = 8
_SHOWN = 3


def fetch_files(needed: WheelRequest, cache: Cache, *, offline: bool) -> dict[str, Path]:
    """Bring every file that ``needed`` names into the cache; returns sha256 to path.

    Raises OfflineError or FetchError naming what is missing.
    """
    files = needed.all_files()
    hashes = [file.sha256 for _, file in files]
    with ThreadPoolExecutor(max_workers=_CONNECTIONS) as pool:
        paths = dict(zip(hashes, pool.map(cache.find_blob, hashes), strict=True))
    paths |= _take_own(file for _, file in files if paths[file.sha256] is None)
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


def _take_own(files: Iterable[LockedFile]) -> dict[str, Path | None]:
    """Return the site's own wheels among ``files``: no index and no mirror has them."""
    folder = extra_wheels()
    if folder is None:
        return {}
    found: dict[str, Path | None] = {}
    for file in files:
        path = folder / file.file
        if path.is_file() and hash_file(path) == file.sha256:
            found[file.sha256] = path
        elif path.is_file():
            raise FetchError(
                f"{path}: is not the file that the lock names",
                hint="run 'builder lock', or put the former file back",
            )
    return found


def _some(names: Iterable[str]) -> str:
    return name_some(sorted(names), _SHOWN)


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
    except (LockError, FetchError) as error:
        raise FetchError(
            f"cannot find the wheels on the index:\n{error.message}",
            hint="is the Python index reachable? UV_DEFAULT_INDEX names another one, "
            "BUILDER_MIRROR a folder or site made by 'builder fetch --mirror'",
        ) from error


def prepare_wheels(
    needed: WheelRequest, python: Path, cache: Cache, *, epoch: int, offline: bool
) -> list[WheelFile]:
    """Bring every wheel of ``needed`` into the cache, built if the index has none.

    ``python`` is an interpreter of the target's minor version that runs here.
    """
    paths = fetch_files(needed, cache, offline=offline)
    sdists = SdistBuilder(needed=needed, paths=paths, python=python, cache=cache, epoch=epoch)
    return [
        describe_wheel(distribution, file.file, file.sha256, paths[file.sha256])
        if file.is_wheel
        else sdists.build(distribution, file)
        for distribution, file in needed.files()
    ]
