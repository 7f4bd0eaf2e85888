"""Packages for another architecture, packed on this one, and run by an emulator."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from builder.base import elf, run
from builder.base.cache import open_cache
from builder.base.paths import cache_root
from builder.inspect import inspect_package
from builder.runtime.sysroot import make_sysroot
from tests.integration.foreign import FOREIGN, build_foreign
from tests.integration.steps import Steps

pytestmark = [pytest.mark.build, pytest.mark.full]

_PACKAGES = ("backendai-runtime", "backendai-common", "backendai-storage-proxy")
_PREFIX = "opt/backendai"
_IMPORT = "import ai.backend.storage.server, platform; print(platform.machine())"
_IMPORT_TIMEOUT_S = 600


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A service and its runtime, in both formats."""
    out = tmp_path_factory.mktemp("dist")
    build_foreign(out, _PACKAGES, formats="deb,rpm")
    return sorted(path for path in out.iterdir() if path.suffix in (".deb", ".rpm"))


@pytest.fixture(scope="module")
def root(packages: Sequence[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The debs unpacked upon the libraries that they depend on."""
    sysroot = make_sysroot(
        FOREIGN, open_cache(cache_root()), offline=False, further=("libstdc++6",)
    )
    target = tmp_path_factory.mktemp("target") / "root"
    shutil.copytree(sysroot.root, target, symlinks=True)
    for path in packages:
        if path.suffix == ".deb":
            run.run(["dpkg-deb", "--extract", path, target])
    return target


def test_both_formats_name_the_architecture(packages: Sequence[Path]) -> None:
    found = {(path.suffix, inspect_package(path).metadata.arch) for path in packages}
    assert found == {
        (".deb", FOREIGN.value),
        (".deb", "all"),
        (".rpm", FOREIGN.machine),
        (".rpm", "noarch"),
    }


def test_no_program_or_library_is_of_this_host(root: Path) -> None:
    files = elf.scan_tree(root / _PREFIX)
    assert len(files) > 50
    assert {info.machine for _, info in files} == {FOREIGN.elf_machine}


def test_a_server_imports_under_the_interpreter_of_its_packages(root: Path, steps: Steps) -> None:
    """In a root of its own, as the links to the interpreter are absolute."""
    emulator = shutil.which(f"qemu-{FOREIGN.machine}-static")
    if emulator is None or os.geteuid() != 0:
        pytest.skip("needs root, and qemu-user-static")
    shutil.copy(emulator, root / "emulator")
    python = f"/{_PREFIX}/storage-proxy/bin/python"
    with steps("import"):
        limit = ["timeout", str(_IMPORT_TIMEOUT_S)]
        done = run.run([*limit, "chroot", root, "/emulator", python, "-B", "-c", _IMPORT])
    assert done.stdout.split() == [FOREIGN.machine]
