"""The libraries of another architecture, by stand-ins for apt that note how they are called."""

import os
import shutil
from pathlib import Path

import pytest

from builder.base import run
from builder.base.cache import Cache
from builder.base.errors import OfflineError, RuntimeUnavailableError, ToolError
from builder.runtime.buildhost import library_packages
from builder.runtime.sysroot import find_sysroot, make_sysroot
from tests.helpers.elves import Elf
from tests.helpers.trees import FOREIGN, HOST

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")

LIBRARY = f"usr/lib/{FOREIGN.triplet}/libx.so.1.2"
_APT_GET = """\
for word; do
    case "$word" in
        Dir::Cache=*) cache="${word#*=}" ;;
        *Architecture=*) echo "$word" >>CALLS ;;
        update | install) echo "$word" >>CALLS ;;
    esac
done
case " $* " in *" install "*) cp DEBS/*.deb "$cache/archives/" ;; esac
"""
_POLICY = """\
echo policy >>CALLS
shift
for name; do printf '%s:\\n  Installed: (none)\\n  Candidate: VERSION\\n' "$name"; done
"""


class Apt:
    """A mirror with one package, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.debs = folder / "debs"
        self.debs.mkdir()
        self.calls = folder / "calls"
        self.offer("1.2-3")
        self._tool("apt-get", _APT_GET.replace("DEBS", str(self.debs)))

    def offer(self, version: str) -> None:
        """Have this version, as host's candidate and in the archive of the other architecture."""
        self.name_candidate(version)
        root = self.folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        control = f"Package: libx1\nVersion: {version}\nArchitecture: {FOREIGN}\n"
        control += "Maintainer: Nobody <nobody@example.org>\nDescription: x\n"
        files = {
            LIBRARY: Elf(machine=FOREIGN.elf_machine).write(),
            f"usr/lib/{FOREIGN.triplet}/libhost.so.1": Elf(machine=HOST.elf_machine).write(),
            "usr/share/doc/libx1/copyright": b"free\n",
            "DEBIAN/control": control.encode(),
        }
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        (root / "usr/lib" / FOREIGN.triplet / "libx.so.1").symlink_to(f"/{LIBRARY}")
        run.run(["dpkg-deb", "--build", "--root-owner-group", root, self.debs / "libx1.deb"])

    def name_candidate(self, version: str) -> None:
        """Let the host's own candidates be of this version."""
        self._tool("apt-cache", _POLICY.replace("VERSION", version))

    def asked(self) -> list[str]:
        """The words of all calls so far."""
        return self.calls.read_text().split() if self.calls.exists() else []

    def _tool(self, name: str, body: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body.replace('CALLS', str(self.calls))}")
        path.chmod(0o755)


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    folder = tmp_path / "tools"
    folder.mkdir()
    made = Apt(folder)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


def test_libraries_are_found_with_their_package_and_links_stay_inside(
    apt: Apt, cache: Cache
) -> None:
    made = make_sysroot(FOREIGN, cache, offline=False)
    library = made.find("libx.so.1")
    assert library == made.root / LIBRARY
    owner = made.owner(library)
    assert owner is not None
    assert (owner.name, owner.version) == ("libx1", "1.2-3")
    assert owner.licences[0].read_text() == "free\n"
    assert made.find("libhost.so.1") is None  # of this host's architecture
    assert made.find("libnone.so.1") is None
    assert made.strip == f"{FOREIGN.triplet}-strip"
    assert f"APT::Architecture={FOREIGN}" in apt.asked()


def test_it_is_made_once_until_the_host_has_other_candidates(apt: Apt, cache: Cache) -> None:
    assert find_sysroot(FOREIGN, cache) is None
    first = make_sysroot(FOREIGN, cache, offline=False)
    assert find_sysroot(FOREIGN, cache) == first
    assert make_sysroot(FOREIGN, cache, offline=True) == first
    assert apt.asked().count("install") == 1
    apt.offer("1.2-4")  # a security update
    assert find_sysroot(FOREIGN, cache) is None
    second = make_sysroot(FOREIGN, cache, offline=False)
    assert second.key != first.key
    owner = second.owner(second.root / LIBRARY)
    assert owner is not None
    assert owner.version == "1.2-4"


def test_further_packages_make_another_one(apt: Apt, cache: Cache) -> None:
    plain = make_sysroot(FOREIGN, cache, offline=False)
    assert find_sysroot(FOREIGN, cache, ("libstdc++6",)) is None
    assert make_sysroot(FOREIGN, cache, offline=False, further=("libstdc++6",)).key != plain.key
    assert apt.asked().count("install") == 2


def test_offline_and_without_apt_it_is_refused(
    apt: Apt, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OfflineError, match=f"the libraries of {FOREIGN} are not in the cache"):
        make_sysroot(FOREIGN, cache, offline=True)
    apt.name_candidate("(none)")
    with pytest.raises(RuntimeUnavailableError) as caught:
        make_sysroot(FOREIGN, cache, offline=False)
    assert "--runtime pbs" in (caught.value.hint or "")
    monkeypatch.setattr("builder.runtime.sysroot.shutil.which", lambda _: None)
    with pytest.raises(RuntimeUnavailableError):
        make_sysroot(FOREIGN, cache, offline=False)


def test_a_mirror_without_the_architecture_leaves_nothing(apt: Apt, cache: Cache) -> None:
    (apt.debs / "libx1.deb").rename(apt.folder / "elsewhere")
    with pytest.raises(ToolError):
        make_sysroot(FOREIGN, cache, offline=False)
    assert find_sysroot(FOREIGN, cache) is None


def test_every_library_is_asked_for_by_debians_name() -> None:
    assert {"libssl-dev", "libsqlite3-dev", "zlib1g-dev"} <= set(library_packages())
