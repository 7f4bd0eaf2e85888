"""All checks together, for one release on this host."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builder.base.cache import Cache
from builder.base.errors import BuilderError
from builder.base.model import host_arch
from builder.base.paths import cache_root
from builder.doctor import host
from builder.doctor.check import Check, assess_runtime, assess_wheels, first_ok, found, lacking
from builder.doctor.network import check_index, check_places, gather
from builder.index.uv import Target, uv_path
from builder.lock import Lock, LockedFile, load_lock, stale_locks
from builder.lock.inputs import needs_lock
from builder.net.http import local_path
from builder.net.mirror import SITE_VARIABLE, site_mirror
from builder.pack.packing import nfpm_path
from builder.runtime.buildhost import find_missing, read_os_release
from builder.runtime.model import RuntimeRequest
from builder.runtime.pbs import PbsProvider, asset_url, release_tree
from builder.runtime.pins import StandalonePin, choose_sources, choose_standalone
from builder.runtime.source import SourceProvider, tarball_urls
from builder.spec import ReleaseSpec, Spec
from builder.wheels.model import WheelRequest

_FETCH = "run 'builder fetch' where there is a network, with the same cache"


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The subject: a build of ``release``, with its output in ``out``."""

    spec: Spec
    release: ReleaseSpec
    out: Path
    offline: bool  # whether the cache alone must suffice


def examine(given: Examination) -> list[Check]:
    """Run every check; the checks of the network at once, and for a few seconds only."""
    locks_check, locks = _check_locks(given)
    arch_check = host.check_arch()
    checks = [
        host.check_python(),
        arch_check,
        host.check_tool("uv", uv_path),
        host.check_tool("nfpm", nfpm_path),
        host.check_tool("patchelf", host.find_patchelf),
        host.check_folder("cache", cache_root(), needed=host.CACHE_SPACE, setting="BUILDER_CACHE"),
        host.check_folder("out", given.out.absolute(), needed=host.OUT_SPACE, setting="--out"),
        locks_check,
    ]
    if locks and arch_check.is_ok:
        # Not open_cache(): an examination must not make a cache.
        cache = Cache(root=cache_root())
        checks += InputChecks(cache=cache, locks=locks, offline=given.offline).check()
    return [*checks, host.check_docker(os.environ), host.check_shellcheck()]


def _check_locks(given: Examination) -> tuple[Check, list[Lock]]:
    """Check that the release's locks fit the spec; returns the locks if they do."""
    problems = stale_locks(given.spec, given.release)
    if problems:
        return lacking("locks", "; ".join(problems), "builder lock"), []
    packages = [given.spec.packages[name] for name in given.release.packages]
    names = [package.name for package in packages if needs_lock(package)]
    locks = [load_lock(given.spec.root, given.release.name, name) for name in names]
    return found("locks", f"release {given.release.version}, {len(locks)} packages"), locks


@dataclass(frozen=True, kw_only=True)
class InputChecks:
    """Checks of a build's inputs: wheels and a CPython, in the cache or available."""

    cache: Cache
    locks: Sequence[Lock]
    offline: bool
    pbs: PbsProvider = field(default_factory=PbsProvider)
    source: SourceProvider = field(default_factory=SourceProvider)
    compiler: Callable[[], Check] = lambda: host.check_compiler(find_missing(), read_os_release())

    def check(self) -> list[Check]:
        """Return the checks of the inputs; an available source makes the others optional."""
        request = self._request()
        asks: list[tuple[str, Callable[[], Check]]] = [
            ("standalone", lambda: self._check_standalone(request)),
            ("tarball", lambda: self._check_tarball(request)),
        ]
        if not self.offline or _has_local_site():
            file = next(_locked_files(self.locks[0])).file
            asks.append(("index", lambda: _check_index(file)))
        standalone, tarball, *index = gather(asks)
        wheels = assess_wheels(cached=self._check_wheels(), source=index[0] if index else None)
        runtime = assess_runtime(
            prepared=self._check_prepared(request),
            standalone=standalone,
            tarball=tarball,
            compiler=self.compiler(),
        )
        return [*wheels, *runtime]

    def _request(self) -> RuntimeRequest:
        lock = self.locks[0]
        return RuntimeRequest(
            minor=lock.python,
            requires_python=lock.requires_python,
            release=lock.version,
            arch=host_arch(),
            offline=self.offline,
        )

    def _check_wheels(self) -> Check:
        hashes = {file.sha256 for lock in self.locks for file in _locked_files(lock)}
        missing = sum(not self.cache.blob(sha256).is_file() for sha256 in hashes)
        if missing:
            detail = f"{missing} of {len(hashes)} locked files are not in the cache"
            return lacking("wheels", detail, _FETCH)
        return found("wheels", f"all {len(hashes)} locked files are in the cache")

    def _check_prepared(self, request: RuntimeRequest) -> Check:
        for provider in (self.pbs, self.source):
            try:
                runtime = provider.find_prepared(request, self.cache)
            except BuilderError:  # nothing pinned: the provider's own check reports it
                continue
            if runtime is not None:
                return found("runtime", f"CPython {runtime.version} ({runtime.provider}) is cached")
        return lacking("runtime", f"no CPython {request.minor} is prepared in the cache", None)

    def _check_standalone(self, request: RuntimeRequest) -> Check:
        def urls(pin: StandalonePin) -> Iterator[str]:
            yield asset_url(release_tree(None), pin)

        remedy = "name a mirror with BUILDER_PYTHON_MIRROR"
        try:
            pin = choose_standalone(self.pbs.pins, request)
            return self._check_file("standalone", pin.sha256, urls(pin), remedy)
        except BuilderError as error:  # nothing pinned, or a mirror that cannot be one
            return lacking("standalone", error.message, error.hint)

    def _check_tarball(self, request: RuntimeRequest) -> Check:
        remedy = "check HTTPS_PROXY, or build with --python-source TARBALL"
        try:
            pins = choose_sources(self.source.pins, request)
            checks = (
                self._check_file("tarball", pin.sha256, tarball_urls(pin), remedy) for pin in pins
            )
            return first_ok(checks)
        except BuilderError as error:  # nothing pinned, or a mirror that cannot be one
            return lacking("tarball", error.message, error.hint)

    def _check_file(self, name: str, sha256: str, urls: Iterable[str], remedy: str) -> Check:
        """Check a pinned download: in the cache, or at one of ``urls``."""
        if self.cache.blob(sha256).is_file():
            return found(name, "in the cache")
        if self.offline:
            urls = [url for url in urls if local_path(url) is not None]
            remedy = _FETCH
            if not urls:
                return lacking(name, "not in the cache", remedy)
        return check_places(name, urls, remedy=remedy)


def _locked_files(lock: Lock) -> Iterator[LockedFile]:
    needed = WheelRequest(
        distributions=(*lock.wheel, *lock.sample),
        build=lock.build,
        target=Target(minor=lock.python, arch=host_arch(), glibc=lock.glibc),
    )
    return (file for _, file in needed.all_files())


def _check_index(file: str) -> Check:
    """Check the source of wheels: the site's mirror, which then has ``file``, or the index."""
    try:
        site = site_mirror()
    except BuilderError as error:
        return lacking("index", error.message, error.hint)
    if site is None:
        return check_index(uv_path)
    remedy = f"fill {SITE_VARIABLE} by 'builder fetch --mirror', or unset it to use the index"
    return check_places("index", [f"{site}/wheels/{file}"], remedy=remedy)


def _has_local_site() -> bool:
    """Return whether the site's mirror is a folder, which is read offline, too."""
    named = os.environ.get(SITE_VARIABLE, "")
    return bool(named) and ("://" not in named or local_path(named) is not None)
