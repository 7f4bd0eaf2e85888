"""The parts of a release's own installer that change stores and files, as hashes.

Seeding and recipes do by data what the installer does by code. A person reviews each part
once, and records that the packages do the same, or why not. A release whose installer has
a new part is not built before that part is reviewed.
"""

import ast
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from builder.base.errors import LockError
from builder.base.lazy import LazyModule
from builder.base.storage import replacing
from builder.spec import ReleaseSpec

if TYPE_CHECKING:
    import tomlkit
else:
    tomlkit = LazyModule("tomlkit")

DISTRIBUTION = "backend-ai-install"  # as locks name it
_PACKAGE = "ai/backend/install"
_CODE = f"{_PACKAGE}/context.py"
_CLASSES = ("Context", "PackageContext")  # the second inherits from the first
# The steps that seed the stores and write files; starting the stores is our own matter.
_ROOTS = ("configure", "populate_images")
_DATA = {"fixtures": (".json",), "configs": (".toml", ".conf", ".ini")}
_DIGITS = 16
_HEAD = """\
What the installer of this release does: written by 'builder installer --accept', once it
is clear what the packages have to do for it. `builder installer` compares."""


def read_parts(wheel: Path) -> dict[str, str]:
    """Read the installer's parts and their hashes: steps, fixtures and samples.

    Raises LockError if the wheel has no such installer.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            parts = dict(_steps(archive.read(_CODE).decode()))
            for folder, endings in _DATA.items():
                parts |= _files(archive, folder, endings)
    except (KeyError, ValueError, SyntaxError, zipfile.BadZipFile) as error:
        raise LockError(f"{wheel}: not an installer as it is known here: {error}") from error
    return dict(sorted(parts.items()))


def _files(archive: zipfile.ZipFile, folder: str, endings: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in archive.namelist():
        path = PurePosixPath(name)
        if path.parent == PurePosixPath(_PACKAGE, folder) and path.suffix in endings:
            data = archive.read(name)
            if path.suffix == ".json":  # its layout does not matter
                data = json.dumps(json.loads(data), sort_keys=True).encode()
            found[f"{folder}/{path.name}"] = _hash(data)
    return found


def _steps(source: str) -> Iterator[tuple[str, str]]:
    """Yield every function that the installer's main steps reach, without its comments."""
    lines = source.splitlines()
    functions = {
        f"{group.name}.{function.name}": function
        for group in ast.parse(source).body
        if isinstance(group, ast.ClassDef) and group.name in _CLASSES
        for function in group.body
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    left, seen = list(_ROOTS), set[str]()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        for group in _CLASSES:
            function = functions.get(f"{group}.{name}")
            if function is not None:
                left += _calls(function)
                yield f"steps/{group}.{name}", _hash(_code(lines, function).encode())
    if not seen & {name.partition(".")[2] for name in functions}:
        raise KeyError(_ROOTS[0])


def _calls(function: ast.AST) -> list[str]:
    return [
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]


def _code(lines: list[str], function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the lines of code: equal in every version of Python, unlike `ast.dump`."""
    own = [line.strip() for line in lines[function.lineno - 1 : function.end_lineno]]
    return "\n".join(line for line in own if line and not line.startswith("#"))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def known_path(root: Path, release: str) -> Path:
    """Return the path of the record of reviewed parts under ``root`` (``pkgspec/``)."""
    return root / "installers" / f"{release}.toml"


def load_known(root: Path, release: str) -> dict[str, str]:
    """Load the reviewed parts; none if there is no such file."""
    path = known_path(root, release)
    if not path.is_file():
        return {}
    table = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    return {str(name): str(value) for name, value in table.items()}


def save_known(root: Path, release: str, parts: Mapping[str, str]) -> Path:
    """Record that these parts are reviewed; returns the path of the file."""
    document = tomlkit.document()
    for line in _HEAD.splitlines():
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    for name, value in parts.items():
        document.add(tomlkit.key(name), value)
    path = known_path(root, release)
    with replacing(path) as part:
        part.write_text(tomlkit.dumps(document), encoding="utf-8")
    return path


def new_parts(known: Mapping[str, str], parts: Mapping[str, str]) -> list[str]:
    """Return the differences between the installer and the reviewed parts, one line each."""
    words = [
        f"{name}: {'changed' if name in known else 'new'}"
        for name, value in parts.items()
        if known.get(name) != value
    ]
    return words + [f"{name}: gone" for name in known if name not in parts]


def check_installer(root: Path, release: ReleaseSpec, wheel: Path) -> None:
    """Raise LockError if the release's installer has a part that is not reviewed."""
    found = new_parts(load_known(root, release.name), read_parts(wheel))
    if found:
        raise LockError(
            f"the installer of {release.version} does what nobody has looked at:\n"
            + "\n".join(found),
            hint="let the packages do the same, or give a reason in pkgspec/installers/;"
            f" then run: builder installer --release {release.name} --accept"
            " (--against LINE: what differs from another line's)",
        )
