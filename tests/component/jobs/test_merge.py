"""``builder merge``: the packages of parallel jobs become one folder, or nothing changes."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import ExitCode, UsageError, VerifyError
from builder.base.model import Arch, PackageFormat
from builder.base.paths import PROJECT
from builder.cli import main
from builder.jobs.merge import (
    check_complete,
    expected_files,
    plan_merge,
    read_folders,
    write_merge,
)
from builder.spec import Spec

DEB = "backendai-client_26.9.6-1_amd64.deb"
OTHER = "backendai-client_26.9.6-1_arm64.deb"
BOTH = "backendai-common_26.9.6-1_all.deb"


def job(folder: Path, files: Mapping[str, bytes], release: str = "26.9") -> Path:
    """Make what a job leaves: packages, files beside them, and a manifest."""
    folder.mkdir()
    entries = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / f"{name}.cdx.json").write_text(f"of {name}")
        (folder / f"{name}.provenance.json").write_text(f"{name} by {folder.name}")
        sha256 = hashlib.sha256(data).hexdigest()
        inputs = {"release": release}
        entries.append({"file": name, "sha256": sha256, "size": len(data), "inputs": inputs})
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "packages": entries}))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_jobs_become_one_folder_with_one_manifest(tmp_path: Path) -> None:
    first = job(tmp_path / "amd64", {DEB: b"1", BOTH: b"same"})
    second = job(tmp_path / "arm64", {OTHER: b"2", BOTH: b"same"})
    (first / DEB.replace(".deb", ".buildinfo")).write_text("built here")
    out = tmp_path / "out"
    merge = plan_merge(read_folders([first, second]), {})
    write_merge(merge, out)
    assert merge.repeated == 1
    entries = json.loads((out / "manifest.json").read_text())["packages"]
    assert [entry["file"] for entry in entries] == [DEB, OTHER, BOTH]
    assert (out / BOTH).read_bytes() == b"same"
    assert (out / f"{BOTH}.provenance.json").read_text() == f"{BOTH} by amd64"  # of that file
    assert (out / f"{OTHER}.cdx.json").read_text() == f"of {OTHER}"
    assert (out / DEB.replace(".deb", ".buildinfo")).read_text() == "built here"
    before = content(out)
    write_merge(plan_merge(read_folders([out, first, second]), {}), out)
    assert content(out) == before


def test_all_packages_that_differ_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    first = job(tmp_path / "one", {DEB: b"1", BOTH: b"same"})
    second = job(tmp_path / "two", {DEB: b"2", BOTH: b"other"})
    out = tmp_path / "out"
    done = _run([first, second], out)
    assert done.exit_code == ExitCode.VERIFY
    for file in (DEB, BOTH):
        assert f"{file} in {first} and in {second}" in done.output.replace("\n", " ").replace(
            "  ", " "
        )
    assert not out.exists()


def test_a_file_that_its_manifest_does_not_describe_is_refused(tmp_path: Path) -> None:
    folder = job(tmp_path / "one", {DEB: b"1"})
    (folder / DEB).write_bytes(b"cut")
    with pytest.raises(VerifyError, match=rf"{DEB}: its sha256 is [0-9a-f]+, in the manifest"):
        read_folders([folder])
    (folder / DEB).unlink()
    with pytest.raises(UsageError, match="the manifest names it, and it is not there"):
        read_folders([folder])
    (folder / DEB).symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="the manifest names it, and it is not there"):
        read_folders([folder])


@pytest.mark.parametrize("text", ["", "[", '{"packages": []}', '{"packages": 3}'])
def test_a_folder_without_packages_is_no_job(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match="no packages, or no readable manifest"):
        read_folders([tmp_path])


def test_a_manifest_names_no_file_elsewhere(tmp_path: Path) -> None:
    folder = job(tmp_path / "one", {DEB: b"1"})
    text = (folder / "manifest.json").read_text().replace(DEB, "../" + DEB)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match="no file beside it"):
        read_folders([folder])


def test_missing_jobs_and_packages_are_named(tmp_path: Path) -> None:
    found = read_folders([job(tmp_path / "one", {DEB: b"1"})])
    expected = {"26.9-amd64": [DEB, BOTH], "26.9-arm64": [OTHER]}
    merge = plan_merge(found, expected)
    assert merge.missing == {"26.9-amd64": [BOTH], "26.9-arm64": [OTHER]}
    with pytest.raises(VerifyError) as caught:
        check_complete(merge, expected)
    assert caught.value.message == (
        f"packages are missing of 26.9-amd64 ({BOTH}); 26.9-arm64 (all 1 packages)"
    )


def test_the_expected_packages_are_those_of_the_release(real_spec: Spec) -> None:
    release = real_spec.release("26.9")
    kinds = (list(Arch), [PackageFormat.DEB])
    expected = expected_files(real_spec, PROJECT, [release], kinds)
    assert list(expected) == ["26.9-amd64", "26.9-arm64"]
    common = [file for file in expected["26.9-arm64"] if file.startswith("backendai-common_")]
    assert common == [file for file in expected["26.9-amd64"] if file in common]
    assert any(file.startswith("backendai-manager_26.9.") for file in expected["26.9-amd64"])
    assert len(expected["26.9-amd64"]) == len(release.packages)


def _run(folders: list[Path], out: Path, *options: str) -> Result:
    texts = [str(folder) for folder in folders]
    return CliRunner().invoke(main, ["merge", *texts, "--out", str(out), *options])


def test_the_command_refuses_half_a_night_and_takes_it_on_request(tmp_path: Path) -> None:
    folder, out = job(tmp_path / "one", {DEB: b"1"}), tmp_path / "out"
    options = ["--arch", "amd64", "--format", "deb"]
    done = _run([folder], out, *options)
    assert done.exit_code == ExitCode.VERIFY
    assert "packages are missing of 26.9-amd64" in done.output
    assert "--partial" in done.output
    assert not out.exists()
    done = _run([folder], out, *options, "--partial", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["packages"] == [DEB]
    assert DEB not in report["missing"]["26.9-amd64"]
    assert (out / DEB).read_bytes() == b"1"


def test_a_line_that_no_folder_has_is_missed_when_it_is_expected(tmp_path: Path) -> None:
    folder = job(tmp_path / "one", {DEB: b"1"})
    options = ["--arch", "amd64", "--format", "deb", "--release", "26.8", "--partial", "--json"]
    report = json.loads(_run([folder], tmp_path / "out", *options).stdout)
    assert list(report["missing"]) == ["26.8-amd64"]
