"""What the prune rules take of a wheel, and what becomes of it in a package."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from builder.base.errors import PayloadError, ToolError
from builder.index.uv import uv_path
from builder.spec.prune import PruneRule
from builder.stage.prune import describe_pruned, prune_wheel
from builder.wheels.install import InstalledWheel
from builder.wheels.model import WheelFile
from tests.helpers.builds import build_project, write_buildable

_SITE = PurePosixPath("lib/python3.13/site-packages")


def installed(tmp_path: Path, files: Mapping[str, bytes]) -> InstalledWheel:
    for name, data in files.items():
        path = tmp_path / "tree" / _SITE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    wheel = WheelFile(name="a", version="1", file="a.whl", sha256="0" * 64, path=tmp_path / "a.whl")
    return InstalledWheel(
        wheel=wheel,
        tree=tmp_path / "tree",
        record=f"{_SITE}/a.dist-info/RECORD",
        scripts=(),
        elf=(),
    )


def rule(name: str, *match: str, modules: bool = False) -> PruneRule:
    table = {"name": name, "reason": "none", "match": match, "modules": modules}
    return PruneRule.model_validate(table)


def test_bytecode_goes_with_its_source_and_licences_stay(tmp_path: Path) -> None:
    files = {
        "a/tests/test_a.py": b"12345",
        "a/tests/__pycache__/test_a.cpython-313.pyc": b"123",
        "a/__init__.py": b"",
        "a/__pycache__/__init__.cpython-313.pyc": b"",
        "a/a.pyi": b"1",
        "a.dist-info/licenses/tests/LICENSE": b"",
    }
    rules = [rule("stubs", "**/*.pyi"), rule("tests", "**/tests/**", modules=True)]
    pruned = prune_wheel(installed(tmp_path, files), _SITE, rules)
    assert pruned.rules == {
        f"{_SITE}/a/tests/test_a.py": "tests",
        f"{_SITE}/a/tests/__pycache__/test_a.cpython-313.pyc": "tests",
        f"{_SITE}/a/a.pyi": "stubs",
    }
    assert describe_pruned([pruned]) == [
        {"rule": "stubs", "files": 1, "bytes": 1},
        {"rule": "tests", "files": 2, "bytes": 8},
    ]


@pytest.mark.parametrize("name", ["a/a.py", "a/a.cpython-313-x86_64-linux-gnu.so"])
def test_a_rule_that_takes_a_module_by_mistake_ends_the_build(tmp_path: Path, name: str) -> None:
    with pytest.raises(PayloadError, match=f"'wide' matches the module .*{name}"):
        prune_wheel(installed(tmp_path, {name: b""}), _SITE, [rule("wide", "**/a*")])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    try:
        uv_path()
    except ToolError:
        pytest.skip("needs uv")
    write_buildable(tmp_path)
    return tmp_path


def site_of(root: Path) -> Path:
    stages = (root / "cache/derived/stage").glob("*/root/opt/backendai/service/lib/*/site-packages")
    (site,) = stages
    return site


def test_a_package_lacks_what_was_pruned_and_says_so(root: Path) -> None:
    text = (
        '[[rule]]\nname = "server"\nreason = "none"\nmodules = true\n'
        'match = ["example/server.py"]\n'
        '[[rule]]\nname = "other"\nreason = "none"\nmatch = ["nothing"]\n'
    )
    (root / "pkgspec/prune.toml").write_text(text, encoding="utf-8")
    build_project(root, "example-service")
    (site,) = (root / "cache/derived/stage").glob(
        "*/root/opt/backendai/service/lib/*/site-packages"
    )
    assert not (site / "example/server.py").exists()
    bytecode = (site / "example-service.bytecode").read_bytes()
    assert b"example/__pycache__/__init__." in bytecode
    assert b"example/__pycache__/server." not in bytecode
    (record,) = site.glob("*.dist-info/RECORD")
    listed = [row[0] for row in csv.reader(record.read_text(encoding="utf-8").splitlines())]
    assert "example/__init__.py" in listed
    assert "example/server.py" not in listed
    assert all((site / name).exists() for name in listed)
    (info,) = (root / "cache/derived/stage").glob("*/root/usr/share/doc/example-service/*.json")
    (pruned,) = json.loads(info.read_bytes())["pruned"]
    assert (pruned["rule"], pruned["files"]) == ("server", 2)


def test_another_rule_is_another_package(root: Path) -> None:
    build_project(root, "example-service")
    text = '[[rule]]\nname = "stubs"\nreason = "none"\nmatch = ["*.pyi"]\n'
    (root / "pkgspec/prune.toml").write_text(text, encoding="utf-8")
    assert not any(built.artifact.reused for built in build_project(root, "example-service"))


def test_a_folder_in_which_nothing_is_left_is_not_packed(root: Path) -> None:
    text = '[[rule]]\nname = "all"\nreason = "none"\nmodules = true\nmatch = ["example/**"]\n'
    (root / "pkgspec/prune.toml").write_text(text, encoding="utf-8")
    build_project(root, "example-service")
    (site,) = (root / "cache/derived/stage").glob(
        "*/root/opt/backendai/service/lib/*/site-packages"
    )
    assert not (site / "example").exists()
