"""Small CPython trees: enough layout to be prepared, with this Python inside.

``bin/python3.X`` hands over to the interpreter that runs the tests, so a tree is of
its version; all else is done to them as to a real one.
"""

import io
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from builder.base.files import hash_file
from builder.base.model import Arch, host_arch
from builder.runtime.model import RuntimeRequest
from builder.runtime.pins import Pins, StandalonePin, asset_stem
from builder.runtime.prepared import minor_of

VERSION = ".".join(map(str, sys.version_info[:3]))
MINOR = minor_of(VERSION)
HOST = host_arch()
FOREIGN = Arch.ARM64 if HOST is Arch.AMD64 else Arch.AMD64
TAG = "20260814"
FLAVOUR = "install_only_stripped"


def files_of(version: str = VERSION, *, interpreter: str = sys.executable) -> dict[str, bytes]:
    """The content of a tree by path."""
    minor = minor_of(version)
    library = f"lib/python{minor}"
    header = f'#define PY_VERSION_HEX 0\n#define PY_VERSION     "{version}"\n'
    return {
        f"bin/python{minor}": f'#!/bin/sh\nexec {interpreter} "$@"\n'.encode(),
        "bin/pip": b"#!/install/bin/python3\n",
        f"include/python{minor}/patchlevel.h": header.encode(),
        f"{library}/os.py": b"name = 'posix'\n",
        f"{library}/json/__init__.py": b"def loads(text):\n    return text\n",
        f"{library}/test/test_os.py": b"assert True\n",
    }


def write_tree(folder: Path, version: str = VERSION) -> Path:
    """A tree at ``folder``, as a user's folder would be."""
    for name, content in files_of(version).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name.startswith("bin/") else 0o644)
    (folder / "bin" / "python3").symlink_to(f"python{minor_of(version)}")
    return folder


def pack_tree(files: dict[str, bytes], top: str = "python") -> bytes:
    """A tar.gz of ``files`` below ``top``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{top}/{name}" if top else name)
            info.size = len(content)
            info.mode = 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Release:
    """A folder in the shape of the release tree, with the pins that go with it."""

    folder: Path
    pins: Pins

    def pin(self, arch: Arch) -> StandalonePin:
        """The pin of this architecture."""
        return next(pin for pin in self.pins.standalone if pin.arch is arch)

    def asset(self, arch: Arch) -> Path:
        """The file of this architecture's asset."""
        return self.folder / TAG / self.pin(arch).asset


def make_release(folder: Path, version: str = VERSION, content: bytes | None = None) -> Release:
    """Write assets of both architectures; ``content`` replaces the usual one."""
    made = []
    for arch in (HOST, FOREIGN):
        asset = folder / TAG / f"{asset_stem(version, TAG, arch, FLAVOUR)}.tar.gz"
        asset.parent.mkdir(parents=True, exist_ok=True)
        files = {**files_of(version), "lib/arch.txt": arch.encode()}
        asset.write_bytes(pack_tree(files) if content is None else content)
        made.append(
            StandalonePin(
                version=version,
                sha256=hash_file(asset),
                tag=TAG,
                arch=arch,
                flavour="install_only_stripped",
                asset=asset.name,
            )
        )
    return Release(folder=folder, pins=Pins(standalone=tuple(made)))


def make_request(arch: Arch = HOST, **options: object) -> RuntimeRequest:
    """A request for this Python's minor."""
    values: dict[str, object] = {
        "minor": MINOR,
        "requires_python": f"=={MINOR}.*",
        "release": "26.9.6",
        "arch": arch,
        **options,
    }
    return RuntimeRequest(**values)  # type: ignore[arg-type]
