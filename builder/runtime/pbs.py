"""The ``pbs`` provider: standalone builds from their release tree or a mirror of it."""

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import PayloadError
from builder.base.model import RuntimeChoice, host_arch
from builder.net.download import fetch_blob
from builder.net.extract import extract_tar
from builder.net.mirror import mirror_url, site_mirror
from builder.runtime.model import Runtime, RuntimeRequest
from builder.runtime.pins import Pinned, StandalonePin, choose_standalone
from builder.runtime.prepare import prepare_tree
from builder.runtime.prepared import (
    PreparedRuntime,
    ask_version,
    find_runtime,
    keep_runtime,
    runtime_key,
)

RELEASE_TREE = "https://github.com/astral-sh/python-build-standalone/releases/download"
MIRROR_VARIABLE = "BUILDER_PYTHON_MIRROR"
# Every path in an asset sits below it.
_TOP = "python"


class PbsProvider(Pinned):
    """Fetches the pinned asset, checks it, and makes it a runtime."""

    choice = RuntimeChoice.PBS

    def provide(self, request: RuntimeRequest, cache: Cache) -> Runtime:
        """Fetch and prepare the newest standalone build that the release allows.

        For a foreign architecture the host's build is fetched too, to compile bytecode.
        """
        pin = choose_standalone(self.pins, request)
        python = self._host_python(request, cache)
        key = _key(pin)
        prepared = find_runtime(cache, key, whole=request.whole)
        if prepared is None:
            asset = _fetch_asset(request, cache, pin)
            log.step(f"runtime: preparing CPython {pin.version} for {pin.arch}")

            def make(tree: Path) -> str:
                return _prepare(asset, tree, pin, python=python, jobs=request.jobs)

            prepared = keep_runtime(cache, key, make)
        return _runtime(pin, prepared, python)

    def find_prepared(self, request: RuntimeRequest, cache: Cache) -> Runtime | None:
        """Return the runtime of :meth:`provide` if it needs neither fetching nor preparing."""
        pin = choose_standalone(self.pins, request)
        prepared = find_runtime(cache, _key(pin), whole=request.whole)
        if prepared is None or pin.arch is host_arch():
            return _runtime(pin, prepared, None) if prepared is not None else None
        host = self.find_prepared(replace(request, arch=host_arch()), cache)
        return _runtime(pin, prepared, host.python) if host is not None else None

    def fetch(self, request: RuntimeRequest, cache: Cache) -> dict[str, Path]:
        """Bring the downloads of :meth:`provide` into the cache; returns assets by name."""
        pins = {
            arch: choose_standalone(self.pins, request, arch)
            for arch in (host_arch(), request.arch)
        }
        return {pin.asset: _fetch_asset(request, cache, pin) for pin in pins.values()}

    def _host_python(self, request: RuntimeRequest, cache: Cache) -> Path | None:
        """Return the host's interpreter for a foreign tree; None if the tree's own runs here."""
        if request.arch is host_arch():
            return None
        return self.provide(replace(request, arch=host_arch()), cache).python


def _fetch_asset(request: RuntimeRequest, cache: Cache, pin: StandalonePin) -> Path:
    return fetch_blob(
        asset_url(release_tree(request.mirror), pin),
        sha256=pin.sha256,
        cache=cache,
        offline=request.offline,
        label=f"CPython {pin.version} for {pin.arch}",
    )


def release_tree(mirror: str | None) -> str:
    """Return the URL above the tags: of ``mirror``, the environment's mirror, or the publisher.

    Raises UsageError if the named mirror cannot be one.
    """
    if mirror:
        return mirror_url(mirror, "--mirror")
    if own := os.environ.get(MIRROR_VARIABLE):
        return mirror_url(own, MIRROR_VARIABLE)
    site = site_mirror()
    return f"{site}/standalone" if site else RELEASE_TREE


def asset_url(tree: str, pin: StandalonePin) -> str:
    """Return the URL of the asset of ``pin`` in a release tree."""
    return f"{tree}/{pin.tag}/{quote(pin.asset)}"


def _key(pin: StandalonePin) -> str:
    return runtime_key("standalone", pin.sha256)


def _prepare(asset: Path, tree: Path, pin: StandalonePin, *, python: Path | None, jobs: int) -> str:
    try:
        extract_tar(asset, tree, strip=_TOP)
    except PayloadError as error:  # the blob's name is a hash: name the asset
        text = error.message.replace(str(asset), pin.asset)
        raise PayloadError(text, hint=error.hint) from error
    if python is None:
        python = tree / "bin" / f"python{pin.minor}"
        version = ask_version(python, pin.asset) if python.exists() else pin.version
        if version != pin.version:
            raise PayloadError(
                f"{pin.asset} holds Python {version}, but is pinned as {pin.version}",
                hint="fix the pin in pkgspec/runtimes.toml",
            )
    prepare_tree(tree, version=pin.version, arch=pin.arch, python=python, jobs=jobs)
    return pin.version


def _runtime(pin: StandalonePin, prepared: PreparedRuntime, python: Path | None) -> Runtime:
    return Runtime(
        provider=RuntimeChoice.PBS,
        version=pin.version,
        arch=pin.arch,
        # Never the mirror's URL: the package should be the same wherever it was built.
        origin=asset_url(RELEASE_TREE, pin),
        sha256=pin.sha256,
        key=prepared.key,
        tree=prepared.tree,
        python=python or prepared.python,
        glibc=prepared.glibc,
        options={"tag": pin.tag, "flavour": pin.flavour},
    )
