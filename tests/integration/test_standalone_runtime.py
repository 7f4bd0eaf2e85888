"""The pbs and archive providers with a real CPython: the one the source provider made."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from builder.base import elf, run
from builder.base.cache import Cache
from builder.base.errors import RuntimeUnavailableError
from builder.base.model import RuntimeChoice, host_arch
from builder.base.paths import cache_root
from builder.runtime.archive import ArchiveProvider
from builder.runtime.model import Runtime, RuntimeRequest
from builder.runtime.pbs import PbsProvider
from builder.runtime.pins import Pins, StandalonePin, asset_stem
from builder.runtime.source import SourceProvider
from tests.helpers.servers import ReleaseServer, release_server

pytestmark = pytest.mark.build

TAG = "20260814"
REQUEST = RuntimeRequest(
    minor="3.13", requires_python=">=3.13,<3.14", release="26.9.6", arch=host_arch()
)
QUESTION = """
import bz2, ctypes, hashlib, importlib.metadata, json, lzma, sqlite3, ssl, sys, sysconfig, zoneinfo
print(json.dumps({
    "version": sys.version.split()[0],
    "prefix": sys.base_prefix,
    "purelib": sysconfig.get_paths()["purelib"],
    "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
    "pip": importlib.metadata.version("pip"),
    "cached": json.__cached__,
}))
"""


@pytest.fixture(scope="module")
def made() -> Runtime:
    """The runtime that the source provider left in the user's cache."""
    try:
        found = SourceProvider().find_prepared(REQUEST, Cache(root=cache_root()))
    except RuntimeUnavailableError as error:
        pytest.skip(str(error))
    if found is None:
        pytest.skip("no runtime in the cache: run 'builder runtime build --runtime source' first")
    return found


@pytest.fixture(scope="module")
def asset(made: Runtime) -> bytes:
    """Its tree packed as the standalone builds are."""
    assert made.tree is not None
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        tar.add(made.tree, arcname="python")
    return buffer.getvalue()


def serve(server: ReleaseServer, made: Runtime, asset: bytes, **behaviour: object) -> Pins:
    """Put the asset into the server's release tree; returns its pin."""
    stem = asset_stem(made.version, TAG, made.arch, "install_only_stripped")
    pin = StandalonePin(
        version=made.version,
        sha256=hashlib.sha256(asset).hexdigest(),
        tag=TAG,
        arch=made.arch,
        flavour="install_only_stripped",
        asset=f"{stem}.tar.gz",
    )
    server.add(f"/{TAG}/{pin.asset}", asset, **behaviour)
    return Pins(standalone=(pin,))


def request_from(server: ReleaseServer) -> RuntimeRequest:
    return RuntimeRequest(
        minor=REQUEST.minor,
        requires_python=REQUEST.requires_python,
        release=REQUEST.release,
        arch=REQUEST.arch,
        jobs=2,
        mirror=server.url,
    )


def check_works(runtime: Runtime, made: Runtime) -> None:
    """Check that the runtime is whole: it runs, finds itself and its bytecode, needs no more."""
    assert runtime.tree is not None
    answer = json.loads(run.run([runtime.python, "-I", "-c", QUESTION]).stdout)
    library = runtime.tree / f"lib/python{runtime.minor}"
    assert answer["version"] == runtime.version == made.version
    assert answer["prefix"] == str(runtime.tree)
    assert answer["purelib"] == str(library / "site-packages")
    assert answer["suffix"] == f".cpython-313-{runtime.arch.triplet}.so"
    assert Path(answer["cached"]).is_file()
    assert (runtime.glibc, runtime.arch) == (made.glibc, made.arch)
    assert len(elf.scan_tree(runtime.tree)) > 50


def test_a_real_cpython_survives_a_bad_line(tmp_path: Path, made: Runtime, asset: bytes) -> None:
    with release_server() as server:
        cuts = [len(asset) // 4, len(asset) // 4]
        pins = serve(server, made, asset, statuses=[503], cut_after=cuts, etag='"it"')
        provider = PbsProvider(pins)
        runtime = provider.provide(request_from(server), Cache(root=tmp_path / "cache"))
        quarter = len(asset) // 4
        assert server.ranges_asked() == [
            None, None, f"bytes={quarter}-", f"bytes={2 * quarter}-",
        ]  # fmt: skip
    assert runtime.provider is RuntimeChoice.PBS
    check_works(runtime, made)


def test_two_caches_hold_the_same_bytes(tmp_path: Path, made: Runtime, asset: bytes) -> None:
    trees = []
    with release_server() as server:
        pins = serve(server, made, asset)
        for name in ("one", "two"):
            runtime = PbsProvider(pins).provide(request_from(server), Cache(root=tmp_path / name))
            assert runtime.tree is not None
            trees.append(_fingerprint(runtime.tree))
    assert trees[0] == trees[1]


def test_the_same_file_as_an_archive(tmp_path: Path, made: Runtime, asset: bytes) -> None:
    path = tmp_path / "python.tar.gz"
    path.write_bytes(asset)
    request = RuntimeRequest(
        minor=REQUEST.minor,
        requires_python=REQUEST.requires_python,
        release=REQUEST.release,
        arch=REQUEST.arch,
        jobs=2,
        archive=path,
    )
    runtime = ArchiveProvider().provide(request, Cache(root=tmp_path / "cache"))
    assert runtime.provider is RuntimeChoice.ARCHIVE
    check_works(runtime, made)


def _fingerprint(tree: Path) -> dict[str, str]:
    """Every file of a tree by path, with mode and hash or link."""
    found = {}
    for path in tree.rglob("*"):
        name = str(path.relative_to(tree))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = f"{path.stat().st_mode:o} {digest}"
    return found
