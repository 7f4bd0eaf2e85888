"""The pieces of a stage: runtime, scripts, samples, single files."""

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from builder.base.errors import PayloadError
from builder.plan import Entry
from builder.runtime.model import Runtime
from builder.spec.schema import PayloadKind
from builder.stage.libraries import Binary
from builder.stage.linking import Clash, link_tree, write_file
from builder.wheels.install import InstalledWheel
from builder.wheels.split import PREFIX_MARK


def below(root: Path, target: PurePosixPath) -> Path:
    """Return the place in the stage of a path of the target."""
    return root / target.relative_to("/")


def place_runtime(runtime: Runtime, prefix: Path, epoch: int) -> None:
    """Put at ``prefix`` the bundled CPython, or links and settings for the distribution's own."""
    if runtime.tree is not None:
        link_tree(runtime.tree, prefix, epoch=epoch)
        (prefix / ".complete").unlink(missing_ok=True)
        return
    # The layout of a virtual environment, at its final place: CPython reads pyvenv.cfg
    # beside the folder of the name that it was started by (PEP 405).
    interpreter = f"python{runtime.minor}"
    (prefix / "bin").mkdir(parents=True)
    for name, link in (
        (interpreter, f"/usr/bin/{interpreter}"),
        ("python3", interpreter),
        ("python", interpreter),
    ):
        (prefix / "bin" / name).symlink_to(link)
    config = "home = /usr/bin\ninclude-system-site-packages = false\n"
    write_file(prefix / "pyvenv.cfg", config.encode(), 0o644)


def reject_conflict(wheel: InstalledWheel, prefix: Path) -> Clash:
    """Return the handler for a file of ``wheel`` at a place that another file has."""

    def refuse(place: Path) -> None:
        raise PayloadError(
            f"{wheel.wheel.file}: installs {place.relative_to(prefix)}, which the runtime or "
            "another wheel of the lock has with different content",
            hint="leave one of the two out of the lock, or report it to their makers",
        )

    return refuse


def finish_scripts(wheel: InstalledWheel, prefix: Path, final: PurePosixPath) -> None:
    """Write the final prefix into the wheel's scripts, and their new hashes into RECORD."""
    if not wheel.scripts:
        return
    digests: dict[str, tuple[str, int]] = {}
    for script in wheel.scripts:
        data = (wheel.tree / script).read_bytes()
        first, newline, rest = data.partition(b"\n")
        data = first.replace(PREFIX_MARK.encode(), str(final).encode()) + newline + rest
        write_file(prefix / script, data, 0o755)
        digests[script] = (_record_hash(data), len(data))
    record = wheel.tree / wheel.record
    site = PurePosixPath(wheel.record).parent.parent
    up = "/".join([".."] * len(site.parts))
    renamed = {f"{up}/{script}": digest for script, digest in digests.items()}
    rows = [
        [row[0], *map(str, renamed[row[0]])] if row[0] in renamed else row
        for row in csv.reader(io.StringIO(record.read_text(encoding="utf-8")))
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_file(prefix / wheel.record, text.getvalue().encode(), 0o644)


def _record_hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


def wheel_binaries(wheels: Iterable[InstalledWheel]) -> list[Binary]:
    """Return the programs and libraries of all wheels."""
    return [
        Binary(owner=wheel.wheel.file, path=path, info=info)
        for wheel in wheels
        for path, info in wheel.elf
    ]


def extract_sample(wheel: Path, member: str, target: Path) -> None:
    """Extract ``member`` from a wheel; a trailing ``/*`` means the files of that folder."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        if not member.endswith("/*"):
            if member not in names:
                raise PayloadError(
                    f"{wheel.name}: has no {member}, which a [[sample]] names",
                    hint="the release has moved or renamed it: fix the package's [[sample]]",
                )
            _write_new(target, archive.read(member), 0o644)
            return
        folder = member.removesuffix("*")
        inside = [n for n in names if n.startswith(folder) and "/" not in n[len(folder) :]]
        found = [name for name in inside if name != folder]
        if not found:
            raise PayloadError(f"{wheel.name}: has no files in {folder}, which a [[sample]] names")
        for name in found:
            _write_new(target / name.removeprefix(folder), archive.read(name), 0o644)


def _write_new(place: Path, content: bytes, mode: int) -> None:
    if place.exists():
        raise PayloadError(
            f"{place.name}: the payload has a file at this place already: {place}",
            hint="an entry or sample of the package would replace a wheel's file or another entry",
        )
    write_file(place, content, mode)


def place_entry(entry: Entry, root: Path) -> None:
    """Put one entry of the payload at its place."""
    place = below(root, entry.target)
    if entry.kind is PayloadKind.DIR:
        place.mkdir(parents=True, exist_ok=True)
    elif entry.kind is PayloadKind.SYMLINK:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(entry.link or "")
    else:
        _write_new(place, entry.content or b"", entry.mode)
