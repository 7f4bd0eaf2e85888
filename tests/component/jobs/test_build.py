"""The whole build of a small project: what comes out, what is reused, what fails early."""

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest

from builder.base.errors import LockError, PackError, PayloadError, StorageError, ToolError
from builder.base.files import hash_file
from builder.base.model import host_arch
from builder.index.uv import uv_path
from builder.jobs.parallel import in_parallel
from builder.pack.manifest import load_manifest
from tests.helpers.builds import build_project, write_buildable
from tests.helpers.fakenfpm import PACK, FakeNfpm, count_runs
from tests.helpers.specs import SERVICE

try:
    uv_path()
except ToolError:
    pytest.skip("needs uv", allow_module_level=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that builds."""
    write_buildable(tmp_path)
    return tmp_path


def delivered(root: Path) -> dict[str, str]:
    return {path.name: hash_file(path) for path in (root / "dist").iterdir()}


def test_a_build_delivers_every_package_and_its_manifest(root: Path) -> None:
    built = build_project(root)
    host = host_arch()
    packages = [
        "example-common-1.0.2-1.noarch.rpm",
        "example-common_1.0.2-1_all.deb",
        f"example-runtime-1.0.2-1.{host.machine}.rpm",
        f"example-runtime_1.0.2-1_{host.value}.deb",
        f"example-service-1.0.2-1.{host.machine}.rpm",
        f"example-service_1.0.2-1_{host.value}.deb",
    ]
    kinds = ("cdx", "provenance")
    beside = [f"{file}.{kind}.json" for file in packages for kind in kinds]
    if shutil.which("dpkg-query"):
        beside += [file.replace(".deb", ".buildinfo") for file in packages if ".deb" in file]
    assert set(delivered(root)) == {*packages, *beside, "manifest.json"}
    entries = {entry["file"]: entry for entry in load_manifest(root / "dist")}
    assert {package.artifact.file for package in built} == set(entries)
    for file, entry in entries.items():
        assert entry["sha256"] == hash_file(root / "dist" / file)
        assert entry["sbom"]["sha256"] == hash_file(root / "dist" / entry["sbom"]["file"])
    service = entries[f"example-service_1.0.2-1_{host.value}.deb"]
    runtime = entries[f"example-runtime_1.0.2-1_{host.value}.deb"]
    assert runtime["inputs"]["runtime"]["provider"] == "archive"
    assert [wheel["name"] for wheel in service["inputs"]["wheels"]] == ["example-service"]


def test_sboms_name_the_wheels_and_the_package_below(root: Path) -> None:
    build_project(root)
    found = {
        path.name.partition("_")[0]: json.loads(path.read_text(encoding="utf-8"))
        for path in (root / "dist").glob("*.deb.cdx.json")
    }
    names = {
        name: {part["bom-ref"] for part in document.get("components", [])}
        for name, document in found.items()
    }
    assert names["example-service"] == {"package:example-runtime", "wheel:example-service"}
    assert "runtime:cpython" in names["example-runtime"]
    assert names["example-common"] == set()


def test_provenance_names_every_input_and_what_was_asked_for(root: Path) -> None:
    built = build_project(root, "example-service")
    for package in built:
        path = package.path.with_name(f"{package.path.name}.provenance.json")
        statement = json.loads(path.read_text(encoding="utf-8"))
        (subject,) = statement["subject"]
        assert subject["name"] == package.path.name
        assert subject["digest"]["sha256"] == hash_file(package.path)
        definition = statement["predicate"]["buildDefinition"]
        given = definition["externalParameters"]
        assert (given["package"], given["profile"]) == ("example-service", "fast")
        assert given["format"] == package.artifact.fmt.value
        inputs = {row["name"]: row["digest"] for row in definition["resolvedDependencies"]}
        (wheel,) = (root / "mirror/wheels").iterdir()
        assert inputs[wheel.name] == {"sha256": hash_file(wheel)}
        assert inputs["nfpm"] == {"sha256": hash_file(root / "nfpm/nfpm")}
        assert inputs["cpython"] == {"sha256": "ab" * 32}
        assert str(root) not in path.read_text(encoding="utf-8")


def test_an_unchanged_build_does_nothing_again_and_gives_the_same_bytes(root: Path) -> None:
    build_project(root)
    first, runs = delivered(root), count_runs(root / "nfpm")
    again = build_project(root)
    assert all(package.artifact.reused for package in again)
    assert count_runs(root / "nfpm") == runs == 6
    assert delivered(root) == first


def test_one_package_may_be_built_by_itself_and_joins_the_manifest(root: Path) -> None:
    build_project(root, "example-common")
    build_project(root, "example-service")
    assert len(load_manifest(root / "dist")) == 4


def test_the_stage_has_everything_at_its_place(root: Path) -> None:
    build_project(root, "example-service")
    (stage,) = (root / "cache/derived/stage").iterdir()
    tree, prefix = stage / "root", stage / "root/opt/backendai/service"
    assert (prefix / "bin/example").read_bytes().startswith(b"#!/opt/backendai/service/bin/python3")
    assert (prefix / "bin/run-service").stat().st_mode & 0o777 == 0o755
    assert (tree / "etc/example/service.conf").read_bytes() == b"[service]\n"
    info = json.loads((tree / "usr/share/doc/example-service/build-info.json").read_bytes())
    assert info["runtime"]["bundled"] is True
    assert (info["package"], info["version"]) == ("example-service", "1.0.2-1")
    times = {path.lstat().st_mtime for path in tree.rglob("*")}
    assert times == {info["source_date_epoch"]}


def test_a_change_of_a_script_packs_anew_and_installs_nothing_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_project(root, "example-service")
    (root / "debian/prerm").write_bytes(b"#!/bin/sh\n# changed\n")

    def refuse(*_: object) -> None:
        raise AssertionError("installed again")

    monkeypatch.setattr("builder.wheels.install._install_missing", refuse)
    again = build_project(root, "example-service")
    assert not any(package.artifact.reused for package in again)


def test_a_stale_lock_is_refused_before_anything_is_built(root: Path) -> None:
    text = SERVICE.replace('"example-service"\n\n[service]', '"example-service>=1"\n\n[service]')
    (root / "pkgspec/packages/example-service.toml").write_text(text, encoding="utf-8")
    with pytest.raises(LockError, match="example-service: pkgspec/ has changed"):
        build_project(root)
    assert not (root / "cache/derived").exists()


def test_an_out_folder_that_is_a_file_is_refused_before_anything_is_built(root: Path) -> None:
    (root / "dist").touch()
    with pytest.raises(StorageError, match=r"cannot write .*/dist"):
        build_project(root)
    assert not (root / "cache/derived").exists()


def test_an_nfpm_that_fails_leaves_nothing_in_the_out_folder(root: Path) -> None:
    FakeNfpm(root / "nfpm", "echo no >&2; exit 1\n")
    with pytest.raises(PackError, match="nfpm exited with 1"):
        build_project(root)
    assert delivered(root) == {}
    FakeNfpm(root / "nfpm", PACK)
    assert len(build_project(root)) == 6


def test_a_wheel_that_writes_over_the_runtime_is_named(root: Path) -> None:
    tree = root / "cpython"
    place = next(tree.glob("lib/python3*")) / "site-packages/example/server.py"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"the runtime's own")
    with pytest.raises(
        PayloadError, match=r"example_service-1\.0\.2.*installs .*example/server\.py"
    ):
        build_project(root, "example-service")


def _build(root: Path) -> None:
    build_project(root)


def test_two_builds_at_once_share_a_cache_and_an_out_folder(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_build, args=(root,)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(timeout=120)
    assert [child.exitcode for child in children] == [0, 0]
    assert count_runs(root / "nfpm") == 6
    assert len(load_manifest(root / "dist")) == 6
    assert not list((root / "dist").glob(".*"))


def test_the_first_error_ends_the_rest() -> None:
    done = []

    def work(item: int) -> int:
        if item == 0:
            raise PackError("first")
        done.append(item)
        return item

    with pytest.raises(PackError, match="first"):
        in_parallel(work, list(range(50)), 1)
    assert len(done) < 50
    assert in_parallel(str, [3, 1, 2], 2) == ["3", "1", "2"]
