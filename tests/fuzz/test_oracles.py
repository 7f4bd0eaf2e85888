"""What this project reads and orders, beside the programs that define the format."""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from urllib.parse import unquote

import pip as pip_module
import pytest
from hypothesis import settings
from packaging.utils import canonicalize_name

from builder.base.cache import Cache
from builder.base.errors import PayloadError
from builder.base.model import PackageFormat, host_arch
from builder.base.run import run
from builder.index.uv import Limits, Target, resolve
from builder.inspect import inspect_package
from builder.inspect.deb822 import decode, encode, split_fields
from builder.inspect.identity import Identity
from builder.net.extract import extract_tar
from builder.repo.deb_package import read_deb_package
from builder.repo.version import compare_deb, compare_rpm
from builder.stage.linking import link_tree
from builder.wheels.install import InstallRequest, install_wheels
from tests.fuzz.conftest import SEED
from tests.helpers.index_server import protected_index
from tests.helpers.package_files import DebFile, Payload, RpmFile, make_tar
from tests.helpers.wheelhouse import Recipe

_CASES = settings().max_examples
_SIGNS = "0019aAbZ.+~-"
_BATCH = 500  # pairs in one call


def _needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here")


def _versions(chance: Random, signs: str) -> str:
    epoch = chance.choice(["", "", "", "0:", "1:", "10:"])
    text = "".join(chance.choice(signs) for _ in range(chance.randint(0, 7)))
    return f"{epoch}{chance.randint(0, 12)}{text}" + chance.choice(["", "0", "-1", "-1~b"])


def _pairs(signs: str) -> list[tuple[str, str]]:
    chance = Random(SEED)
    found = []
    for _ in range(_CASES):
        left = _versions(chance, signs)
        at = chance.randrange(len(left))
        # Nearly the same: there the rules matter.
        near = left[:at] + chance.choice(["", "0", "~", "a", "1"]) + left[at + 1 :]
        found.append(
            (left, near if re.match("([0-9]+:)?[0-9]", near) else _versions(chance, signs))
        )
    return found


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


_DPKG_LOOP = """
while read -r left right; do
    if dpkg --compare-versions "$left" lt "$right"; then echo -1
    elif dpkg --compare-versions "$left" eq "$right"; then echo 0
    else echo 1; fi
done
"""
_CALLS = 50  # of dpkg itself: two programs are started for each
# dpkg's own library for Perl, in one program.
_PERL = 'chomp; my ($l, $r) = split / /; print version_compare($l, $r), "\\n"'


def test_versions_are_ordered_as_dpkg_orders_them() -> None:
    _needs("dpkg")
    _needs("dpkg-scanpackages")  # of the package with the library
    pairs = [pair for pair in _pairs(_SIGNS) if all(map(_is_deb_version, pair))]
    assert len(pairs) > _CASES // 2
    lines = [f"{left} {right}\n" for left, right in pairs]
    answers = run(["perl", "-MDpkg::Version", "-ne", _PERL], stdin="".join(lines)).stdout.split()
    ours = [str(_sign(compare_deb(left, right))) for left, right in pairs]
    wrong = [(p, a, o) for p, a, o in zip(pairs, answers, ours, strict=True) if a != o]
    assert wrong == []
    itself = run(["sh", "-c", _DPKG_LOOP], stdin="".join(lines[:_CALLS])).stdout.split()
    assert itself == ours[:_CALLS]


def _is_deb_version(text: str) -> bool:
    try:
        Identity(fmt=PackageFormat.DEB, name="app", version=text, arch="all")
    except PayloadError:
        return False
    return True


def test_versions_are_ordered_as_rpm_orders_them() -> None:
    _needs("rpm")
    wrong = []
    # A hyphen is in no version or release of an rpm; one separates the two.
    pairs = [
        (f"{left.replace('-', '_')}-1", f"{right.replace('-', '_')}-1")
        for left, right in _pairs(_SIGNS.replace("-", "^_"))
    ]
    for start in range(0, len(pairs), _BATCH):
        batch = pairs[start : start + _BATCH]
        calls = "".join(f'print(rpm.vercmp("{left}","{right}").." ")' for left, right in batch)
        answers = run(["rpm", "--eval", f"%{{lua: {calls}}}"]).stdout.split()
        ours = [str(_sign(compare_rpm(left, right))) for left, right in batch]
        wrong += [(p, a, o) for p, a, o in zip(batch, answers, ours, strict=True) if a != o]
    assert wrong == []


_BODIES = (
    " a line\n .\n another",
    " form feed at its end \x0c\n and more",
    " U+2028\u2028here and\u0085there",
    "\ttab first\n   blanks   \t",
    " a carriage return\r\n more",
    " Depends: not a field\n .\n end",
)
_EXTRA = (
    "Depends: a (>= 1),\n b | c,\n d\n",
    "Conflicts: x\nReplaces: x (<< 2)\n",
    "X-Odd-Field: value: with colons\n",
    "homepage: https://example.org\n",
    "Provides: a,b , c\n",
    "Description-md5: 0\n",
    "",
)


def _odd_debs(folder: Path, count: int) -> list[Path]:
    chance = Random(SEED)
    made = []
    for number in range(count):
        control = (
            f"Package: p{number}\nVersion: {chance.choice(['1', '1:2-3', '2~rc1'])}\n"
            "Architecture: all\nMaintainer: A B <ab@example.org>\n"
            f"{''.join(chance.sample(_EXTRA, 2))}"
            f"Description: odd\n{chance.choice(_BODIES)}\n"
        )
        path = folder / f"p{number}.deb"
        compression = chance.choice(["none", "gzip", "xz", "zstd"])
        path.write_bytes(DebFile(control=control, compression=compression).build())
        made.append(path)
    return made


_OF_INDEX = {"filename", "size", "md5sum", "sha1", "sha256", "sha512", "section", "priority"}


def _fields(paragraph: str) -> dict[str, str]:
    """The values of a paragraph, blanks as apt takes them."""
    return {
        field.key: " ".join("\n".join(field.lines).partition(":")[2].split(" "))
        for field in split_fields(paragraph)
        if field.key not in _OF_INDEX
    }


def _plain(value: str) -> str:
    # Each program folds lines and drops blanks in its own way; the words are the same.
    return " ".join(re.split(r"[ \t\n\r\f\v]+", value.strip(" \t\n\r\f\v")))


@pytest.mark.parametrize(
    "command",
    [["apt-ftparchive", "packages", "."], ["dpkg-scanpackages", "--multiversion", "."]],
    ids=["apt-ftparchive", "dpkg-scanpackages"],
)
def test_control_paragraphs_are_those_of_the_archive_tools(
    tmp_path: Path, command: list[str]
) -> None:
    _needs(command[0])
    debs = _odd_debs(tmp_path, 24)
    output = run(command, cwd=tmp_path).stdout
    theirs = {}
    for paragraph in output.split("\n\n"):
        fields = _fields(paragraph)
        if fields:
            theirs[_plain(fields["package"])] = fields
    for path in debs:
        parsed = read_deb_package(path)
        ours = _fields(decode(encode(parsed.record.control)))  # type: ignore[union-attr]
        other = theirs[parsed.name]
        assert {key: _plain(value) for key, value in ours.items()} == {
            key: _plain(value) for key, value in other.items() if key in ours
        }
        assert set(ours) <= set(other) | {"description-md5"}


_QUERY = "%{NAME}\\n%{EPOCHNUM}\\n%{VERSION}\\n%{RELEASE}\\n%{ARCH}\\n%{LICENSE}\\n[%{FILENAMES}|]"


def _odd_rpms(folder: Path, count: int) -> list[Path]:
    chance = Random(SEED)
    made = []
    for number in range(count):
        names = chance.sample(["a b", "ü", "x'y", "~t", "%{NAME}", "$HOME", "#x", "longer" * 20], 3)
        rpm = RpmFile(
            name=f"p{number}",
            version=chance.choice(["1.0", "1~rc1", "2^git1", "0_x"]),
            release=chance.choice(["1", "1.el9", "0.1~b"]),
            payload=[Payload(path=f"/opt/{name}", content=b"x") for name in names],
            compression=chance.choice(["none", "gzip", "xz", "zstd"]),
            extra={1003: (4, [chance.choice([1, 7])])} if chance.random() < 0.5 else {},
        )
        path = folder / f"p{number}.rpm"
        path.write_bytes(rpm.build())
        made.append(path)
    return made


def test_rpms_are_read_as_rpm_reads_them(tmp_path: Path) -> None:
    _needs("rpm")
    for path in _odd_rpms(tmp_path, 24):
        command = ["rpm", "--nosignature", "--nodigest", "-qp", "--qf", _QUERY, str(path)]
        name, epoch, version, release, arch, licence, files = run(command).stdout.split("\n")
        contents = inspect_package(path).contents
        metadata = contents.metadata
        shown = f"{epoch}:{version}-{release}" if epoch != "0" else f"{version}-{release}"
        assert (metadata.name, metadata.version, metadata.arch) == (name, shown, arch)
        assert metadata.licence == licence
        assert sorted(file.path for file in contents.files) == sorted(files.split("|")[:-1])


def test_rpms_are_indexed_as_createrepo_indexes_them(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("createrepo_c")
    if not program.is_file():
        pytest.skip("createrepo_c is not here")
    paths = _odd_rpms(tmp_path, 12)
    run([program, "--quiet", "--general-compress-type=gz", "--no-database", str(tmp_path)])
    (primary,) = (tmp_path / "repodata").glob("*-primary.xml.gz")
    text = run(["gzip", "-dc", str(primary)]).stdout
    for path in paths:
        metadata = inspect_package(path).contents.metadata
        epoch, colon, rest = metadata.version.rpartition(":")
        version, _, release = rest.rpartition("-")
        place = f'epoch="{epoch if colon else 0}" ver="{version}" rel="{release}"'
        assert f"<name>{metadata.name}</name>" in text
        block = text.partition(f"<name>{metadata.name}</name>")[2].partition("</package>")[0]
        assert place in block
        assert f"<arch>{metadata.arch}</arch>" in block


def _listing(root: Path) -> list[tuple[str, str, bytes]]:
    found = []
    for path in sorted(root.rglob("*")):
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        content = str(path.readlink()).encode() if kind == "link" else b""
        content = path.read_bytes() if kind == "file" else content
        found.append((str(path.relative_to(root)), kind, content))
    return found


def _odd_tree(chance: Random) -> Sequence[Payload]:
    names = ["a", "b c", "ü", "x" * 150, "n\n", "-rf", ".hidden", "tab\t", "\\x", "*"]
    folder = chance.choice(names)
    made = [Payload(path=f"/{folder}", mode=0o040755)]
    for name in chance.sample(names, 4):
        if name == folder:
            continue
        path = chance.choice([f"/{folder}/{name}", f"/{name}"])
        if chance.random() < 0.3:
            made.append(Payload(path=path, content=b"nowhere", mode=0o120777))
        else:
            made.append(Payload(path=path, content=chance.randbytes(chance.randint(0, 2000))))
    return made


def test_tars_are_unpacked_as_gnu_tar_unpacks_them(tmp_path: Path) -> None:
    _needs("tar")
    chance = Random(SEED)
    for number in range(30):
        archive = tmp_path / f"{number}.tar"
        archive.write_bytes(make_tar(_odd_tree(chance)))
        theirs = tmp_path / f"theirs-{number}"
        theirs.mkdir()
        run(["tar", "--extract", f"--file={archive}", f"--directory={theirs}"])
        try:
            extract_tar(archive, tmp_path / f"ours-{number}")
        except PayloadError as error:
            pytest.fail(str(error))
        assert _listing(tmp_path / f"ours-{number}") == _listing(theirs)


def test_pip_sees_what_was_installed(tmp_path: Path) -> None:
    recipes = [
        Recipe(name="plain", version="1.0"),
        Recipe(name="odd.name_here", version="2.0rc1", requires=("plain>=1",)),
        Recipe(name="Local", version="1.0+build.5", scripts={"run-it": "Local:VERSION"}),
        Recipe(name="epoch", version="1!2.0.post1", requires=("plain", "local")),
    ]
    cache = Cache(root=tmp_path / "cache")
    minor = f"3.{sys.version_info.minor}"
    target = Target(minor=minor, arch=host_arch(), glibc="2.28")
    request = InstallRequest(target=target, python=Path(sys.executable), epoch=1767312000, jobs=1)
    wheels = [recipe.cached(cache) for recipe in recipes]
    prefix = tmp_path / "prefix"
    for wheel in install_wheels(wheels, request, cache):
        link_tree(wheel.tree, prefix, epoch=request.epoch)
    site = prefix / "lib" / f"python{minor}" / "site-packages"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    listed = json.loads(run([*pip, "list", "--path", str(site), "--format", "json"]).stdout)
    assert sorted((row["name"].lower(), row["version"]) for row in listed) == sorted(
        (recipe.name.lower(), recipe.version) for recipe in recipes
    )
    seen = json.loads(run([*pip, "inspect", "--path", str(site)]).stdout)["installed"]
    assert {row["installer"] for row in seen} == {"uv"}
    needs = {row["metadata"]["name"]: row["metadata"].get("requires_dist", []) for row in seen}
    assert needs["epoch"] == ["plain", "local"]
    # What pip finds broken: a requirement that is absent, and one of another version.
    assert _pip_check(tmp_path, site) == []
    Recipe(name="broken", requires=("absent", "plain>=9")).write(tmp_path)
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", f"--target={site}",
         str(next(tmp_path.glob("broken-*.whl")))])  # fmt: skip
    assert _pip_check(tmp_path, site) == [
        "broken 1.0 has requirement plain>=9, but you have plain 1.0.",
        "broken 1.0 requires absent, which is not installed.",
    ]


def _pip_check(work: Path, site: Path) -> list[str]:
    """What `pip check` finds in an environment, without what else this Python has."""
    tool = work / "pip-alone"
    if not tool.is_dir():
        shutil.copytree(Path(pip_module.__file__).parent, tool / "pip")
    command = [sys.executable, "-S", "-m", "pip", "--disable-pip-version-check", "check"]
    done = run(command, env={"PYTHONPATH": f"{site}:{tool}"}, check=False)
    return sorted(
        line for line in done.stdout.splitlines() if line != "No broken requirements found."
    )


def _index_of_odd_names(folder: Path) -> list[str]:
    """Wheels whose names, versions and tags a page spells in several ways; what to ask for."""
    recipes = [
        Recipe(name="odd.name_here", version="2.0"),
        Recipe(name="Local", version="1.0+build.5"),
        Recipe(name="epoch", version="1!2.0.post1", requires=("odd-name.here>=1", "local")),
        Recipe(name="two", version="1.0"),
        Recipe(name="two", version="1.10"),
        Recipe(name="two", version="1.9rc1"),
        Recipe(name="two", version="2.0", requires_python=">=4"),
        Recipe(name="tagged", version="1.0"),
        Recipe(name="tagged", version="1.0", tag=f"py3-none-manylinux_2_17_{host_arch().machine}"),
    ]
    for recipe in recipes:
        recipe.write(folder)
    return ["epoch", "two", "Tagged"]


def test_index_pages_are_read_as_pip_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTML with relative links, escaped names and hashes in fragments; the same files result."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wanted = _index_of_odd_names(folder)
    minor = f"3.{sys.version_info.minor}"
    target = Target(minor=minor, arch=host_arch(), glibc="2.28")
    with protected_index(folder, "user:word") as index:
        url = index.url.replace("://", "://user:word@")
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        found = resolve(wanted, target, Limits(), Cache(root=tmp_path / "cache"))
        ours = {
            item.name: (item.version, item.wheel.name, item.wheel.sha256)
            for item in found
            if item.wheel
        }
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--isolated"]
        options = ["--dry-run", "--ignore-installed", "--no-cache-dir", "--only-binary=:all:"]
        report = [*options, "--quiet", "--report=-", f"--index-url={url}"]
        said = json.loads(run([*pip, "install", *report, *wanted]).stdout)
    theirs = {}
    for row in said["install"]:
        name = unquote(row["download_info"]["url"].rpartition("/")[2])
        version = row["metadata"]["version"]
        digest = row["download_info"]["archive_info"]["hashes"]["sha256"]
        theirs[canonicalize_name(row["metadata"]["name"])] = (version, name, digest)
    assert set(theirs) == {"epoch", "local", "odd-name-here", "tagged", "two"}
    assert ours == theirs
