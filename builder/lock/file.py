"""The lock file: its model, reading and writing.

One file per release and package, both architectures in it: the versions are the
same on both, the files are named per architecture where they differ. It names
files and hashes, no index and no URL.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, StringConstraints

from builder.base.errors import LockError
from builder.base.files import check_file_name
from builder.base.lazy import LazyModule
from builder.base.model import Arch
from builder.base.paths import extra_root
from builder.base.storage import replacing
from builder.spec.types import Strict
from builder.spec.validate import parse_table, read_text, validate

if TYPE_CHECKING:
    import tomlkit
    import tomlkit.items
else:
    tomlkit = LazyModule("tomlkit")

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, AfterValidator(check_file_name)]
_RELOCK = "run 'builder lock'"


class LockedFile(Strict):
    """One file of the index, by its hash."""

    file: FileName
    sha256: Sha256
    size: int = Field(ge=0, description="bytes; 0 where the index does not say")
    arch: Arch | None = None  # None: for every architecture

    @property
    def is_wheel(self) -> bool:
        """Whether it can be installed as it is; otherwise it is an sdist."""
        return self.file.endswith(".whl")


class LockedDistribution(Strict):
    """A distribution at one version, with its file for each architecture."""

    name: str
    version: str
    files: tuple[LockedFile, ...]

    @property
    def pin(self) -> str:
        """The requirement for exactly this version."""
        return f"{self.name}=={self.version}"

    def file_for(self, arch: Arch) -> LockedFile | None:
        """Return the file that ``arch`` installs; None if it installs none."""
        return next((file for file in self.files if file.arch in (None, arch)), None)


class Lock(Strict):
    """All that one package of one release is made from."""

    release: str
    version: str
    package: str
    python: Annotated[str, StringConstraints(pattern=r"^3\.\d+$")]
    requires_python: str
    glibc: str
    inputs: Sha256 = Field(description="of the part of pkgspec/ that the lock was made from")
    wheel: tuple[LockedDistribution, ...] = Field(description="installed")
    build: tuple[LockedDistribution, ...] = Field((), description="to build sdists with")
    sample: tuple[LockedDistribution, ...] = Field((), description="files are taken from these")


def lock_path(root: Path, release: str, package: str) -> Path:
    """Return the path of the lock of this package under ``root`` (``pkgspec/``).

    The site's own folder has the locks of its own packages; a lock of the project comes first.
    """
    name = Path("locks") / release / f"{package}.toml"
    extra = extra_root()
    if extra and (extra / name).is_file() and not (root / name).is_file():
        return extra / name
    return root / name


def load_lock(root: Path, release: str, package: str) -> Lock:
    """Load a lock; raises LockError if it is absent or not a lock."""
    path = lock_path(root, release, package)
    is_own = path.is_relative_to(root)
    label = f"{root.name}/{path.relative_to(root).with_suffix('')}" if is_own else str(path)
    if not path.is_file():
        raise LockError(f"{label}: no lock for this package", hint=_RELOCK)
    text, problems = read_text(path, label)
    lock = None
    if not problems:
        lock, problems = _parse_lock(text, label)
    if lock is None:
        raise LockError("\n".join(problems), hint=_RELOCK)
    return lock


@functools.lru_cache(maxsize=64)
def _parse_lock(text: str, label: str) -> tuple[Lock | None, list[str]]:
    """Parse a lock once for its text: each add-on asks for its host's lock again."""
    table, problems = parse_table(text, label)
    return (None, problems) if problems else validate(Lock, table, label)


def save_lock(root: Path, lock: Lock) -> Path:
    """Write a lock under ``root``, by rename; returns its path."""
    path = root / "locks" / lock.release / f"{lock.package}.toml"
    with replacing(path) as part:
        part.write_text(render_lock(lock), encoding="utf-8")
    return path


def render_lock(lock: Lock) -> str:
    """Render the lock as TOML, in an order that does not change between runs."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Made by 'builder lock'; not edited by hand."))
    for key, value in lock.model_dump(mode="json", by_alias=True).items():
        if isinstance(value, str):
            document.add(key, tomlkit.item(value))
    for key in ("wheel", "build", "sample"):
        entries: tuple[LockedDistribution, ...] = getattr(lock, key)
        if entries:
            tables = tomlkit.aot()
            for entry in sorted(entries, key=lambda entry: entry.name):
                tables.append(_table(entry))
            document.add(key, tables)
    return tomlkit.dumps(document)


def _table(entry: LockedDistribution) -> "tomlkit.items.Table":
    table = tomlkit.table()
    table.add("name", entry.name)
    table.add("version", entry.version)
    files = tomlkit.array()
    for file in sorted(entry.files, key=lambda file: (file.arch or "", file.file)):
        inline = tomlkit.inline_table()
        if file.arch:
            inline.add("arch", file.arch.value)
        inline.update({"file": file.file, "sha256": file.sha256, "size": file.size})
        files.append(inline)
    table.add("files", files.multiline(multiline=True))
    return table
