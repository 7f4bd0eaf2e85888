"""The pieces of a stage: runtime, scripts, samples, single files."""

import base64
import csv
import hashlib
import io
import shutil
import zipfile
from collections.abc import Callable, Collection, Iterable
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
    """Put the bundled CPython at ``prefix``; for the distribution's own, links and settings.

    pip stays behind: what is installed is the package manager's, and no service sees a
    distribution that its lock does not name.
    """
    if runtime.tree is None:
        place_environment(runtime.minor, prefix, PurePosixPath("/usr"))
        return
    link_tree(runtime.tree, prefix, epoch=epoch)
    (prefix / ".complete").unlink(missing_ok=True)
    site = prefix / site_folder(runtime.minor)
    for path in (site / "pip", *site.glob("pip-*")):
        shutil.rmtree(path, ignore_errors=True)


def place_service(runtime: Runtime, prefix: Path, base: PurePosixPath) -> None:
    """Make ``prefix`` a virtual environment upon the runtime at ``base`` (PEP 405).

    The runtime's site-packages come after the service's own, by a path file: the
    distribution's Python shows its own site-packages where ``include-system-site-packages``
    is true, and one layout serves both.
    """
    place_environment(runtime.minor, prefix, base if runtime.tree else PurePosixPath("/usr"))
    site = site_folder(runtime.minor)
    line = f"import site; site.addsitedir({str(base / site)!r})\n"
    write_file(prefix / site / "backendai-runtime.pth", line.encode(), 0o644)


def place_environment(minor: str, prefix: Path, base: PurePosixPath) -> None:
    """Make ``prefix`` an empty virtual environment on the interpreter in ``base``/bin."""
    # Absolute links: an admin may have made any folder on the way a link.
    interpreter = f"python{minor}"
    (prefix / "bin").mkdir(parents=True)
    for name, link in (
        (interpreter, str(base / "bin" / interpreter)),
        ("python3", interpreter),
        ("python", interpreter),
    ):
        (prefix / "bin" / name).symlink_to(link)
    config = f"home = {base / 'bin'}\ninclude-system-site-packages = false\n"
    write_file(prefix / "pyvenv.cfg", config.encode(), 0o644)


def site_folder(minor: str) -> PurePosixPath:
    """Return the folder of a prefix that distributions are installed into."""
    return PurePosixPath(f"lib/python{minor}/site-packages")


def reject_conflict(wheel: InstalledWheel, prefix: Path) -> Clash:
    """Return the handler for a file of ``wheel`` at a place that another file has."""

    def refuse(place: Path) -> None:
        raise PayloadError(
            f"{wheel.wheel.file}: installs {place.relative_to(prefix)}, which the runtime or "
            "another wheel of the lock has with different content",
            hint="leave one of the two out of the lock, or report it to their makers",
        )

    return refuse


def finish_scripts(
    wheel: InstalledWheel, prefix: Path, final: PurePosixPath, pruned: Collection[str] = ()
) -> None:
    """Write the final prefix into the wheel's scripts.

    RECORD gets their new hashes, and loses the files that were pruned.
    """
    if not wheel.scripts and not pruned:
        return
    digests: dict[str, tuple[str, int]] = {}
    for script in wheel.scripts:
        data = write_script(prefix / script, (wheel.tree / script).read_bytes(), final)
        digests[script] = (_record_hash(data), len(data))
    _rewrite_record(
        wheel,
        prefix,
        lambda script, row: [row[0], *map(str, digests[script])] if script in digests else row,
        pruned,
    )


def write_script(place: Path, data: bytes, final: PurePosixPath) -> bytes:
    """Write a script with the final prefix in its first line; returns what was written."""
    first, newline, rest = data.partition(b"\n")
    data = first.replace(PREFIX_MARK.encode(), str(final).encode()) + newline + rest
    write_file(place, data, 0o755)
    return data


def drop_scripts(wheel: InstalledWheel, prefix: Path, pruned: Collection[str] = ()) -> None:
    """Take the wheel's scripts out of the runtime: they run in a service's environment.

    RECORD loses them, and the files that were pruned.
    """
    if not wheel.scripts and not pruned:
        return
    for script in wheel.scripts:
        (prefix / script).unlink(missing_ok=True)  # two wheels may have one
    _rewrite_record(
        wheel, prefix, lambda script, row: None if script in wheel.scripts else row, pruned
    )


def _rewrite_record(
    wheel: InstalledWheel,
    prefix: Path,
    change: Callable[[str, list[str]], list[str] | None],
    pruned: Collection[str],
) -> None:
    """Write RECORD anew, without what was pruned.

    ``change`` gets the path of each script, or the row's own path, and the row.
    """
    record = wheel.tree / wheel.record
    site = PurePosixPath(wheel.record).parent.parent
    up = "/".join([".."] * len(site.parts)) + "/"
    rows = [
        changed
        for row in csv.reader(io.StringIO(record.read_text(encoding="utf-8")))
        if f"{site}/{row[0]}" not in pruned
        and (changed := change(row[0].removeprefix(up), row)) is not None
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
            write_new(target, archive.read(member), 0o644)
            return
        folder = member.removesuffix("*")
        inside = [n for n in names if n.startswith(folder) and "/" not in n[len(folder) :]]
        found = [name for name in inside if name != folder]
        if not found:
            raise PayloadError(f"{wheel.name}: has no files in {folder}, which a [[sample]] names")
        for name in found:
            write_new(target / name.removeprefix(folder), archive.read(name), 0o644)


def write_new(place: Path, content: bytes, mode: int) -> None:
    """Write a file of the payload; PayloadError if its place is taken."""
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
        write_new(place, entry.content or b"", entry.mode)
