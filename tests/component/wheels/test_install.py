"""Installing small real wheels by uv: bytes, hashes, scripts, bytecode, metadata."""

import csv
import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from builder.base.cache import Cache
from builder.base.errors import PayloadError, ToolError
from builder.base.model import host_arch
from builder.base.run import run
from builder.index.uv import Target, uv_path
from builder.stage.linking import link_tree
from builder.stage.payload import finish_scripts, reject_conflict
from builder.wheels.install import InstalledWheel, InstallRequest, install_wheels
from tests.helpers.wheelhouse import Recipe, record_hash

try:
    uv_path()
except ToolError:
    pytest.skip("needs uv", allow_module_level=True)

MINOR = f"3.{sys.version_info.minor}"
SITE = f"lib/python{MINOR}/site-packages"
FINAL = PurePosixPath("/opt/backendai/service")
EPOCH = 1767312000
MAIN = b"def main():\n    print('hello')\n"

PLAIN = Recipe(name="plain", files={"plain/__init__.py": b"", "plain/data.txt": b"data"})
SCRIPTED = Recipe(
    name="scripted.tool",
    files={"scripted.py": MAIN},
    scripts={"hello": "scripted:main"},
    requires=("plain",),
)
DATA = Recipe(
    name="with-data",
    files={
        "with_data.py": b"X = 1\n",
        "with_data_run.sh": b"#!/bin/sh\n",
        "with_data-1.0.data/scripts/old-style": b"#!python\nprint('old')\n",
        "with_data-1.0.data/scripts/shell": b"#!/bin/sh\necho shell\n",
        "with_data-1.0.data/data/share/with-data/x.txt": b"x",
    },
    executable=("with_data_run.sh",),
)


def request_of(jobs: int = 2) -> InstallRequest:
    target = Target(minor=MINOR, arch=host_arch(), glibc="2.28")
    return InstallRequest(target=target, python=Path(sys.executable), epoch=EPOCH, jobs=jobs)


def install(cache: Cache, *recipes: Recipe) -> list[InstalledWheel]:
    return install_wheels([recipe.cached(cache) for recipe in recipes], request_of(), cache)


def stage(installed: list[InstalledWheel], prefix: Path) -> Path:
    for wheel in installed:
        link_tree(wheel.tree, prefix, epoch=EPOCH, on_clash=reject_conflict(wheel, prefix))
    for wheel in installed:
        finish_scripts(wheel, prefix, FINAL)
    return prefix


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three wheels, staged."""
    root = tmp_path_factory.mktemp("install")
    return stage(install(Cache(root=root / "cache"), PLAIN, SCRIPTED, DATA), root / "prefix")


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_scripts_name_the_final_prefix_and_are_executable(prefix: Path) -> None:
    interpreter = b"#!/opt/backendai/service/bin/python3"
    for name in ("hello", "old-style"):
        path = prefix / "bin" / name
        assert path.read_bytes().splitlines()[0] == interpreter
        assert path.stat().st_mode & 0o777 == 0o755
    assert (prefix / "bin/shell").read_bytes() == b"#!/bin/sh\necho shell\n"
    assert not [path for path in files(prefix) if b"@PREFIX@" in path.read_bytes()]


def test_no_scratch_path_is_left_anywhere(prefix: Path) -> None:
    scratch = str(prefix.parent / "cache").encode()
    assert not [path for path in files(prefix) if scratch in path.read_bytes()]


def test_every_record_is_true_and_complete(prefix: Path) -> None:
    listed = set()
    for record in (prefix / SITE).glob("*.dist-info/RECORD"):
        for name, digest, size in csv.reader(record.read_text(encoding="utf-8").splitlines()):
            path = (prefix / SITE / name).resolve()
            listed.add(path)
            if path == record:
                assert (digest, size) == ("", "")
                continue
            data = path.read_bytes()
            assert (digest, size) == (record_hash(data), str(len(data))), name
    installed = {path.resolve() for path in files(prefix) if path.suffix != ".pyc"}
    assert listed == installed


def test_nothing_says_how_uv_was_called(prefix: Path) -> None:
    names = {path.name for path in files(prefix)}
    assert not names & {"direct_url.json", "REQUESTED", "uv_cache.json", ".lock", "CACHEDIR.TAG"}
    assert {"METADATA", "RECORD", "WHEEL"} <= names


def test_modes_and_times_are_settled(prefix: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in files(prefix)}
    assert modes["with_data_run.sh"] == 0o755
    assert modes["data.txt"] == modes["x.txt"] == modes["METADATA"] == 0o644
    own = {"hello", "old-style", "RECORD"}  # written by the stage, which settles them later
    assert {path.stat().st_mtime for path in files(prefix) if path.name not in own} == {EPOCH}


def test_every_source_has_bytecode_that_is_never_checked(prefix: Path) -> None:
    sources = [path for path in files(prefix) if path.suffix == ".py"]
    assert len(sources) == 3
    for source in sources:
        tag = sys.implementation.cache_tag
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 1


def test_metadata_is_read_from_the_staged_tree(prefix: Path) -> None:
    found = {
        distribution.metadata["Name"]: distribution
        for distribution in importlib.metadata.distributions(path=[str(prefix / SITE)])
    }
    assert sorted(found) == ["plain", "scripted.tool", "with-data"]
    tool = found["scripted.tool"]
    assert tool.requires == ["plain"]
    (point,) = tool.entry_points
    assert (point.name, point.value) == ("hello", "scripted:main")
    assert all(file.locate().exists() for file in tool.files or [])  # type: ignore[attr-defined]


def test_the_staged_tree_runs(prefix: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(prefix / SITE)!r}); import scripted; scripted.main()"
    )
    assert run([sys.executable, "-I", "-B", "-c", code]).stdout == "hello\n"


def test_a_wheel_is_installed_once_for_all_packages(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = install(cache, PLAIN)

    def refuse(*_args: object) -> None:
        raise AssertionError("installed again")

    monkeypatch.setattr("builder.wheels.install._install_missing", refuse)
    assert install(cache, PLAIN) == [first]


def shared(name: str, text: bytes) -> Recipe:
    body = {f"{name}.py": b"", "space/common.py": text, "space/run.sh": b"#!/bin/sh\n"}
    return Recipe(
        name=name,
        files=body,
        scripts={"common": "space.common:main"},
        executable=("space/run.sh",),
    )


@pytest.mark.parametrize("together", [True, False])
def test_wheels_may_share_a_file_with_the_same_bytes(
    cache: Cache, tmp_path: Path, together: bool
) -> None:
    recipes = [shared("one", MAIN), shared("two", MAIN)]
    if together:
        installed = install(cache, *recipes)
    else:
        installed = [found for recipe in recipes for found in install(cache, recipe)]
    stage(installed, tmp_path / "both")
    for wheel in installed:  # each is whole by itself too
        prefix = stage([wheel], tmp_path / wheel.wheel.name)
        assert (prefix / "bin/common").read_bytes().startswith(b"#!/opt/backendai/service/bin")
        assert (prefix / SITE / "space/run.sh").stat().st_mode & 0o777 == 0o755
        names = {path.name for path in (prefix / SITE / "space/__pycache__").iterdir()}
        assert names == {f"common.{sys.implementation.cache_tag}.pyc"}
        test_every_record_is_true_and_complete(prefix)


@pytest.mark.parametrize("together", [True, False])
def test_wheels_that_disagree_on_a_file_are_refused(
    cache: Cache, tmp_path: Path, together: bool
) -> None:
    recipes = [shared("one", MAIN), shared("two", b"other = 1\n")]

    def install_both() -> None:
        if together:
            install(cache, *recipes)
        else:
            stage([wheel for recipe in recipes for wheel in install(cache, recipe)], tmp_path / "x")

    with pytest.raises(PayloadError, match=r"two-1\.0-.*\.whl: installs .*space/common\.py"):
        install_both()


def test_a_wheel_that_does_not_install_is_reported_in_uvs_words(
    cache: Cache, tmp_path: Path
) -> None:
    path = tmp_path / "broken-1.0-py3-none-any.whl"
    path.write_bytes(b"no zip")
    wheel = replace(PLAIN.cached(cache), name="broken", file=path.name, path=path)
    with pytest.raises(PayloadError, match="the locked wheels do not install") as caught:
        install_wheels([wheel], request_of(), cache)
    assert "broken" in caught.value.message
    assert list((cache.root / "tmp").iterdir()) == []
