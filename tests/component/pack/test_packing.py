"""Packing and delivering, with a stand-in for nfpm."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import PackError, StorageError, ToolError
from builder.base.files import hash_file
from builder.base.model import PackageFormat
from builder.pack.deliver import deliver, is_delivered
from builder.pack.nfpm import Compression
from builder.pack.packing import Artifact, PackRequest, pack_stage
from builder.plan import PackagePlan
from builder.sbom.model import Inventory, save_inventory
from builder.stage.libraries import Needs
from builder.stage.model import Stage
from tests.helpers.fakenfpm import PACK, FakeNfpm
from tests.helpers.specs import load_example, plan_example


@pytest.fixture
def nfpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNfpm:
    fake = FakeNfpm(tmp_path / "nfpm")
    monkeypatch.setenv("BUILDER_NFPM", str(fake.path))
    return fake


@pytest.fixture
def plan(tmp_path: Path) -> PackagePlan:
    return plan_example(load_example(tmp_path))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    needs = Needs(glibc=None, deb=(), rpm=())
    root = tmp_path / "stage" / "root"
    root.mkdir(parents=True)
    save_inventory(Inventory(), root.parent)
    return Stage(key="k", root=root, files=1, size=1, needs=needs, inputs={"release": "1.0"})


def pack(  # noqa: PLR0913 - all but the inputs by keyword
    plan: PackagePlan,
    stage: Stage,
    cache: Cache,
    *,
    fmt: str = "deb",
    epoch: int = 1,
    whole: bool = True,
) -> Artifact:
    request = PackRequest(
        fmt=PackageFormat(fmt),
        depends=("libc6 (>= 2.17)",),
        epoch=epoch,
        compression=Compression.ZSTD,
    )
    return pack_stage(plan, stage, request, cache, whole=whole)


def test_a_package_is_packed_once_for_the_same_inputs(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache
) -> None:
    first, again = pack(plan, stage, cache), pack(plan, stage, cache)
    assert (first.reused, again.reused) == (False, True)
    assert first.file == "example-service_1.0.2-1_amd64.deb"
    assert (first.sha256, first.size) == (hash_file(first.path), first.path.stat().st_size)
    assert again.sha256 == first.sha256
    assert nfpm.runs == 1
    pack(plan, stage, cache, epoch=2)
    pack(plan, stage, cache, fmt="rpm")
    assert nfpm.runs == 3


def test_a_damaged_package_is_packed_again_from_a_stage_that_was_read_first(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache
) -> None:
    first = pack(plan, stage, cache)
    with first.path.open("ab") as file:
        file.write(b"!")
    looks: list[Stage] = []
    request = PackRequest(
        fmt=first.fmt,
        depends=("libc6 (>= 2.17)",),
        epoch=1,
        compression=Compression.ZSTD,
        whole_stage=lambda: looks.append(stage),
    )
    later = Cache(root=cache.root)
    again = pack_stage(plan, stage, request, later)
    assert (again.reused, again.sha256, nfpm.runs) == (False, hash_file(again.path), 2)
    assert pack_stage(plan, stage, request, Cache(root=cache.root)).reused
    assert looks == [stage]


def test_nfpm_gets_the_configuration_the_scripts_and_the_epoch(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache
) -> None:
    artifact = pack(plan, stage, cache, epoch=77)
    config = json.loads((nfpm.folder / "config.json").read_text(encoding="utf-8"))
    assert config["name"] == "example-service"
    assert "libc6 (>= 2.17)" in config["depends"]
    script = nfpm.folder / "postinst"
    assert script.read_text(encoding="utf-8") == plan.formats[PackageFormat.DEB].scripts["postinst"]
    assert artifact.path.read_text(encoding="utf-8").endswith("77")


def test_another_nfpm_packs_anew(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache
) -> None:
    pack(plan, stage, cache)
    nfpm.path.write_text(nfpm.path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert not pack(plan, stage, cache).reused


def test_the_same_nfpm_at_another_place_finds_the_package(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(plan, stage, cache)
    moved = shutil.copy(nfpm.path, cache.root.with_name("nfpm-of-another-machine"))
    monkeypatch.setenv("BUILDER_NFPM", str(moved))
    assert pack(plan, stage, cache).reused


def test_an_nfpm_that_fails_is_a_pack_error_and_leaves_nothing(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache
) -> None:
    FakeNfpm(nfpm.folder, "echo 'bad entry' >&2; exit 1\n")
    with pytest.raises(PackError) as caught:
        pack(plan, stage, cache)
    assert caught.value.message.startswith("example-service_1.0.2-1_amd64.deb: nfpm exited with 1")
    assert "  bad entry" in caught.value.message
    assert not (cache.root / "derived/artifact").exists()
    assert list((cache.root / "tmp").iterdir()) == []


def test_an_nfpm_that_says_it_worked_and_made_nothing_is_a_pack_error(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache
) -> None:
    FakeNfpm(nfpm.folder, "exit 0\n")
    with pytest.raises(PackError, match="nfpm made no file"):
        pack(plan, stage, cache)


def test_a_missing_nfpm_is_a_missing_tool(
    tmp_path: Path, plan: PackagePlan, stage: Stage, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDER_NFPM", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="BUILDER_NFPM names") as caught:
        pack(plan, stage, cache)
    assert "make setup" in str(caught.value.hint)


@pytest.fixture
def artifact(nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache) -> Artifact:
    return pack(plan, stage, cache)


def test_a_delivered_package_is_a_file_of_its_own(
    artifact: Artifact, tmp_path: Path, cache: Cache
) -> None:
    path = deliver(artifact, tmp_path / "dist", cache)
    assert hash_file(path) == artifact.sha256
    assert not path.samefile(artifact.path)
    assert path.stat().st_mode & 0o777 == 0o644
    assert {file.name for file in path.parent.iterdir()} == {
        artifact.file,
        f"{artifact.file}.cdx.json",
    }
    beside = path.with_name(artifact.sbom_file)
    assert hash_file(beside) == artifact.sbom_sha256
    assert json.loads(beside.read_text(encoding="utf-8"))["metadata"]["component"]["version"] == (
        artifact.version
    )


def test_a_full_disk_leaves_the_earlier_package_and_no_part(
    artifact: Artifact, tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "dist"
    out.mkdir()
    (out / artifact.file).write_bytes(b"earlier")

    def fill(_source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr("builder.pack.deliver.shutil.copyfile", fill)
    with pytest.raises(StorageError, match="no space left"):
        deliver(artifact, out, cache)
    assert [path.name for path in out.iterdir()] == [artifact.file]
    assert (out / artifact.file).read_bytes() == b"earlier"


def _sign(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize("touch", [_sign, _replace, Path.unlink])
def test_a_package_is_delivered_again_if_its_file_is_no_longer_what_was_delivered(
    artifact: Artifact, tmp_path: Path, cache: Cache, touch: Callable[[Path], None]
) -> None:
    out = tmp_path / "dist"
    path = deliver(artifact, out, cache)
    assert is_delivered(artifact, out, cache)
    assert not is_delivered(artifact, tmp_path / "other", cache)
    touch(path)
    assert not is_delivered(artifact, out, cache)


def test_another_artifact_of_the_same_name_is_delivered(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache, tmp_path: Path
) -> None:
    out = tmp_path / "dist"
    deliver(pack(plan, stage, cache), out, cache)
    FakeNfpm(nfpm.folder, PACK + 'echo more >>"$target"\n')
    assert not is_delivered(pack(plan, stage, cache, epoch=2), out, cache)


def test_a_damaged_record_of_a_delivery_delivers_again(
    artifact: Artifact, tmp_path: Path, cache: Cache
) -> None:
    deliver(artifact, tmp_path, cache)
    (record,) = (cache.root / "delivered").iterdir()
    record.write_text("{", encoding="utf-8")
    assert not is_delivered(artifact, tmp_path, cache)


def test_facts_alone_find_a_package_and_all_of_it_a_damaged_one(
    nfpm: FakeNfpm, plan: PackagePlan, stage: Stage, cache: Cache
) -> None:
    first = pack(plan, stage, cache)
    first.path.write_bytes(b"damaged")
    later = Cache(root=cache.root)  # another build
    assert pack(plan, stage, later, whole=False).reused
    again = pack(plan, stage, later)
    assert not again.reused
    assert hash_file(again.path) == again.sha256


@pytest.mark.parametrize("fault", ["absent", "changed"])
def test_a_package_without_its_sbom_is_delivered_again(
    fault: str, artifact: Artifact, tmp_path: Path, cache: Cache
) -> None:
    out = tmp_path / "dist"
    deliver(artifact, out, cache)
    assert is_delivered(artifact, out, cache)
    beside = out / artifact.sbom_file
    if fault == "absent":
        beside.unlink()
    else:
        beside.write_text("{}", encoding="utf-8")
    assert not is_delivered(artifact, out, cache)
    deliver(artifact, out, cache)
    assert hash_file(beside) == artifact.sbom_sha256


def test_the_sbom_names_the_packer(artifact: Artifact) -> None:
    document = json.loads(artifact.sbom.read_text(encoding="utf-8"))
    tools = {tool["name"]: tool["version"] for tool in document["metadata"]["tools"]["components"]}
    assert tools["nfpm"] == "2.0.0"  # as the stand-in says
