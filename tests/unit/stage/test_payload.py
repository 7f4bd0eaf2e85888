"""The pieces of a stage: entries, samples, the distribution's own Python."""

import configparser
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from builder.base.errors import PayloadError
from builder.base.model import Arch, RuntimeChoice
from builder.plan import Entry
from builder.runtime.model import Runtime
from builder.spec.schema import PayloadKind
from builder.stage.payload import below, extract_sample, place_entry, place_runtime

MEMBERS = {
    "pkg/configs/a.toml": b"a",
    "pkg/configs/b.toml": b"b",
    "pkg/configs/deep/c.toml": b"c",
    "pkg/empty/": b"",
}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "samples-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, data)
    return path


def entry(target: str, kind: PayloadKind, **more: object) -> Entry:
    fields = {"target": PurePosixPath(target), "kind": kind, "mode": 0o644, **more}
    return Entry(**fields)  # type: ignore[arg-type]


def test_one_member_is_taken(wheel: Path, tmp_path: Path) -> None:
    extract_sample(wheel, "pkg/configs/a.toml", tmp_path / "out/sample.toml")
    assert (tmp_path / "out/sample.toml").read_bytes() == b"a"


def test_the_files_of_a_folder_are_taken_but_not_those_below(wheel: Path, tmp_path: Path) -> None:
    extract_sample(wheel, "pkg/configs/*", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.toml", "b.toml"]


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ("pkg/none.toml", "has no pkg/none.toml, which a [[sample]] names"),
        ("pkg/none/*", "has no files in pkg/none/"),
        ("pkg/empty/*", "has no files in pkg/empty/"),
    ],
)
def test_a_sample_that_is_not_there_is_named_with_its_wheel(
    wheel: Path, tmp_path: Path, member: str, problem: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        extract_sample(wheel, member, tmp_path / "out")
    assert caught.value.message.startswith("samples-1-py3-none-any.whl: ")
    assert problem in caught.value.message


def test_entries_are_put_at_their_places(tmp_path: Path) -> None:
    for placed in (
        entry("/etc/x/a.conf", PayloadKind.CONFFILE, content=b"a"),
        entry("/usr/bin/x", PayloadKind.FILE, content=b"#!", mode=0o755),
        entry("/usr/bin/y", PayloadKind.SYMLINK, link="x"),
        entry("/var/lib/x", PayloadKind.DIR, mode=0o750),
    ):
        place_entry(placed, tmp_path)
    assert (tmp_path / "etc/x/a.conf").read_bytes() == b"a"
    assert (tmp_path / "usr/bin/x").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "usr/bin/y").readlink() == Path("x")
    assert (tmp_path / "var/lib/x").is_dir()


def test_an_entry_never_replaces_what_a_wheel_has(tmp_path: Path) -> None:
    cached = tmp_path / "cached"
    cached.write_bytes(b"the cache's")
    place = below(tmp_path / "root", PurePosixPath("/opt/x/file"))
    place.parent.mkdir(parents=True)
    place.hardlink_to(cached)
    with pytest.raises(PayloadError, match="has a file at this place already"):
        place_entry(entry("/opt/x/file", PayloadKind.FILE, content=b"ours"), tmp_path / "root")
    assert cached.read_bytes() == b"the cache's"


def runtime(tree: Path | None) -> Runtime:
    return Runtime(
        provider=RuntimeChoice.DISTRO if tree is None else RuntimeChoice.ARCHIVE,
        version="3.13.15",
        arch=Arch.AMD64,
        origin="here",
        sha256="",
        key="k",
        tree=tree,
        python=Path("/usr/bin/python3"),
        glibc="2.17",
    )


def test_a_bundled_runtime_comes_without_the_caches_mark(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/python3.13").write_bytes(b"x")
    (tree / ".complete").touch()
    place_runtime(runtime(tree), tmp_path / "prefix", 1000)
    assert [path.name for path in (tmp_path / "prefix").iterdir()] == ["bin"]
    assert (tree / ".complete").exists()


def test_the_distributions_python_is_found_as_a_virtual_environment_finds_it(
    tmp_path: Path,
) -> None:
    place_runtime(runtime(None), tmp_path / "prefix", 1000)
    folder = tmp_path / "prefix/bin"
    links = {path.name: str(path.readlink()) for path in folder.iterdir()}
    assert links == {
        "python": "python3.13",
        "python3": "python3.13",
        "python3.13": "/usr/bin/python3.13",
    }
    parser = configparser.ConfigParser()
    parser.read_string("[x]\n" + (tmp_path / "prefix/pyvenv.cfg").read_text(encoding="utf-8"))
    assert dict(parser["x"]) == {"home": "/usr/bin", "include-system-site-packages": "false"}
