"""The archive provider: what users have, and what they have by mistake."""

import struct
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import PayloadError, RuntimeUnavailableError, UsageError
from builder.base.model import RuntimeChoice
from builder.runtime import archive as archive_module
from builder.runtime.archive import ArchiveProvider
from tests.helpers.trees import (
    FOREIGN,
    HOST,
    MINOR,
    VERSION,
    files_of,
    make_request,
    pack_tree,
    write_tree,
)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


def tarball(tmp_path: Path, files: dict[str, bytes], top: str = "python") -> Path:
    path = tmp_path / "mine.tar.gz"
    path.write_bytes(pack_tree(files, top))
    return path


@pytest.mark.parametrize("top", ["python", "", "python/install", "Python-mine", "a/install"])
def test_a_tarball_of_any_usual_layout_is_taken(tmp_path: Path, cache: Cache, top: str) -> None:
    request = make_request(archive=tarball(tmp_path, files_of(), top))
    runtime = ArchiveProvider().provide(request, cache)
    assert (runtime.provider, runtime.version) == (RuntimeChoice.ARCHIVE, VERSION)
    assert runtime.tree is not None
    assert runtime.python == runtime.tree / f"bin/python{MINOR}"
    assert runtime.python.is_file()
    assert not (runtime.tree / "include").exists()
    assert runtime.origin == "mine.tar.gz"
    assert ArchiveProvider().provide(request, cache) == runtime
    assert sorted(p.name for p in runtime.tree.parent.iterdir()) == [
        ".complete", ".sealed", "runtime.json", "tree",
    ]  # fmt: skip


def test_a_folder_is_taken_and_left_alone(tmp_path: Path, cache: Cache) -> None:
    folder = write_tree(tmp_path / "mine")
    before = sorted(folder.rglob("*"))
    first = ArchiveProvider().provide(make_request(archive=folder), cache)
    assert sorted(folder.rglob("*")) == before
    (folder / f"lib/python{MINOR}/os.py").write_text("name = 'other'\n")
    second = ArchiveProvider().provide(make_request(archive=folder), cache)
    assert first.sha256 != second.sha256
    assert first.tree != second.tree


def test_a_version_the_release_refuses_names_both(tmp_path: Path, cache: Cache) -> None:
    request = make_request(archive=tarball(tmp_path, files_of()), requires_python=">=3.99,<3.100")
    expected = rf"mine\.tar\.gz is Python {VERSION}, but release 26\.9\.6 wants >=3\.99,<3\.100"
    with pytest.raises(RuntimeUnavailableError, match=expected):
        ArchiveProvider().provide(request, cache)
    assert not list((cache.root / "derived").rglob("tree"))


def test_the_check_holds_for_what_the_cache_has(tmp_path: Path, cache: Cache) -> None:
    path = tarball(tmp_path, files_of())
    ArchiveProvider().provide(make_request(archive=path), cache)
    with pytest.raises(RuntimeUnavailableError, match="but release 26"):
        ArchiveProvider().provide(make_request(archive=path, requires_python="<3"), cache)


def test_a_foreign_tree_is_read_not_run(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(f"{MINOR}.77", interpreter="/bin/false")
    request = make_request(FOREIGN, archive=tarball(tmp_path, files))
    runtime = ArchiveProvider().provide(request, cache)
    assert runtime.version == f"{MINOR}.77"
    assert runtime.tree is not None
    assert not runtime.python.is_relative_to(runtime.tree)
    assert list(runtime.tree.glob(f"lib/python{MINOR}/__pycache__/os.*.pyc"))
    monkeypatch.setattr(archive_module, "find_host_python", lambda _minor: None)
    with pytest.raises(RuntimeUnavailableError, match=f"needs a Python {MINOR} of its own"):
        ArchiveProvider().provide(request, cache)


def test_a_foreign_tree_without_headers_is_known_by_its_name(tmp_path: Path, cache: Cache) -> None:
    files = {name: data for name, data in files_of().items() if "include" not in name}
    path = tmp_path / f"cpython-{MINOR}.78+20260814-install_only.tar.gz"
    path.write_bytes(pack_tree(files))
    runtime = ArchiveProvider().provide(make_request(FOREIGN, archive=path), cache)
    assert runtime.version == f"{MINOR}.78"
    nameless = path.rename(tmp_path / "nameless.tar.gz")
    with pytest.raises(RuntimeUnavailableError, match=f"its version is unknown, as this {MINOR}"):
        ArchiveProvider().provide(
            make_request(FOREIGN, archive=nameless), Cache(root=tmp_path / "other")
        )


def test_the_other_architecture_is_refused_before_it_is_run(tmp_path: Path, cache: Cache) -> None:
    machine = {"x86_64": 62, "aarch64": 183}[FOREIGN.machine]
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0)
    files = {**files_of(), f"bin/python{MINOR}": ident + header}
    with pytest.raises(RuntimeUnavailableError, match=f"is built for {FOREIGN.elf_machine}"):
        ArchiveProvider().provide(make_request(archive=tarball(tmp_path, files)), cache)


@pytest.mark.parametrize(
    "files",
    [
        {"README": b""},
        {f"bin/python{MINOR}": b"", "lib/other": b""},
        {f"bin/python{MINOR}-config": b"", f"lib/python{MINOR}/os.py": b""},
    ],
)
def test_what_holds_no_cpython_is_refused(
    tmp_path: Path, cache: Cache, files: dict[str, bytes]
) -> None:
    with pytest.raises(RuntimeUnavailableError, match="holds no CPython: there is no bin/python"):
        ArchiveProvider().provide(make_request(archive=tarball(tmp_path, files)), cache)


def test_a_virtual_environment_is_refused(tmp_path: Path, cache: Cache) -> None:
    folder = write_tree(tmp_path / "venv")
    (folder / f"bin/python{MINOR}").unlink()
    (folder / f"bin/python{MINOR}").symlink_to(f"/usr/bin/python{MINOR}")
    with pytest.raises(PayloadError, match="is a link out of it"):
        ArchiveProvider().provide(make_request(archive=folder), cache)


def test_a_hostile_tarball_is_refused(tmp_path: Path, cache: Cache) -> None:
    path = tarball(tmp_path, {"../../evil": b""})
    with pytest.raises(PayloadError, match=rf"{path}: member .* climbs"):
        ArchiveProvider().provide(make_request(archive=path), cache)


def test_absent_unnamed_and_whole_systems_are_usage_errors(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(UsageError, match="needs to know which archive"):
        ArchiveProvider().provide(make_request(), cache)
    with pytest.raises(UsageError, match=r"none\.tar' does not exist"):
        ArchiveProvider().provide(make_request(archive=tmp_path / "none.tar"), cache)
    with pytest.raises(UsageError, match="holds this whole system"):
        ArchiveProvider().provide(make_request(HOST, archive=Path("/usr")), cache)
