"""Puts the bytecode of a package's wheels into one archive.

For each file, dpkg makes, flushes, renames and lists it: a node's packages have 11,000 files
of bytecode in 2,400 folders of their own, which is four of ten of all their entries.
"""

import marshal
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from builder.base.bytecode import compile_tree
from builder.stage import _bytecode_loader as loader
from builder.stage.linking import files_below, remove_empty, write_file

LOADER = Path(loader.__file__)
_MODULE = "_backendai_bytecode"
_FOLDER = "__pycache__"
# Version 3 and later mark what else in this process holds an object, so the bytes would
# depend on what was made before.
_MARSHAL_VERSION = 2


def place_loader(site: Path, python: Path) -> None:
    """Put what loads from archives into the runtime's folder of distributions.

    Its own bytecode, by ``python``, is a file: no archive can be read before.
    """
    with TemporaryDirectory() as made:
        write_file(Path(made, f"{_MODULE}.py"), LOADER.read_bytes(), 0o644)
        compile_tree(python, Path(made), jobs=1)
        for path in files_below(Path(made)):
            write_file(site / path, Path(made, path).read_bytes(), 0o644)
    line = f"import {_MODULE}; {_MODULE}.install()\n"
    write_file(site / "backendai-bytecode.pth", line.encode(), 0o644)


def archive_bytecode(site: Path, package: str) -> None:
    """Move all bytecode below a folder of distributions into the archive of ``package``.

    The same files give the same bytes. Nothing is written if there is no bytecode.
    """
    paths = sorted(_bytecode_below(site))
    if not paths:
        return
    index: dict[str, tuple[int, int]] = {}
    offset = 0
    for path in paths:
        size = (site / path).stat().st_size
        index[path] = (offset, size)
        offset += size
    head = marshal.dumps(index, _MARSHAL_VERSION)
    length = len(head).to_bytes(loader.LENGTH_BYTES, "little")
    archive = site / f"{package}{loader.SUFFIX}"
    with archive.open("xb") as file:
        file.write(loader.MAGIC + length + head)
        for path in paths:
            file.write((site / path).read_bytes())
            (site / path).unlink()
    archive.chmod(0o644)
    remove_empty(site, paths)


def _bytecode_below(site: Path) -> list[str]:
    return [
        path
        for path in files_below(site)
        if path.endswith(".pyc") and PurePosixPath(path).parent.name == _FOLDER
    ]
