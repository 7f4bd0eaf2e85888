"""Whatever pkgspec/, a lock, repo.toml, a manifest or an index page holds: an error of ours."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from random import Random

import pytest
from hypothesis import given

from builder.base.errors import BuilderError
from builder.base.model import Arch
from builder.index.uv import Target, parse_pylock
from builder.lock import load_lock
from builder.lock.file import lock_path, render_lock
from builder.pack.manifest import load_manifest
from builder.repo.config import load_config
from builder.repo.model import check_place
from builder.repo.publish.claim import describe_claim
from builder.repo.publish.rsync import parse_listing
from builder.runtime.pins import parse_pins
from builder.spec import load_spec
from tests.fuzz.mutate import mutate, seeds
from tests.helpers.specs import make_lock, write_project

_REPO = """\
name = "example"
origin = "Example"
label = "Example's packages"
base-url = "https://packages.example.org"
components = ["main"]
architectures = ["amd64"]
grace-hours = 24

[channels.stable]
valid-until-days = 7
retention = { keep = 3, max-age-days = 10 }

[signing]
keys = ["0123456789ABCDEF0123456789ABCDEF01234567"]

[targets.web]
kind = "s3"
bucket = "packages"
endpoint = "https://s3.example.org"
"""
_MANIFEST = """\
{"schema": 1, "packages": [{"name": "a", "version": "1-1", "format": "deb", "arch": "all",
 "file": "a_1-1_all.deb", "size": 5, "sha256": "00", "inputs": {"release": "1"}}]}
"""
_PYLOCK = """\
lock-version = "1.0"
created-by = "uv"
requires-python = ">=3.13"

[[packages]]
name = "some-lib"
version = "1.0"
sdist = { url = "https://i.example/some_lib-1.0.tar.gz", hashes = { sha256 = "00" } }
wheels = [
  { url = "https://i.example/some_lib-1.0-py3-none-any.whl", size = 3, hashes = { sha256 = "00" } },
]
"""
_PINS = """\
[[standalone]]
version = "3.13.5"
tag = "20250612"
arch = "amd64"
flavour = "install_only_stripped"
asset = "cpython-3.13.5+20250612-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
"""
_TARGET = Target(minor="3.13", arch=Arch.AMD64, glibc="2.28")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project."""
    root = tmp_path_factory.mktemp("project")
    write_project(root)
    return root


@given(chance=seeds())
def test_pkgspec(project: Path, chance: Random) -> None:
    path = chance.choice(sorted((project / "pkgspec").rglob("*.toml")))
    whole = path.read_bytes()
    try:
        path.write_bytes(mutate(whole, chance))
        with suppress(BuilderError):
            load_spec(project / "pkgspec")
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def lock_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for one lock."""
    return tmp_path_factory.mktemp("lock") / "pkgspec"


@pytest.fixture(scope="module")
def lock_text(project: Path) -> bytes:
    """A lock as it should be."""
    return render_lock(make_lock(load_spec(project / "pkgspec"))).encode()


@given(chance=seeds())
def test_lock(lock_text: bytes, lock_root: Path, chance: Random) -> None:
    path = lock_path(lock_root, "1.0", "example-service")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mutate(lock_text, chance))
    with suppress(BuilderError):
        lock = load_lock(lock_root, "1.0", "example-service")
        for distribution in (*lock.wheel, *lock.build, *lock.sample):
            for file in distribution.files:
                assert file.file == PurePosixPath(file.file).name
                assert len(file.file.encode()) <= 255


@given(chance=seeds())
def test_repo_toml(lock_root: Path, chance: Random) -> None:
    lock_root.mkdir(parents=True, exist_ok=True)
    (lock_root / "repo.toml").write_bytes(mutate(_REPO.encode(), chance))
    with suppress(BuilderError):
        load_config(lock_root)


@given(chance=seeds())
def test_manifest(lock_root: Path, chance: Random) -> None:
    lock_root.mkdir(parents=True, exist_ok=True)
    (lock_root / "manifest.json").write_bytes(mutate(_MANIFEST.encode(), chance))
    with suppress(BuilderError):
        for entry in load_manifest(lock_root):
            assert entry["file"] == PurePosixPath(entry["file"]).name


_TEXTS: dict[str, tuple[str, Callable[[str], object]]] = {
    "an index's answer": (_PYLOCK, lambda text: parse_pylock(text, _TARGET)),
    "pins of CPython": (_PINS, lambda text: parse_pins(text, "pins")),
    "a listing of rsync": ("-rw-r--r--  5 2026/01/01 00:00:00 a/b\n", parse_listing),
    "a claim": ('{"owner": "x", "since": "y"}', lambda text: describe_claim(text.encode())),
    "a place": ("pool/main/a/a/a_1_all.deb", lambda text: check_place(PurePosixPath(text))),
}


@pytest.mark.parametrize(("text", "read"), _TEXTS.values(), ids=_TEXTS)
@given(chance=seeds())
def test_texts_from_outside(text: str, read: Callable[[str], object], chance: Random) -> None:
    changed = mutate(text.encode(), chance).decode("utf-8", "replace")
    with suppress(BuilderError):
        read(changed)
