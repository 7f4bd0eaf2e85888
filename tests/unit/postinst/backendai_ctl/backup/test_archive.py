"""A backup restores what it holds, and places nothing else."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backendai_ctl.backup.archive import Backup, open_archive, verify_archive
from backendai_ctl.base.errors import HostError
from backendai_ctl.base.layout import Layout
from backendai_ctl.upgrade.dump import Dumper, private_name

Member = tuple[str, bytes, str]  # name, type, content or where a link leads


@pytest.fixture
def node(tmp_path: Path) -> Layout:
    """A host with a configuration and secrets."""
    layout = Layout(root=tmp_path / "host")
    for folder in (layout.etc, layout.secrets, layout.credentials / "users"):
        folder.mkdir(parents=True)
    (layout.etc / "site.toml").write_text("answers")
    (layout.etc / "site.toml").chmod(0o640)
    (layout.secrets / "manager-secret").write_text("secret")
    (layout.credentials / "users/ann.toml").write_text("ann")
    return layout


def write(layout: Layout, path: Path) -> list[str]:
    """Make a backup without databases; what it said."""
    said: list[str] = []
    dumper = Dumper(folder=path.parent / "scratch", keep=1, seconds=9)
    Backup(layout=layout, databases=[], etcd=None, dumper=dumper, say=said.append).write(path)
    assert [left.name for left in (path.parent / "scratch").iterdir()] == []
    return said


def restore(path: Path, layout: Layout) -> list[str]:
    """Put the files of a backup back; what it said."""
    said: list[str] = []
    with open_archive(path, path.parent / "scratch", layout, said.append) as archive:
        archive.put_files(layout, said.append)
    return said


def test_what_was_there_is_restored(node: Layout, tmp_path: Path) -> None:
    (node.etc / "ca.pem").symlink_to("/etc/ssl/ca.pem")
    (node.etc / "conf.d").mkdir(mode=0o750)
    (node.etc / "conf.d/a.toml").write_text("a")
    os.link(node.etc / "site.toml", node.etc / "second.toml")
    os.mkfifo(node.etc / "pipe")
    path = tmp_path / "backup.tar"
    said = write(node, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert any("ca.pem is a link to /etc/ssl/ca.pem" in line for line in said)
    assert any("left out" in line and "pipe" in line for line in said)
    other = Layout(root=tmp_path / "other")
    assert restore(path, other) == []
    for name in ("site.toml", "second.toml"):
        assert (other.etc / name).read_text() == "answers"
        assert (other.etc / name).stat().st_mode & 0o777 == 0o640
    assert (other.etc / "ca.pem").readlink() == Path("/etc/ssl/ca.pem")
    assert (other.etc / "conf.d/a.toml").read_text() == "a"
    assert (other.secrets / "manager-secret").read_text() == "secret"
    assert (other.credentials / "users/ann.toml").read_text() == "ann"


def test_the_nodes_own_authority_is_restored_and_its_keys_stay_closed(
    node: Layout, tmp_path: Path
) -> None:
    node.tls.mkdir(mode=0o755)
    # The authority's key is wide open here, which no restore repeats.
    modes = {"ca.pem": 0o644, "ca.key": 0o666, "node.pem": 0o644, "node.key": 0o640}
    for name, mode in modes.items():
        (node.tls / name).write_text(name)
        (node.tls / name).chmod(mode)
    path = tmp_path / "backup.tar"
    assert write(node, path) == []
    other = Layout(root=tmp_path / "other")
    mask = os.umask(0o077)
    try:
        assert restore(path, other) == []
    finally:
        os.umask(mask)
    assert other.tls.stat().st_mode & 0o777 == 0o755
    found = {file.name: file.stat().st_mode & 0o777 for file in other.tls.iterdir()}
    assert found == {**modes, "ca.key": 0o660}
    assert all((other.tls / name).read_text() == name for name in modes)


def test_a_link_in_the_place_of_the_folder_stays(node: Layout, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    node.etc.rename(moved)
    node.etc.symlink_to(moved)
    path = tmp_path / "backup.tar"
    write(node, path)
    (moved / "site.toml").write_text("changed")
    assert restore(path, node) == []
    assert node.etc.is_symlink()
    assert (moved / "site.toml").read_text() == "answers"


def test_a_link_that_waits_beside_the_file_is_not_followed(node: Layout, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    path = tmp_path / "backup.tar"
    for name in ("backup.tar.partial", "backup.tar", "scratch.partial"):
        (tmp_path / name).symlink_to(victim)
    write(node, path)
    assert victim.read_text() == "kept"
    assert path.is_file()
    assert not path.is_symlink()


def test_what_a_killed_run_left_is_removed(node: Layout, tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    left, other = private_name(path), private_name(tmp_path / "other.tar")
    for name in (left, other):
        name.write_text("cut")
    (tmp_path / f"{left.name}.d").mkdir()
    write(node, path)
    assert not left.exists()
    assert other.exists()
    verify_archive(path)


def archive_of(path: Path, *members: Member) -> Path:
    """An archive that somebody else made."""
    with tarfile.open(path, "w") as tar:
        manifest: Member = ("manifest.json", tarfile.REGTYPE, json.dumps({"format": 1}))
        for name, kind, text in (manifest, *members):
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o4777
            member.uid, member.gid = os.geteuid(), os.getegid()
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = text
                tar.addfile(member)
            else:
                content = text.encode() if kind == tarfile.REGTYPE else b""
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


GOOD: Member = ("files/etc/backend.ai/good.toml", tarfile.REGTYPE, "good")
ODD: tuple[Member, ...] = (
    ("files/etc/cron.d/x", tarfile.REGTYPE, "evil"),
    ("files/etc/backend.ai", tarfile.SYMTYPE, "/outside"),
    ("files/etc/backend.ai/../cron.d/x", tarfile.REGTYPE, "evil"),
    ("files/var/lib/backendai/generated/x", tarfile.REGTYPE, "evil"),
    ("files/etc/backend.ai/tty", tarfile.CHRTYPE, ""),
    ("files/etc/backend.ai/pipe", tarfile.FIFOTYPE, ""),
    ("files/etc/backend.ai/hard", tarfile.LNKTYPE, "/etc/passwd"),
    ("../../escaped", tarfile.REGTYPE, "evil"),
    ("/escaped", tarfile.REGTYPE, "evil"),
    ("databases/../../x.dump", tarfile.REGTYPE, "evil"),
    ("databases/x.dump", tarfile.SYMTYPE, "/etc/passwd"),
    ("files", tarfile.SYMTYPE, "/"),
)


@pytest.mark.parametrize("odd", ODD, ids=[member[0] for member in ODD])
def test_an_odd_member_is_reported_and_the_rest_restored(tmp_path: Path, odd: Member) -> None:
    layout = Layout(root=tmp_path / "host")
    layout.root.mkdir()
    said = restore(archive_of(tmp_path / "x.tar", odd, GOOD), layout)
    assert len(said) == 1
    assert said[0].startswith("warning: left out ")
    files = [path for path in layout.root.rglob("*") if not path.is_dir()]
    assert files == [layout.etc / "good.toml"]
    assert files[0].stat().st_mode & 0o7777 == 0o770
    assert not (tmp_path / "escaped").exists()
    assert not (tmp_path / "x.dump").exists()


def test_nothing_is_written_through_a_restored_link(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path / "host")
    layout.root.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    link: Member = ("files/etc/backend.ai/d", tarfile.SYMTYPE, str(outside))
    through: Member = ("files/etc/backend.ai/d/x", tarfile.REGTYPE, "evil")
    said = restore(archive_of(tmp_path / "x.tar", link, through, GOOD), layout)
    assert "cannot restore" in said[0]
    assert not list(outside.iterdir())
    assert (layout.etc / "good.toml").read_text() == "good"


def cut(path: Path) -> None:
    """Lose the end, as on a full disk."""
    os.truncate(path, path.stat().st_size // 2)


def change(path: Path) -> None:
    """Change a byte of the dump."""
    path.write_bytes(path.read_bytes().replace(b"of etcd", b"0f etcd"))


@pytest.mark.parametrize("damage", [cut, change])
def test_a_damaged_archive_is_found(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "x.tar"
    text = json.dumps({"key": "of etcd" + "." * 20000})
    sha = hashlib.sha256(text.encode()).hexdigest()
    with tarfile.open(path, "w") as tar:
        manifest = json.dumps({"format": 1, "sha256": {"etcd.json": sha}})
        for name, content in (("manifest.json", manifest), ("etcd.json", text)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    verify_archive(path)
    damage(path)
    with pytest.raises(HostError):
        verify_archive(path)
    layout = Layout(root=tmp_path / "host")
    with pytest.raises(HostError), open_archive(path, tmp_path, layout, print):
        pass
