"""Bundles are whole or not there, and the same inputs make the same bytes."""

from pathlib import Path

import pytest

from builder.base.errors import RepoError, UsageError
from builder.base.files import hash_file
from builder.base.model import Arch, PackageFormat
from builder.bundle.make import make_bundle, plan_bundle
from builder.repo.core import open_repository
from builder.repo.sign import open_signer
from tests.component.bundle.conftest import Maker
from tests.helpers.repos import NOW, DebPackage, TestKey, add, write_repository


def test_the_same_inputs_make_the_same_bytes(maker: Maker, tmp_path: Path) -> None:
    first = maker.make(tmp_path / "a", "tool")
    second = maker.make(tmp_path / "b", "tool")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [f"example-2.0-1-amd64.bundle{end}" for end in ("", ".sha256", ".sha256.asc")]
    for name in names:
        assert hash_file(tmp_path / "a" / name) == hash_file(tmp_path / "b" / name)
    assert first.size == second.size == sum(p.stat().st_size for p in (tmp_path / "a").iterdir())


def test_it_has_what_the_named_packages_need_and_no_more(maker: Maker, tmp_path: Path) -> None:
    made = maker.make(tmp_path / "out", "tool")
    assert [(package.fmt.value, package.name, package.version) for package in made.packages] == [
        ("deb", "common", "2.0-1"),
        ("deb", "tool", "2.0-1"),
        ("rpm", "tool", "2.0-1"),
    ]


def test_parts_have_the_size_that_is_asked_for(maker: Maker, tmp_path: Path) -> None:
    made = maker.make(tmp_path / "out", "tool", split=1_000_000)
    assert len(made.parts) > 1
    assert {part.size for part in made.parts[:-1]} == {1_000_000}
    for part in made.parts:
        path = tmp_path / "out" / part.name
        assert (path.stat().st_size, hash_file(path)) == (part.size, part.sha256)
    assert made.file.stat().st_size < 100_000


def test_a_smaller_bundle_leaves_no_part_of_a_larger_one(maker: Maker, tmp_path: Path) -> None:
    out = tmp_path / "out"
    maker.make(out, "tool", split=1_000_000)
    maker.make(out, "tool")
    assert not list(out.glob("*.bundle.0*"))


def test_a_failure_leaves_nothing(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("builder.bundle.make.write_payload", fail)
    with pytest.raises(Exception, match="no space left"):
        maker.make(tmp_path / "out", "tool")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_plan_writes_nothing(maker: Maker, tmp_path: Path) -> None:
    out = tmp_path / "out"
    planned = plan_bundle(maker.repository, maker.request(out, "tool"))
    assert planned.as_dict()["bundle"] == "example-2.0-1-amd64"
    assert planned.packages == maker.make(out, "tool").packages


def test_a_damaged_package_is_refused(maker: Maker, tmp_path: Path) -> None:
    (tool,) = maker.repository.state.find(PackageFormat.DEB, "tool", "2.0-1", "amd64")
    path = maker.repository.public / tool.pool
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RepoError, match=r"tool_2\.0-1_amd64\.deb is damaged"):
        maker.make(tmp_path / "out", "tool")


@pytest.mark.parametrize(
    ("words", "more", "message"),
    [
        (["tol"], {}, "the channel has no deb of 'tol'"),
        (["tool=3"], {}, "the channel has no version '3' of tool as deb"),
        (["tool"], {"channel": "unstable"}, "the repository has no channel 'unstable'"),
        (["tool"], {"channel": "testing"}, "channel testing has no package as deb and rpm"),
        (["tool"], {"arch": Arch.ARM64}, "the channel has no deb of 'tool'"),
        (["tool"], {"name": "a/b"}, "a bundle cannot be called 'a/b-2.0-1-amd64'"),
        (
            ["tool"],
            {"formats": (PackageFormat.RPM,), "suites": ("trixie",)},
            "dependencies are of Debian's packages, and the bundle has no deb",
        ),
    ],
)
def test_bad_requests(
    maker: Maker, tmp_path: Path, words: list[str], more: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        maker.make(tmp_path / "out", *words, **more)
    assert error.value.message == message
    assert error.value.hint


def test_a_channel_that_was_never_published(tmp_path: Path, key: TestKey, maker: Maker) -> None:
    root = write_repository(tmp_path / "fresh", key.fingerprint)
    with (
        open_repository(root) as repository,
        open_signer([key.fingerprint], key.source, NOW) as signer,
    ):
        add(repository, DebPackage().write(tmp_path / "more"))
        with pytest.raises(RepoError, match="channel stable was never published"):
            make_bundle(repository, signer, maker.request(tmp_path / "out", "tool"))
