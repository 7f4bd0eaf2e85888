"""Whether wheels upon the runtime hide each other."""

from pathlib import Path

import pytest

from builder.base.errors import PayloadError
from builder.base.model import RuntimeChoice, host_arch
from builder.runtime.model import Runtime
from builder.stage.fit import Places, check_shared_places, find_places
from builder.wheels.install import InstalledWheel
from builder.wheels.model import WheelFile

_SITE = "lib/python3.13/site-packages"


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    tree = tmp_path / "runtime"
    (tree / _SITE).mkdir(parents=True)
    return Runtime(
        provider=RuntimeChoice.ARCHIVE,
        version="3.13.1",
        arch=host_arch(),
        origin="here",
        sha256="",
        key="runtime",
        tree=tree,
        python=tree / "bin/python3.13",
        glibc="2.17",
    )


def wheel(root: Path, name: str, **files: str) -> InstalledWheel:
    """An installed wheel with these files; ``__`` in a name stands for a slash."""
    tree = root / name
    for path, text in files.items():
        place = tree / _SITE / f"{path.replace('__', '/')}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return InstalledWheel(
        wheel=WheelFile(name=name, version="1", file=f"{name}.whl", sha256="", path=tree),
        tree=tree,
        record=f"{_SITE}/{name}-1.dist-info/RECORD",
        scripts=(),
        elf=(),
    )


def places(runtime: Runtime, *wheels: InstalledWheel) -> Places:
    assert runtime.tree is not None
    return find_places([runtime.tree, *(wheel.tree for wheel in wheels)])


def init(root: Path, wheel: InstalledWheel, folder: str) -> None:
    (wheel.tree / _SITE / folder / "__init__.py").write_text("")


def test_parts_of_a_namespace_may_lie_in_both_places(tmp_path: Path, runtime: Runtime) -> None:
    own = wheel(tmp_path, "own", ai__backend__manager__server="")
    below = wheel(tmp_path, "below", ai__backend__common__types="")
    init(tmp_path, own, "ai/backend/manager")
    init(tmp_path, below, "ai/backend/common")
    check_shared_places("service", [own], places(runtime, below))


@pytest.mark.parametrize("owner", ["own", "below"])
def test_a_package_is_found_in_one_place_only(tmp_path: Path, runtime: Runtime, owner: str) -> None:
    own, below = wheel(tmp_path, "own", pack__mine=""), wheel(tmp_path, "below", pack__theirs="")
    init(tmp_path, own if owner == "own" else below, "pack")
    with pytest.raises(PayloadError, match=r"own\.whl: .*pack/mine\.py"):
        check_shared_places("service", [own], places(runtime, below))


def test_the_same_file_may_be_in_both(tmp_path: Path, runtime: Runtime) -> None:
    own, below = wheel(tmp_path, "own", licence="a"), wheel(tmp_path, "below", licence="a")
    check_shared_places("service", [own], places(runtime, below))
    other = wheel(tmp_path, "other", licence="b")
    with pytest.raises(PayloadError, match=r"other\.whl: installs .*licence\.py"):
        check_shared_places("service", [other], places(runtime, below))


def test_a_file_of_the_runtime_itself_counts(tmp_path: Path, runtime: Runtime) -> None:
    assert runtime.tree is not None
    (runtime.tree / _SITE / "licence.py").write_text("a")
    with pytest.raises(PayloadError, match="licence"):
        check_shared_places("service", [wheel(tmp_path, "own", licence="b")], places(runtime))
