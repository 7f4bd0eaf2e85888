"""Writes a lock in the form that other installers read: PEP 751.

A lock has no addresses, and neither has this: files are named by their paths in a mirror that
``builder fetch --mirror`` made, beside which the written file belongs.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from builder.base.lazy import LazyModule
from builder.base.model import Arch
from builder.base.storage import replacing
from builder.lock.file import Lock, LockedDistribution, LockedFile

if TYPE_CHECKING:
    import tomlkit
    import tomlkit.items
else:
    tomlkit = LazyModule("tomlkit")

_VERSION = "1.0"
_TOOL = "backendai-builder"
_FOLDER = "wheels"  # of a mirror


def pylock_name(lock: Lock) -> str:
    """Return the file name: the specification allows no further dot in it."""
    return f"pylock.{lock.release.replace('.', '-')}-{lock.package}.toml"


def render_pylock(lock: Lock) -> str:
    """Render the distributions that the package installs, for both architectures."""
    document = tomlkit.document()
    document.add("lock-version", tomlkit.item(_VERSION))
    document.add("environments", tomlkit.item([_environment(arch) for arch in Arch]))
    document.add("requires-python", tomlkit.item(lock.requires_python))
    document.add("created-by", tomlkit.item(_TOOL))
    packages = tomlkit.aot()
    for distribution in sorted(lock.wheel, key=lambda distribution: distribution.name):
        packages.append(_package(distribution))
    document.add("packages", packages)
    return tomlkit.dumps(document)


def write_pylock(lock: Lock, folder: Path) -> Path:
    """Write the lock into ``folder``, by rename; returns its path."""
    path = folder / pylock_name(lock)
    with replacing(path) as part:
        part.write_text(render_pylock(lock), encoding="utf-8")
    return path


def _package(distribution: LockedDistribution) -> "tomlkit.items.Table":
    table = tomlkit.table()
    table.add("name", distribution.name)
    table.add("version", distribution.version)
    marker = _marker(distribution.files)
    if marker:
        table.add("marker", marker)
    # A wheel for one architecture, an sdist for the other: an installer takes what fits.
    wheels = [_file(file) for file in distribution.files if file.is_wheel]
    sdists = [_file(file) for file in distribution.files if not file.is_wheel]
    if sdists:
        table.add("sdist", sdists[0])
    if wheels:
        rows = tomlkit.array()
        rows.extend(wheels)
        table.add("wheels", rows.multiline(multiline=True))
    return table


def _file(file: LockedFile) -> "tomlkit.items.InlineTable":
    row = tomlkit.inline_table()
    row.update({"name": file.file, "path": f"{_FOLDER}/{file.file}"})
    if file.size:
        row.update({"size": file.size})
    hashes = tomlkit.inline_table()
    hashes.update({"sha256": file.sha256})
    row.add("hashes", hashes)
    return row


def _environment(arch: Arch) -> str:
    return f"sys_platform == 'linux' and platform_machine == '{arch.machine}'"


def _marker(files: Iterable[LockedFile]) -> str:
    """Return the marker of a distribution that not every architecture installs."""
    archs = {file.arch for file in files}
    if None in archs or archs >= set(Arch):
        return ""
    named = sorted(arch.machine for arch in archs if arch)
    return " or ".join(f"platform_machine == '{machine}'" for machine in named)
