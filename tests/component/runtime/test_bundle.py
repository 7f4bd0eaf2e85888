"""Which libraries travel with a compiled CPython, and how they are found."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from builder.base import run
from builder.base.errors import RuntimeUnavailableError
from builder.runtime import bundle
from tests.helpers.elves import Elf
from tests.helpers.trees import FOREIGN, HOST

MODULE = "lib/python3.13/lib-dynload/_ssl.so"


def put(root: Path, name: str, **says: object) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Elf(machine=HOST.elf_machine, **says).write())  # type: ignore[arg-type]
    return path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that plays this host's loader cache."""
    folder = tmp_path / "host"
    folder.mkdir()

    def listing(command: object, **_: object) -> run.Result:
        lines = "".join(f"\t{path.name} (libc6) => {path}\n" for path in sorted(folder.iterdir()))
        return run.Result(stdout=f"9 libs found\n{lines}", stderr="", status=0)

    monkeypatch.setattr("builder.base.run.run", listing)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    put(tree, "bin/python3.13", needed=["libm.so.6", "libc.so.6"])
    put(tree, MODULE, needed=["libssl.so.3", "libcrypto.so.3", "libc.so.6"])
    return tree


def needed(tree: Path) -> list[bundle.FoundLibrary]:
    return bundle.find_needed(tree, bundle.HostLibraries(HOST))


def test_what_is_needed_in_turn_is_found_and_the_system_left(host: Path, tree: Path) -> None:
    put(host, "libssl.so.3", needed=["libcrypto.so.3", "libc.so.6"])
    put(host, "libcrypto.so.3", needed=["libz.so.1", "libgcc_s.so.1", "ld-linux-x86-64.so.2"])
    put(host, "libz.so.1.2.13")
    (host / "libz.so.1").symlink_to("libz.so.1.2.13")
    put(host, "libunused.so.1")
    assert [
        (library.soname, library.path)
        for library in bundle.find_needed(tree, bundle.HostLibraries(HOST))
    ] == [
        ("libcrypto.so.3", host / "libcrypto.so.3"),
        ("libssl.so.3", host / "libssl.so.3"),
        ("libz.so.1", host / "libz.so.1.2.13"),
    ]


def test_libcrypt_is_no_part_of_every_target(host: Path, tree: Path) -> None:
    put(tree, "lib/python3.13/lib-dynload/_crypt.so", needed=["libcrypt.so.1"])
    for name in ("libcrypt.so.1", "libssl.so.3", "libcrypto.so.3"):
        put(host, name)
    assert "libcrypt.so.1" in [
        library.soname for library in bundle.find_needed(tree, bundle.HostLibraries(HOST))
    ]


def test_a_library_of_another_architecture_does_not_count(host: Path, tree: Path) -> None:
    put(host, "libcrypto.so.3")
    (host / "libssl.so.3").write_bytes(Elf(machine=FOREIGN.elf_machine).write())
    with pytest.raises(RuntimeUnavailableError) as caught:
        needed(tree)
    assert caught.value.message.startswith(f"{MODULE} needs libssl.so.3, which")
    assert "ldconfig" in (caught.value.hint or "")


def test_all_that_resolves_inside_is_well(tree: Path) -> None:
    put(tree, MODULE, needed=["libssl.so.3", "libc.so.6"], runpath="$ORIGIN/../..")
    put(tree, "lib/libssl.so.3", needed=["libcrypto.so.3"], runpath="$ORIGIN")
    put(tree, "lib/libcrypto.so.3", needed=["libc.so.6"])
    bundle.check_resolved(tree)


@pytest.mark.parametrize(
    "runpath", ["", "$ORIGIN", "/usr/lib", "$ORIGIN/../../../../../lib", "$ORIGIN/../../lib64"]
)
def test_a_library_that_would_not_be_found_is_reported(tree: Path, runpath: str) -> None:
    put(tree, MODULE, needed=["libssl.so.3", "libc.so.6"], runpath=runpath)
    put(tree, "lib/libssl.so.3")
    with pytest.raises(RuntimeUnavailableError, match=f"{MODULE} needs libssl.so.3"):
        bundle.check_resolved(tree)


@pytest.mark.parametrize(
    ("entry", "binary", "expected"),
    [
        ("$ORIGIN", "lib/libx.so", "lib"),
        ("$ORIGIN/../lib", "bin/python3.13", "lib"),
        ("$ORIGIN/../../../lib", "bin/python3.13", None),
        ("/lib", "bin/python3.13", None),
    ],
)
def test_origin(entry: str, binary: str, expected: str | None) -> None:
    folder = bundle._resolve_origin(entry, PurePosixPath(binary))
    assert folder == (PurePosixPath(expected) if expected else None)


class Packages:
    """A package database that answers like dpkg's or rpm's query program."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = answers

    def run(self, command: list[object], **_: object) -> run.Result:
        line = " ".join(str(word) for word in command)
        found = next((self.answers[key] for key in self.answers if line.endswith(key)), None)
        return run.Result(stdout=found or "", stderr="", status=0 if found else 1)


def keep(
    tree: Path, path: str, packages: Packages, program: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Keep the licence of the library at ``path``; returns the table's only row."""
    libraries = bundle.HostLibraries(HOST)
    monkeypatch.setattr("builder.base.run.run", packages.run)
    monkeypatch.setattr("shutil.which", lambda name: name if name == program else None)
    library = bundle.FoundLibrary(soname="libx.so.1", path=Path(path))
    bundle._keep_licences(tree, [library], libraries)
    return (tree / "share/licenses/bundled.txt").read_text().splitlines()[-1]


@pytest.mark.parametrize("known", ["/usr/lib/libx.so.1.2", "/lib/libx.so.1.2"])
def test_a_debian_licence_is_kept_with_the_texts_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    common = tmp_path / "common-licenses"
    common.mkdir()
    (common / "LGPL-2.1").write_text("the text")
    monkeypatch.setattr(bundle, "_DEBIAN_TEXTS", common)
    copyright_file = tmp_path / "copyright"
    copyright_file.write_text(f"See {common}/LGPL-2.1. Or {common}/GPL-9.\n")
    monkeypatch.setattr(bundle, "Path", _redirect(copyright_file))
    packages = Packages({f"--search {known}": f"libx1:amd64: {known}\n", "libx1:amd64": "1.2-3"})
    row = keep(tmp_path, "/usr/lib/libx.so.1.2", packages, "dpkg-query", monkeypatch)
    assert row == "libx.so.1\tlibx1\t1.2-3"
    folder = tmp_path / "share/licenses/libx1"
    assert sorted(path.name for path in folder.iterdir()) == ["LGPL-2.1", "copyright"]


def _redirect(copyright_file: Path) -> object:
    """A Path that finds this file where Debian's documentation would be."""

    def path(*parts: str) -> Path:
        documentation = parts[0] == "/usr/share/doc"
        return copyright_file if documentation else Path(*parts)

    return path


def test_an_rpm_licence_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licence = tmp_path / "COPYING"
    licence.write_text("the text")
    packages = Packages({"%{EVR}\n": "libx\t1.2-3.el9\n", "--licensefiles libx": f"{licence}\n"})
    row = keep(tmp_path, "/usr/lib64/libx.so.1", packages, "rpm", monkeypatch)
    assert row == "libx.so.1\tlibx\t1.2-3.el9"
    assert (tmp_path / "share/licenses/libx/COPYING").read_text() == "the text"


def test_a_library_of_no_package_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("builder.base.log.warn", warnings.append)
    row = keep(tmp_path, "/usr/local/lib/libx.so.1", Packages({}), "dpkg-query", monkeypatch)
    assert row == "libx.so.1\t/usr/local/lib/libx.so.1\t-"
    assert warnings == [
        "no package owns /usr/local/lib/libx.so.1: its licence is not in the runtime"
    ]
