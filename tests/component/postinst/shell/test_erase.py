"""Removal: what is mounted, and what a link leads to, is the admin's."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from builder.base.model import PackageFormat
from builder.base.run import Result, run
from tests.unit.postinst.rendered import TOPS, render, spec


@cache
def script_of(package: str, fmt: PackageFormat, name: str) -> str:
    """The text of one script."""
    owner = spec().packages[package]
    source = getattr(owner.of_format(fmt).scripts, name)
    assert source, f"{package} has no {name}"
    return render(source, owner, fmt)


class FakeHost:
    """A host below a folder, with a mountinfo that a test makes up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mountinfo = root / "mountinfo"
        self.mounted()
        helper = root / "bin/deb-systemd-helper"
        helper.parent.mkdir()
        helper.write_text("#!/bin/sh\n")
        helper.chmod(0o755)

    def mounted(self, *places: str) -> None:
        """Say that these places are mounts, besides what every host has."""
        lines = ["22 1 0:20 / / rw - ext4 /dev/sda rw", "23 22 0:21 / /proc rw - proc proc rw"]
        for place in places:
            text = f"{self.root}/{place}"
            for char in "\\ \t\n":
                text = text.replace(char, f"\\{ord(char):03o}")
            lines.append(f"30 22 8:1 /data {text} rw,relatime - ext4 /dev/sda rw")
        self.mountinfo.write_text("\n".join([*lines, ""]))

    def file(self, name: str) -> Path:
        """Make a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        return path

    def run(
        self, package: str, name: str, *arguments: str, fmt: PackageFormat = PackageFormat.DEB
    ) -> Result:
        """Run a package's script, every path of it below this root."""
        text = script_of(package, fmt, name)
        for top in TOPS:
            text = text.replace(top, f"{self.root}{top}")
        text = text.replace("/proc/self/mountinfo", str(self.mountinfo))
        text = re.sub(r"/opt\b", f"{self.root}/opt", text)
        path = self.root / name
        path.write_text(text)
        env = {"PATH": f"{self.root}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        return run(["sh", path, *arguments], env=env, check=False)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A host without anything mounted."""
    return FakeHost(tmp_path)


STATE = "var/lib/backendai/manager"
SECRET = "var/lib/backendai/secrets/manager-secret"
NAMES = ("cache", "a b", "tab\tname", "back\\slash", "star*", "[x]", "new\nline", "-rf")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("below", ["", "deep/er/"])
def test_a_mount_keeps_what_is_below_and_the_rest_is_purged(
    host: FakeHost, name: str, below: str
) -> None:
    place = f"{STATE}/{below}{name}"
    data = host.file(f"{place}/users/data")
    gone = [
        host.file(f"{STATE}/{below}{other}") for other in ("x", ".hidden", f"{name}2", "a/b c/d")
    ]
    gone += [host.file(SECRET), host.file("var/log/backendai/manager/x.log")]
    host.mounted(place)
    done = host.run("backendai-manager", "postrm", "purge")
    assert done.status == 0
    assert data.read_text() == "x"
    assert [path for path in gone if path.exists()] == []
    warnings = [line for line in done.stderr.split("backendai-manager: ") if line]
    assert len(warnings) == 1
    assert f"{host.root}/{place} (mount)" in done.stderr


def test_a_name_that_a_pattern_would_match_is_purged(host: FakeHost) -> None:
    kept = host.file(f"{STATE}/a b*/data")
    gone = [host.file(f"{STATE}/{name}/data") for name in ("a_b*", "a bc", "a b")]
    host.mounted(f"{STATE}/a b*")
    assert host.run("backendai-manager", "postrm", "purge").status == 0
    assert kept.exists()
    assert [path for path in gone if path.exists()] == []


@pytest.mark.parametrize(
    "place", [STATE, "var/log/backendai/manager", "var/lib/backendai", "run/backendai/manager"]
)
def test_a_mounted_folder_stays_whole(host: FakeHost, place: str) -> None:
    kept = host.file(f"{place}/kept")
    secret = host.file(SECRET)
    host.mounted(place)
    done = host.run("backendai-manager", "postrm", "purge")
    assert done.status == 0
    assert kept.exists()
    assert secret.exists() == (place == "var/lib/backendai")
    assert done.stderr.count("warning") == 1
    assert f"{host.root}/{place} (mount)" in done.stderr


def test_a_mount_above_our_folders_protects_nothing(host: FakeHost) -> None:
    secret = host.file(SECRET)
    host.mounted("var", "var/lib", "run")
    done = host.run("backendai-manager", "postrm", "purge")
    assert (done.status, done.stderr) == (0, "")
    assert not secret.exists()


def test_a_mounted_file_stays(host: FakeHost) -> None:
    secret, other = host.file(SECRET), host.file("var/lib/backendai/secrets/manager-rpc")
    host.mounted(SECRET)
    done = host.run("backendai-manager", "postrm", "purge")
    assert (done.status, secret.exists(), other.exists()) == (0, True, False)


@pytest.mark.parametrize(
    "place",
    [
        STATE,
        f"{STATE}/volume",
        "var/log/backendai",
        "var/lib/backendai",
        "var/lib/backendai/secrets",
    ],
)
def test_a_link_in_the_place_of_a_folder_stays(host: FakeHost, place: str) -> None:
    kept = host.file("data/users")
    link = host.root / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(host.root / "data")
    log = host.file("var/log/backendai/manager/x.log")
    said = ""
    for _ in range(2):
        done = host.run("backendai-manager", "postrm", "purge")
        said += done.stderr
        assert done.status == 0
        assert link.is_symlink()
        assert kept.exists()
        assert log.exists() == (place == "var/log/backendai")
    assert f"{link} (link)" in said


def test_links_that_a_service_made_are_purged(host: FakeHost) -> None:
    host.file(f"{STATE}/runs/1/x")
    outside = host.file("outside")
    (host.root / STATE / "last").symlink_to("runs/1")
    (host.root / STATE / "gone").symlink_to("/nowhere")
    (host.root / STATE / "file").symlink_to(outside)
    done = host.run("backendai-manager", "postrm", "purge")
    assert (done.status, done.stderr) == (0, "")
    assert not (host.root / STATE).exists()
    assert outside.exists()


def test_folders_above_may_be_links(host: FakeHost) -> None:
    (host.root / "disk/lib").mkdir(parents=True)
    (host.root / "var").mkdir()
    (host.root / "var/lib").symlink_to(host.root / "disk/lib")
    kept, gone = host.file(f"{STATE}/m/data"), host.file(SECRET)
    host.mounted("disk/lib/backendai/manager/m")
    done = host.run("backendai-manager", "postrm", "purge")
    assert (done.status, kept.exists(), gone.exists()) == (0, True, False)
    assert f"{host.root}/{STATE}/m (mount)" in done.stderr


def test_common_keeps_mounts(host: FakeHost) -> None:
    kept, gone = host.file("var/lib/backendai/seed/m/x"), host.file("var/lib/backendai/trust/x")
    host.mounted("var/lib/backendai/seed/m")
    done = host.run("backendai-common", "postrm", "purge")
    assert (done.status, kept.exists(), gone.exists()) == (0, True, False)
    assert done.stderr.count("warning") == 1


@pytest.mark.parametrize("place", ["run/backendai/manager/m", f"{STATE}/m"])
def test_rpm_erase_keeps_mounts(host: FakeHost, place: str) -> None:
    kept = host.file(f"{place}/x")
    gone = host.file("run/backendai/manager/socket")
    host.mounted(place)
    done = host.run("backendai-manager", "postun", "0", fmt=PackageFormat.RPM)
    assert (done.status, kept.exists(), gone.exists()) == (0, True, False)
    assert f"{host.root}/{place} (mount)" in done.stderr
    assert done.stderr.count("warning") == 1


def test_without_proc_every_deb_refuses(host: FakeHost) -> None:
    host.mountinfo.unlink()
    for package, owner in spec().packages.items():
        named = owner.deb.scripts
        states: Sequence[tuple[str, str]] = [("preinst", "install"), ("preinst", "upgrade")]
        states = [*states, ("prerm", "remove")]
        if named.postrm and "package.postrm" not in named.postrm:  # which purges nothing
            states = [*states, ("postrm", "purge")]
        for name, state in states:
            done = host.run(package, name, state)
            assert done.status == 1, (package, name, state)
            assert f"{package}: error: /proc is not mounted" in done.stderr
            assert "hint: mount -t proc" in done.stderr


def with_opt() -> list[str]:
    """The debs with a payload below /opt."""
    found = [name for name, package in spec().packages.items() if package.has_opt]
    assert "backendai-client" in found
    return found


@pytest.mark.parametrize("link", ["opt", "opt/backendai"])
def test_opt_and_links_of_the_admin_survive(host: FakeHost, link: str) -> None:
    (host.root / "disk").mkdir()
    target = "../disk" if "/" in link else "disk"
    for package in with_opt():
        (host.root / link).parent.mkdir(exist_ok=True)
        if not (host.root / link).is_symlink():
            (host.root / link).symlink_to(target)
        assert host.run(package, "prerm", "remove").status == 0
        (host.root / link).unlink()  # as dpkg does
        assert host.run(package, "postrm", "remove").status == 0
        assert (host.root / link).readlink() == Path(target), package
        assert not list(host.root.glob("var/lib/backendai/.*"))


def test_opt_is_made_again(host: FakeHost) -> None:
    for package in with_opt():
        assert host.run(package, "prerm", "remove").status == 0
        assert host.run(package, "postrm", "remove").status == 0
        (host.root / "opt").rmdir()
