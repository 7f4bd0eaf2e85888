"""The source provider: where its tarball comes from, and what is made again when.

Compiling itself is tested in tests/integration/test_source_runtime.py.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import FetchError, OfflineError, ToolError
from builder.base.model import RuntimeChoice
from builder.net.download import HashMismatchError
from builder.runtime.pins import Pins, SourcePin
from builder.runtime.source import SourceProvider
from tests.helpers.servers import ReleaseServer, release_server
from tests.helpers.trees import FOREIGN, HOST, MINOR, make_request, write_tree

NEW, OLD = f"{MINOR}.77", f"{MINOR}.76"
POOL = f"pool/main/p/python{MINOR}/"


def tarball(version: str) -> bytes:
    return f"the source of {version}".encode()


def pin(version: str) -> SourcePin:
    return SourcePin(
        version=version,
        sha256=hashlib.sha256(tarball(version)).hexdigest(),
        file=f"Python-{version}.tar.xz",
        debian_file=f"python{MINOR}_{version}.orig.tar.xz",
        debian_pool=POOL,
    )


PINS = Pins(source=(pin(OLD), pin(NEW)))


@dataclass
class Workshop:
    """Stands in for compiler and linker; remembers what it was asked to make."""

    compiled: list[str] = field(default_factory=list)
    bundled: list[Path] = field(default_factory=list)
    lacking: bool = False
    library: bytes = b"libssl, as it was"


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    shop = Workshop()
    library = tmp_path / "libssl.so.3"

    def compile_cpython(
        source: Path, target: Path, recipe: object, cross: object = None, **_: object
    ) -> None:
        shop.compiled.append(source.read_text())
        write_tree(target, source.read_text().rpartition(" ")[2])
        if cross is None:  # the other one cannot run ensurepip
            pip = target / "lib" / f"python{MINOR}" / "site-packages" / "pip" / "__init__.py"
            pip.parent.mkdir(parents=True)
            pip.write_text("pure = True\n")

    class HostLibraries:
        def __init__(self, _arch: object) -> None:
            library.write_bytes(shop.library)

        def find(self, _name: str) -> Path:
            return library

    def ensure(*, install: bool) -> None:
        if shop.lacking:
            raise ToolError("compiling CPython needs libedit")

    where = "builder.runtime"
    monkeypatch.setattr(f"{where}.cpython.compile_cpython", compile_cpython)
    monkeypatch.setattr(f"{where}.cpython.check_runtime", lambda *_args, **_options: None)
    monkeypatch.setattr(f"{where}.bundle.HostLibraries", HostLibraries)
    monkeypatch.setattr(f"{where}.bundle.find_needed", lambda *_: [_Library()])
    monkeypatch.setattr(f"{where}.bundle.check_resolved", lambda _tree: None)
    monkeypatch.setattr(
        f"{where}.bundle.bundle_libraries", lambda tree, _arch: shop.bundled.append(tree)
    )
    monkeypatch.setattr(f"{where}.source.ensure_build_host", ensure)
    return shop


class _Library:
    soname = "libssl.so.3"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """Upstream below /ftp, and the mirrors that this host's apt uses below /mirror-…"""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with release_server() as running:
        monkeypatch.setattr("builder.runtime.source._UPSTREAM", f"{running.url}/ftp")
        apt = tmp_path / "bin" / "apt-get"
        apt.parent.mkdir()
        uris = ("mirror-security/debian", "mirror/debian/", "mirror/debian/", "mirror-other")
        lines = "".join(f"echo {running.url}/{uri}\n" for uri in uris)
        apt.write_text(f"#!/bin/sh\necho cdrom:disc\n{lines}")
        apt.chmod(0o755)
        monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


def at_upstream(server: ReleaseServer, version: str, content: bytes | None = None) -> None:
    server.add(f"/ftp/{version}/Python-{version}.tar.xz", content or tarball(version))


def at_mirror(server: ReleaseServer, version: str) -> None:
    path = f"/mirror/debian/{POOL}python{MINOR}_{version}.orig.tar.xz"
    server.add(path, tarball(version))


Provide = Callable[[], str]


@pytest.fixture
def provide(workshop: Workshop, server: ReleaseServer, cache: Cache) -> Provide:
    """Provides the usual runtime and returns its version."""
    return lambda: SourceProvider(PINS).provide(make_request(), cache).version


def asked(server: ReleaseServer) -> list[str]:
    return [path for path, _ in server.requests]


# Where the tarball comes from


def test_upstream_comes_first(provide: Provide, server: ReleaseServer) -> None:
    at_upstream(server, NEW)
    at_mirror(server, NEW)
    assert provide() == NEW
    assert asked(server) == [f"/ftp/{NEW}/Python-{NEW}.tar.xz"]


def test_then_the_mirrors_of_this_host_each_once(provide: Provide, server: ReleaseServer) -> None:
    at_mirror(server, NEW)
    assert provide() == NEW
    assert asked(server)[1:] == [f"/mirror/debian/{POOL}python{MINOR}_{NEW}.orig.tar.xz"]


def test_then_the_next_older_pin(
    provide: Provide, server: ReleaseServer, workshop: Workshop
) -> None:
    at_mirror(server, OLD)
    assert provide() == OLD
    assert workshop.compiled == [f"the source of {OLD}"]
    places = {path.split("/")[1] for path in asked(server) if NEW in path}
    assert places == {"ftp", "mirror", "mirror-security", "mirror-other"}


def test_a_host_without_apt(
    provide: Provide, server: ReleaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    at_mirror(server, NEW)
    at_upstream(server, OLD)
    assert provide() == OLD


def test_nowhere_at_all(provide: Provide, server: ReleaseServer) -> None:
    with pytest.raises(FetchError) as caught:
        provide()
    for text in (f"no source of CPython {MINOR}", f"/ftp/{NEW}/", f"{POOL}python{MINOR}_{OLD}"):
        assert text in caught.value.message
    for way in ("--python-source", "--mirror", "--runtime archive"):
        assert way in (caught.value.hint or "")


def test_wrong_bytes_are_an_error_and_no_reason_to_look_further(
    provide: Provide, server: ReleaseServer, workshop: Workshop
) -> None:
    at_upstream(server, NEW, b"something else")
    at_mirror(server, NEW)
    with pytest.raises(HashMismatchError):
        provide()
    assert workshop.compiled == []


def test_offline_with_an_empty_cache(
    workshop: Workshop, server: ReleaseServer, cache: Cache
) -> None:
    with pytest.raises(OfflineError) as caught:
        SourceProvider(PINS).provide(make_request(offline=True), cache)
    assert f"source of CPython {NEW} is not in the cache" in caught.value.message
    assert asked(server) == []


def test_a_tarball_of_the_users(
    workshop: Workshop, server: ReleaseServer, cache: Cache, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.tar.xz"
    mine.write_bytes(tarball(OLD))
    runtime = SourceProvider(PINS).provide(make_request(source=mine, offline=True), cache)
    assert runtime.version == OLD
    assert runtime.sha256 == pin(OLD).sha256
    assert mine.exists()
    assert asked(server) == []


def test_a_tarball_that_nobody_pinned(workshop: Workshop, cache: Cache, tmp_path: Path) -> None:
    mine = tmp_path / "mine.tar.xz"
    mine.write_bytes(b"mine")
    provider = SourceProvider(PINS)
    with pytest.raises(FetchError) as caught:
        provider.provide(make_request(source=mine), cache)
    assert f"{mine} is none of the pinned tarballs" in caught.value.message
    assert f"Python-{NEW}.tar.xz" in (caught.value.hint or "")
    with pytest.raises(FetchError, match=r"cannot read .*/absent: No such file"):
        provider.provide(make_request(source=tmp_path / "absent"), cache)


# What is made, and when again


def test_the_answer(workshop: Workshop, server: ReleaseServer, cache: Cache) -> None:
    at_upstream(server, NEW)
    runtime = SourceProvider(PINS).provide(make_request(), cache)
    assert (runtime.provider, runtime.version, runtime.arch) == (RuntimeChoice.SOURCE, NEW, HOST)
    assert runtime.origin.endswith(f"/{NEW}/Python-{NEW}.tar.xz")
    assert runtime.sha256 == pin(NEW).sha256
    assert runtime.tree is not None
    assert runtime.python == runtime.tree / "bin" / f"python{MINOR}"
    assert (runtime.tree / f"lib/python{MINOR}/EXTERNALLY-MANAGED").is_file()
    assert not (runtime.tree / f"lib/python{MINOR}/test").exists()
    assert runtime.options["pgo"] == "no"


def test_the_origin_is_upstream_even_if_a_mirror_gave_it(
    workshop: Workshop, server: ReleaseServer, cache: Cache
) -> None:
    at_mirror(server, NEW)
    runtime = SourceProvider(PINS).provide(make_request(), cache)
    assert runtime.origin == f"{server.url}/ftp/{NEW}/Python-{NEW}.tar.xz"


def test_nothing_is_made_twice(workshop: Workshop, server: ReleaseServer, cache: Cache) -> None:
    at_upstream(server, NEW)
    provider = SourceProvider(PINS)
    request = make_request()
    assert provider.find_prepared(request, cache) is None
    made = provider.provide(request, cache)
    assert provider.provide(request, cache) == made
    assert provider.find_prepared(request, cache) == made
    assert len(workshop.compiled) == len(workshop.bundled) == len(asked(server)) == 1


def test_a_newer_library_of_the_host_is_bundled_without_compiling(
    workshop: Workshop, server: ReleaseServer, cache: Cache
) -> None:
    at_upstream(server, NEW)
    provider = SourceProvider(PINS)
    before = provider.provide(make_request(), cache)
    workshop.library = b"libssl, fixed"
    assert provider.find_prepared(make_request(), cache) is None
    after = provider.provide(make_request(), cache)
    assert after.key != before.key
    assert (len(workshop.compiled), len(workshop.bundled)) == (1, 2)


@pytest.mark.parametrize("option", ["pgo", "lto"])
def test_another_option_is_another_build(
    workshop: Workshop, server: ReleaseServer, cache: Cache, option: str
) -> None:
    at_upstream(server, NEW)
    provider = SourceProvider(PINS)
    plain = provider.provide(make_request(), cache)
    other = provider.provide(make_request(HOST, **{option: True}), cache)
    assert other.key != plain.key
    assert other.options[option] == "yes"
    assert len(workshop.compiled) == 2


def test_a_new_pin_replaces_what_was_built_of_an_old_one(
    workshop: Workshop, server: ReleaseServer, cache: Cache
) -> None:
    at_upstream(server, OLD)
    at_upstream(server, NEW)
    old = SourceProvider(Pins(source=(pin(OLD),))).provide(make_request(), cache)
    assert old.version == OLD
    assert SourceProvider(PINS).find_prepared(make_request(), cache) is None
    assert SourceProvider(PINS).provide(make_request(), cache).version == NEW


def test_what_is_missing_is_reported_before_anything_is_downloaded(
    provide: Provide, server: ReleaseServer, workshop: Workshop
) -> None:
    workshop.lacking = True
    with pytest.raises(ToolError, match="needs libedit"):
        provide()
    assert asked(server) == []


def test_a_build_from_before_needs_no_compiler(
    provide: Provide, server: ReleaseServer, workshop: Workshop
) -> None:
    at_upstream(server, NEW)
    provide()
    workshop.lacking = True
    assert provide() == NEW


class _Sysroot:
    """Stands in for the libraries of another architecture."""

    arch = FOREIGN
    key = "libraries of one day"
    strip = "strip"

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, _name: str) -> Path:
        return self.root / "libssl.so.3"


@pytest.fixture
def sysroot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Sysroot:
    made = _Sysroot(tmp_path / "sysroot")
    made.root.mkdir()
    (made.root / "libssl.so.3").write_bytes(b"a foreign libssl")
    where = "builder.runtime.source"
    monkeypatch.setattr(f"{where}.make_sysroot", lambda *_, **_options: made)
    monkeypatch.setattr(f"{where}.find_sysroot", lambda *_: made)
    monkeypatch.setattr(f"{where}.ensure_cross_host", lambda *_, **_options: None)
    return made


def test_another_architecture_is_compiled_by_this_hosts_own_python(
    workshop: Workshop,
    cache: Cache,
    server: ReleaseServer,
    sysroot: _Sysroot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[tuple[Path, Path]] = []
    monkeypatch.setattr(
        "builder.runtime.cpython.check_foreign",
        lambda tree, like, **_: checked.append((tree, like)),
    )
    monkeypatch.setattr("builder.runtime.source.shutil.which", lambda _: None)
    at_upstream(server, NEW)
    provider = SourceProvider(PINS)
    request = replace(make_request(), arch=FOREIGN, pgo=True)
    assert provider.find_prepared(request, cache) is None
    native = provider.provide(replace(request, arch=HOST), cache)
    made = provider.provide(request, cache)
    assert workshop.compiled == [tarball(NEW).decode()] * 2
    assert (made.arch, made.version) == (FOREIGN, NEW)
    assert made.python == native.python  # it compiles bytecode, here
    assert made.tree is not None
    assert made.tree != native.tree
    assert made.options["pgo"] == "no"
    assert (made.tree / f"lib/python{MINOR}/site-packages/pip/__init__.py").is_file()
    assert checked
    assert checked[0][1] == native.tree
    # Again from the cache, and anew with other libraries of either side.
    assert provider.find_prepared(request, cache) == made
    assert provider.provide(request, cache) == made
    sysroot.key = "libraries of another day"
    assert provider.find_prepared(request, cache) is None
    provider.provide(request, cache)
    assert len(workshop.compiled) == 3


def test_an_emulator_starts_a_runtime_of_another_architecture(
    workshop: Workshop,
    cache: Cache,
    server: ReleaseServer,
    sysroot: _Sysroot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runners = []

    def check_runtime(*_: object, runner: Sequence[object] = (), **_options: object) -> None:
        runners.append(list(map(str, runner)))

    monkeypatch.setattr("builder.runtime.cpython.check_runtime", check_runtime)
    monkeypatch.setattr("builder.runtime.cpython.check_foreign", lambda *_, **_options: None)
    emulator = f"qemu-{FOREIGN.machine}-static"
    monkeypatch.setattr(
        "builder.runtime.source.shutil.which",
        lambda name: f"/usr/bin/{name}" if name == emulator else None,
    )
    at_upstream(server, NEW)
    SourceProvider(PINS).provide(replace(make_request(), arch=FOREIGN), cache)
    assert workshop.compiled
    assert runners == [[], [f"/usr/bin/{emulator}", "-L", str(sysroot.root)]]
