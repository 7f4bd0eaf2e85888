"""A runtime as an inventory sees it."""

from pathlib import Path, PurePosixPath

from builder.base.model import Arch, RuntimeChoice, host_arch
from builder.runtime.model import Runtime

PREFIX = PurePosixPath("/opt/backendai/own")


def runtime_at(tree: Path | None, python: Path, arch: Arch | None = None) -> Runtime:
    return Runtime(
        provider=RuntimeChoice.SOURCE,
        version="3.13.15",
        arch=arch or host_arch(),
        origin="https://example.org/Python-3.13.15.tar.xz",
        sha256="ab" * 32,
        key="k",
        tree=tree,
        python=python,
        glibc="2.28",
        options={"built-on": "debian 12"},
    )
