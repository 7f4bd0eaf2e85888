"""Getting wheels: from cache, mirror or index, by hash; building what has none."""

import os
import sys
import zipfile
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import FetchError, LockError, OfflineError, PayloadError, ToolError
from builder.base.files import hash_file
from builder.base.model import Arch, host_arch
from builder.base.run import Command, Result, run
from builder.index.uv import Target, uv_path
from builder.lock import LockedDistribution, LockedFile
from builder.lock.resolve import read_metadata
from builder.wheels.files import fetch_files, prepare_wheels
from builder.wheels.model import WheelRequest
from tests.helpers.wheelhouse import Recipe

MINOR = f"3.{sys.version_info.minor}"
TARGET = Target(minor=MINOR, arch=host_arch(), glibc="2.28")
NO_SETUP = "import sys\nsys.exit('no setup')\n"
BACKEND = """
import os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "from_source-1.0-py3-none-any.whl"
    info = "from_source-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        archive.writestr("from_source.py", "EPOCH = " + os.environ["SOURCE_DATE_EPOCH"])
        metadata = ["Metadata-Version: 2.1", "Name: from-source", "Version: 1.0", ""]
        archive.writestr(info + "/METADATA", os.linesep.join(metadata))
        wheel = ["Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any", ""]
        archive.writestr(info + "/WHEEL", os.linesep.join(wheel))
        archive.writestr(info + "/RECORD", "")
    return name
"""


def locked_at(path: Path, name: str, arch: Arch | None = None) -> LockedDistribution:
    sha256, size = hash_file(path), path.stat().st_size
    file = LockedFile(file=path.name, sha256=sha256, size=size, arch=arch)
    return LockedDistribution(name=name, version="1.0", files=(file,))


def needed_of(
    *distributions: LockedDistribution, build: LockedDistribution | None = None
) -> WheelRequest:
    return WheelRequest(distributions=distributions, build=(build,) if build else (), target=TARGET)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty mirror, which builds are configured with."""
    folder = tmp_path / "mirror"
    (folder / "wheels").mkdir(parents=True)
    monkeypatch.setenv("BUILDER_MIRROR", str(folder))
    return folder


def test_files_come_from_a_mirror_and_then_from_the_cache(mirror: Path, cache: Cache) -> None:
    path = Recipe(name="one").write(mirror / "wheels")
    needed = needed_of(locked_at(path, "one"))
    (found,) = fetch_files(needed, cache, offline=False).values()
    assert found.read_bytes() == path.read_bytes()
    path.unlink()
    assert fetch_files(needed, cache, offline=True) == {hash_file(found): found}


def test_a_damaged_blob_is_fetched_again(mirror: Path, cache: Cache) -> None:
    path = Recipe(name="one").write(mirror / "wheels")
    needed = needed_of(locked_at(path, "one"))
    (found,) = fetch_files(needed, cache, offline=False).values()
    found.write_bytes(b"damaged")
    (again,) = fetch_files(needed, cache, offline=False).values()
    assert again.read_bytes() == path.read_bytes()


def test_a_mirror_is_not_trusted(mirror: Path, cache: Cache) -> None:
    path = Recipe(name="one").write(mirror / "wheels")
    needed = needed_of(locked_at(path, "one"))
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(FetchError, match="sha256"):
        fetch_files(needed, cache, offline=False)
    assert cache.find_blob(needed.distributions[0].files[0].sha256) is None


def test_a_mirror_that_lacks_a_file_names_it(mirror: Path, cache: Cache, tmp_path: Path) -> None:
    needed = needed_of(locked_at(Recipe(name="one").write(tmp_path), "one"))
    with pytest.raises(FetchError, match=r"one-1\.0-py3-none-any\.whl"):
        fetch_files(needed, cache, offline=False)


def test_offline_says_what_is_absent(cache: Cache, tmp_path: Path) -> None:
    wheels = [locked_at(Recipe(name=f"w{n}").write(tmp_path), f"w{n}") for n in range(5)]
    first = tmp_path / wheels[0].files[0].file
    cache.add_blob(first, wheels[0].files[0].sha256)
    with pytest.raises(OfflineError) as caught:
        fetch_files(needed_of(*wheels), cache, offline=True)
    assert "the cache lacks 4 of 5 wheels: w1-1.0-py3-none-any.whl, " in caught.value.message
    assert caught.value.message.endswith("and 1 more")
    assert "builder fetch" in str(caught.value.hint)


def test_a_file_that_the_index_lost_or_an_index_that_is_away(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BUILDER_MIRROR", raising=False)
    needed = needed_of(locked_at(Recipe(name="one").write(tmp_path), "one"))
    monkeypatch.setattr("builder.wheels.files.locate", lambda *_: {})
    with pytest.raises(FetchError, match=r"the index no longer has one-1\.0") as caught:
        fetch_files(needed, cache, offline=False)
    assert "BUILDER_MIRROR" in str(caught.value.hint)

    def away(*_: object) -> dict[str, str]:
        raise LockError("tried three times")

    monkeypatch.setattr("builder.wheels.files.locate", away)
    with pytest.raises(FetchError, match="cannot find the wheels on the index:\ntried three times"):
        fetch_files(needed, cache, offline=False)


def test_only_the_targets_own_files_are_needed(tmp_path: Path) -> None:
    host = host_arch()
    other = next(arch for arch in Arch if arch is not host)
    paths = [Recipe(name=name).write(tmp_path) for name in ("mine", "foreign", "all")]
    distributions = [
        locked_at(path, name, arch)
        for path, name, arch in zip(
            paths, ("mine", "foreign", "all"), (host, other, None), strict=True
        )
    ]
    assert [wheel.name for wheel, _ in needed_of(*distributions).files()] == ["mine", "all"]
    assert [wheel.name for wheel, _ in needed_of(*distributions).files(other)] == ["foreign", "all"]


def make_sdist(folder: Path, backend: str) -> Path:
    """An sdist as a zip, whose backend lies in its own tree and needs nothing."""
    path = folder / "from_source-1.0.zip"
    project = (
        '[project]\nname = "from-source"\nversion = "1.0"\n'
        '[build-system]\nrequires = ["helper"]\nbuild-backend = "own"\nbackend-path = ["."]\n'
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (("pyproject.toml", project), ("own.py", backend)):
            archive.writestr(f"from_source-1.0/{name}", text)
    return path


@pytest.fixture
def sdist_needs(mirror: Path) -> WheelRequest:
    """An sdist that needs one pinned build requirement, in the mirror."""
    helper = locked_at(Recipe(name="helper").write(mirror / "wheels"), "helper")
    sdist = make_sdist(mirror / "wheels", "import helper\n" + BACKEND)
    return needed_of(locked_at(sdist, "from-source"), build=helper)


def prepare(needed: WheelRequest, cache: Cache) -> list[str]:
    try:
        uv_path()
    except ToolError:
        pytest.skip("needs uv")
    made = prepare_wheels(needed, Path(sys.executable), cache, epoch=1234567890, offline=False)
    for wheel in made:
        assert read_metadata(wheel.path)["Name"] == wheel.name
    return [wheel.path.name for wheel in made]


def test_an_sdist_is_built_once_by_its_pinned_requirements(
    sdist_needs: WheelRequest, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def watched(command: Command) -> Result:
        commands.append(command.arguments)
        return run(command)

    monkeypatch.setattr("builder.wheels.sdist.run", watched)
    assert prepare(sdist_needs, cache) == ["from_source-1.0-py3-none-any.whl"]
    command, _ = commands  # the second is the first's check
    assert {"--no-index", "--require-hashes", "--no-config"} <= set(command)
    (folder,) = (cache.root / "derived/sdist").iterdir()
    with zipfile.ZipFile(folder / "from_source-1.0-py3-none-any.whl") as archive:
        assert archive.read("from_source.py") == b"EPOCH = 1234567890"
    prepare(sdist_needs, cache)
    assert len(commands) == 2


def test_a_build_requirement_that_is_not_locked_is_refused(mirror: Path, cache: Cache) -> None:
    sdist = make_sdist(mirror / "wheels", BACKEND)
    needed = needed_of(locked_at(sdist, "from-source"))
    with pytest.raises(PayloadError, match=r"cannot build a wheel of from-source==1\.0") as caught:
        prepare(needed, cache)
    assert "helper" in caught.value.message
    assert "[sdist]" in str(caught.value.hint)


def test_a_build_that_fails_leaves_nothing(mirror: Path, cache: Cache) -> None:
    helper = locked_at(Recipe(name="helper").write(mirror / "wheels"), "helper")
    sdist = make_sdist(mirror / "wheels", NO_SETUP)
    with pytest.raises(PayloadError, match="no setup"):
        prepare(needed_of(locked_at(sdist, "from-source"), build=helper), cache)
    assert not (cache.root / "derived/sdist").exists()
    assert list((cache.root / "tmp").iterdir()) == []


def made_of(backend: str, mirror: Path, cache: Cache) -> Path:
    """The wheel that a backend made of an sdist."""
    helper = locked_at(Recipe(name="helper").write(mirror / "wheels"), "helper")
    sdist = make_sdist(mirror / "wheels", backend)
    prepare(needed_of(locked_at(sdist, "from-source"), build=helper), cache)
    return next(cache.root.glob("derived/sdist/*/*.whl"))


def test_a_wheel_from_an_sdist_has_the_same_bytes_wherever_it_is_built(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As setuptools does: the archive gets the mode of a file that it wrote.
    files_first = BACKEND.replace(
        'archive.writestr("from_source.py", "EPOCH = " + os.environ["SOURCE_DATE_EPOCH"])',
        """
        with open("written.py", "w") as file:
            file.write("WRITTEN = True")
        archive.write("written.py", "written.py")
        """.strip(),
    )
    usual = made_of(files_first, mirror, Cache(root=tmp_path / "one"))
    monkeypatch.setenv("TZ", "America/Lima")
    monkeypatch.setenv("HOME", str(tmp_path))
    before = os.umask(0o027)
    try:
        other = made_of(files_first, mirror, Cache(root=tmp_path / "folder" / "of another depth"))
    finally:
        os.umask(before)
    assert usual.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(usual) as archive:
        assert "written.py" in archive.namelist()


@pytest.mark.parametrize(
    "expression",
    ["str(__import__('time').time_ns())", "os.environ['HOME']", "os.environ['TZ']", "os.getcwd()"],
)
def test_an_sdist_that_builds_differently_is_refused(
    expression: str, mirror: Path, cache: Cache
) -> None:
    backend = BACKEND.replace('os.environ["SOURCE_DATE_EPOCH"]', expression)
    with pytest.raises(PayloadError, match=r"builds differently each time: from_source\.py$"):
        made_of(backend, mirror, cache)
    assert not list(cache.root.glob("derived/sdist/*"))
