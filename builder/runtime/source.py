"""The ``source`` provider: compiles CPython here, for hosts that no build reaches.

The cache keeps two trees: the output of ``make install``, by tarball, options and host; and
the runtime made of it, by the bundled libraries of this host as well. So a security update
of the host's OpenSSL is bundled anew without compiling again.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from builder.base import log, run
from builder.base.cache import Cache, key_of
from builder.base.errors import FetchError, OfflineError
from builder.base.files import hash_file
from builder.base.model import RuntimeChoice, host_arch
from builder.net.download import HashMismatchError, fetch_blob
from builder.net.mirror import site_mirror
from builder.runtime import bundle, cpython
from builder.runtime.buildhost import ensure_build_host, ensure_cross_host, host_identity
from builder.runtime.model import Runtime, RuntimeRequest
from builder.runtime.pins import Pinned, SourcePin, choose_sources
from builder.runtime.prepare import prepare_tree
from builder.runtime.prepared import PreparedRuntime, find_runtime, keep_runtime, runtime_key
from builder.runtime.sysroot import Sysroot, find_sysroot, make_sysroot

_UPSTREAM = "https://www.python.org/ftp/python"
RAW_KIND = "cpython"
LIBRARIES_FILE = "libraries.json"
_OTHER_WAYS = (
    "give the tarball itself with --python-source, a mirror of the standalone builds with --mirror,"
    " or a CPython of your own with --runtime archive"
)


class SourceProvider(Pinned):
    """Compiles the newest pinned CPython that the release allows and that is available."""

    choice = RuntimeChoice.SOURCE

    def provide(self, request: RuntimeRequest, cache: Cache) -> Runtime:
        """Compile CPython, bundle its libraries, and prepare and check the tree.

        If no server has the tarball of a pin any more, the next older pin is used. For another
        architecture it is cross-compiled, by the runtime of this host and a sysroot.
        """
        if request.arch is not host_arch():
            return self._provide_foreign(request, cache)
        failures: list[str] = []
        for build in self._builds(request):
            prepared = build.find_prepared(cache)
            if prepared is not None:
                return build.runtime(prepared)
            raw = cache.find_derived(RAW_KIND, build.key)
            if raw is None:
                ensure_build_host(install=request.install_build_deps)
                try:
                    tarball = _fetch_tarball(build.pin, request, cache)
                except HashMismatchError:
                    raise
                except (FetchError, OfflineError) as error:
                    failures.append(error.message)
                    log.step(f"runtime: no tarball of CPython {build.pin.version} is available")
                    continue
                raw = build.compile(tarball, cache, jobs=request.jobs)
            return build.runtime(build.prepare(raw, cache, jobs=request.jobs))
        raise _unavailable(request, failures)

    def fetch(self, request: RuntimeRequest, cache: Cache) -> dict[str, Path]:
        """Bring the tarball of :meth:`provide` into the cache; returns it by its name."""
        failures: list[str] = []
        for build in self._builds(request):
            try:
                return {build.pin.file: _fetch_tarball(build.pin, request, cache)}
            except HashMismatchError:
                raise
            except (FetchError, OfflineError) as error:
                failures.append(error.message)
        raise _unavailable(request, failures)

    def find_prepared(self, request: RuntimeRequest, cache: Cache) -> Runtime | None:
        """Return the newest pin's runtime if it was made before and is still current."""
        if request.arch is host_arch():
            build = next(iter(self._builds(request)))
        else:
            sysroot = find_sysroot(request.arch, cache)
            native = self.find_prepared(_natively(request), cache)
            if sysroot is None or native is None:
                return None
            build = self._foreign(request, sysroot, native)
        prepared = build.find_prepared(cache)
        return build.runtime(prepared) if prepared is not None else None

    def _provide_foreign(self, request: RuntimeRequest, cache: Cache) -> Runtime:
        """Compile for another architecture the version that this host's own runtime has."""
        sysroot = make_sysroot(request.arch, cache, offline=request.offline)
        native = self.provide(_natively(request), cache)
        build = self._foreign(request, sysroot, native)
        prepared = build.find_prepared(cache)
        if prepared is not None:
            return build.runtime(prepared)
        native = self.provide(replace(_natively(request), whole=True), cache)
        build = self._foreign(request, sysroot, native)
        raw = cache.find_derived(RAW_KIND, build.key)
        if raw is None:
            ensure_cross_host(request.arch, install=request.install_build_deps)
            tarball = _fetch_tarball(build.pin, request, cache)
            raw = build.compile(tarball, cache, jobs=request.jobs)
        return build.runtime(build.prepare(raw, cache, jobs=request.jobs))

    def _foreign(self, request: RuntimeRequest, sysroot: Sysroot, native: Runtime) -> "_Build":
        pins = choose_sources(self.pins, request)
        pin = next(pin for pin in pins if pin.version == native.version)
        if request.pgo:
            log.step(f"runtime: without PGO for {request.arch}: nothing can be trained here")
        foreign = _Foreign(sysroot=sysroot, native=native)
        return _Build(pin=pin, request=replace(request, pgo=False), foreign=foreign)

    def _builds(self, request: RuntimeRequest) -> list["_Build"]:
        pins = choose_sources(self.pins, request)
        if request.source is not None:
            pins = [_pin_of(request.source, pins)]
        return [_Build(pin=pin, request=request) for pin in pins]


@dataclass(frozen=True, kw_only=True)
class _Foreign:
    """What a build for another architecture needs of this host."""

    sysroot: Sysroot
    native: Runtime  # of the same version

    @property
    def cross(self) -> cpython.Cross:
        return cpython.Cross(
            arch=self.sysroot.arch, sysroot=self.sysroot.root, python=self.native.python
        )

    def complete(self, tree: Path, minor: str) -> None:
        """Add what a Python installs by running: pip, which no machine code is part of."""
        assert self.native.tree is not None
        place = f"lib/python{minor}/site-packages"
        shutil.copytree(self.native.tree / place, tree / place, dirs_exist_ok=True)

    def check(self, tree: Path, minor: str, traces: tuple[str, ...]) -> None:
        """Check the runtime: by an emulator, where this host has one."""
        assert self.native.tree is not None
        cpython.check_foreign(tree, self.native.tree, traces=(*traces, str(self.sysroot.root)))
        machine = self.sysroot.arch.machine
        for name in (f"qemu-{machine}-static", f"qemu-{machine}"):
            emulator = shutil.which(name)
            if emulator is not None:
                runner = (emulator, "-L", self.sysroot.root)
                cpython.check_runtime(tree, minor, traces=(), runner=runner)
                return
        log.step(f"runtime: not started: no qemu-{machine} here to run it by")


@dataclass(frozen=True, kw_only=True)
class _Build:
    """One tarball compiled as requested, on this host."""

    pin: SourcePin
    request: RuntimeRequest
    foreign: _Foreign | None = None  # for another architecture

    @property
    def recipe(self) -> cpython.Recipe:
        return cpython.Recipe(version=self.pin.version, pgo=self.request.pgo, lto=self.request.lto)

    @property
    def key(self) -> str:
        """The key of the tree that ``make install`` writes."""
        if self.foreign is None:
            inputs = (self.pin.sha256, self.request.arch, self.recipe.inputs, host_identity())
            return key_of(RAW_KIND, *inputs)
        sysroot = self.foreign.sysroot.key
        return key_of(RAW_KIND, self.pin.sha256, self.recipe.cross_inputs, sysroot)

    @property
    def libraries(self) -> bundle.Libraries:
        """The libraries that it is linked with."""
        if self.foreign is not None:
            return self.foreign.sysroot
        return bundle.HostLibraries(self.request.arch)

    def find_prepared(self, cache: Cache) -> PreparedRuntime | None:
        """Return the runtime made of the raw tree, if both are in the cache."""
        raw = cache.find_record(RAW_KIND, self.key, (LIBRARIES_FILE,))
        if raw is None:
            return None
        return find_runtime(cache, self.runtime_key(raw), whole=self.request.whole)

    def compile(self, tarball: Path, cache: Cache, *, jobs: int) -> Path:
        """Return the folder with the raw tree (``install/``) and the names of its libraries."""

        def make(folder: Path) -> None:
            tree = folder / "install"
            cross = self.foreign.cross if self.foreign is not None else None
            cpython.compile_cpython(tarball, tree, self.recipe, cache=cache, jobs=jobs, cross=cross)
            names = [library.soname for library in bundle.find_needed(tree, self.libraries)]
            (folder / LIBRARIES_FILE).write_text(json.dumps(names), "utf-8")

        return cache.derive(RAW_KIND, self.key, make, (LIBRARIES_FILE,))

    def runtime_key(self, raw: Path) -> str:
        """Return the key of the runtime made of the raw tree and this host's libraries."""
        names = json.loads((raw / LIBRARIES_FILE).read_text("utf-8"))
        known = self.libraries
        libraries = {
            name: hash_file(path) if (path := known.find(name)) is not None else ""
            for name in names
        }
        return runtime_key("source", self.key, libraries, hash_file(Path(bundle.__file__)))

    def prepare(self, raw: Path, cache: Cache, *, jobs: int) -> PreparedRuntime:
        """Prepare the runtime made of the raw tree."""
        pin = self.pin

        def make(tree: Path) -> str:
            log.step(f"runtime: preparing CPython {pin.version} for {self.request.arch}")
            shutil.copytree(raw / "install", tree, symlinks=True)
            bundle.bundle_libraries(tree, self.libraries)
            own = tree / "bin" / f"python{pin.minor}"
            if self.foreign is not None:
                self.foreign.complete(tree, pin.minor)
            prepare_tree(
                tree,
                version=pin.version,
                arch=self.request.arch,
                python=own if self.foreign is None else self.foreign.native.python,
                jobs=jobs,
                builds=() if self.foreign is None else (str(self.foreign.sysroot.root),),
            )
            bundle.check_resolved(tree)
            traces = (str(cache.root / "tmp"),)
            if self.foreign is None:
                cpython.check_runtime(tree, pin.minor, traces=traces)
            else:
                self.foreign.check(tree, pin.minor, traces)
            return pin.version

        return keep_runtime(cache, self.runtime_key(raw), make)

    def runtime(self, prepared: PreparedRuntime) -> Runtime:
        """Return the runtime as the answer to the request."""
        options = {"pgo": self.request.pgo, "lto": self.request.lto}
        return Runtime(
            provider=RuntimeChoice.SOURCE,
            version=self.pin.version,
            arch=self.request.arch,
            # Not the mirror it came from: the bytes are upstream's, whatever the server.
            origin=_upstream_url(self.pin),
            sha256=self.pin.sha256,
            key=prepared.key,
            tree=prepared.tree,
            python=self.foreign.native.python if self.foreign else prepared.python,
            glibc=prepared.glibc,
            options={
                **{name: "yes" if on else "no" for name, on in options.items()},
                "built-on": host_identity(),
            },
        )


def _natively(request: RuntimeRequest) -> RuntimeRequest:
    """Return the request for this host's own runtime, by which a foreign one is made."""
    return replace(request, arch=host_arch())


def _pin_of(tarball: Path, pins: list[SourcePin]) -> SourcePin:
    """Return the pin of a tarball that the user has."""
    try:
        found = hash_file(tarball)
    except OSError as error:
        raise FetchError(f"cannot read {tarball}: {error.strerror}") from error
    for pin in pins:
        if pin.sha256 == found:
            return pin
    known = ", ".join(f"{pin.file} ({pin.sha256[:12]}…)" for pin in pins)
    raise FetchError(
        f"{tarball} is none of the pinned tarballs: its sha256 is {found}",
        hint=f"give one of {known}, or pin yours in pkgspec/runtimes.toml",
    )


def _fetch_tarball(pin: SourcePin, request: RuntimeRequest, cache: Cache) -> Path:
    """Fetch the tarball of ``pin`` from the first place that has it."""
    if request.source is not None:
        return cache.add_blob(request.source, pin.sha256)
    failures: list[str] = []
    for url in tarball_urls(pin):
        if failures:
            log.step(f"runtime: {failures[-1]}; trying {url}")
        try:
            return fetch_blob(
                url,
                sha256=pin.sha256,
                cache=cache,
                offline=request.offline,
                label=f"source of CPython {pin.version}",
            )
        except HashMismatchError:
            raise
        except FetchError as error:
            failures.append(error.message)
    raise FetchError("\n".join(failures), hint=_OTHER_WAYS)


def _upstream_url(pin: SourcePin) -> str:
    return f"{_UPSTREAM}/{pin.version}/{pin.file}"


def tarball_urls(pin: SourcePin) -> Iterator[str]:
    """Yield the tarball's URLs: the site's mirror, upstream, the host's Debian mirrors."""
    site = site_mirror()
    if site:
        yield f"{site}/source/{pin.file}"
    yield _upstream_url(pin)
    apt = shutil.which("apt-get")
    if apt is None:
        return
    listed = run.run([apt, "indextargets", "--format", "$(REPO_URI)"], check=False).stdout.split()
    addresses = [uri for uri in dict.fromkeys(listed) if uri.startswith(("http", "file"))]
    # The main archive first, then security's, then all others that are configured.
    for uri in sorted(addresses, key=lambda uri: ("debian" not in uri, "security" in uri)):
        yield f"{uri.rstrip('/')}/{pin.debian_pool}{pin.debian_file}"


def _unavailable(request: RuntimeRequest, failures: list[str]) -> FetchError | OfflineError:
    text = "\n".join([f"no source of CPython {request.minor} is available:", *failures])
    kind = OfflineError if request.offline else FetchError
    return kind(text, hint=_OTHER_WAYS)
