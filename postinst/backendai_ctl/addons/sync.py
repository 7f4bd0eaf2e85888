"""Makes a service load the installed add-ons; `addon` and packages call it.

Safe to run again and to kill: an admin's wish is recorded before the file is changed,
a change is recorded after it, and the file changes by rename.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from backendai_ctl.addons.allow import Lists, read_lists, with_lists
from backendai_ctl.addons.decide import Candidate, Decision, decide
from backendai_ctl.addons.driver import Loads, loads, missing_needs
from backendai_ctl.addons.model import Addon, Place, load_addons, named
from backendai_ctl.addons.record import (
    AddonRecord,
    forget_record,
    load_records,
    save_record,
)
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError, SiteError
from backendai_ctl.base.files import Writer, exclusive
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.record import Record

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The tool's dependencies: paths, owner of new files, and receiver of messages."""

    layout: Layout
    writer: Writer
    say: Say
    can_load: Loads = loads

    def missing(self, addon: Addon) -> list[str]:
        """Return what to install for the add-on's hardware."""
        return missing_needs(addon, self.layout.root, self.can_load)

    def candidate(self, addon: Addon, record: AddonRecord | None) -> Candidate:
        """Return the add-on with the state of its hardware."""
        return Candidate(
            addon=addon,
            record=record,
            kinds=addon.kinds(self.layout),
            complete=not self.missing(addon),
        )


def sync_addons(service: str, tool: Tool) -> bool:
    """Make the service's lists match the installed add-ons; return whether they changed.

    Raises SiteError if the service's file is absent or broken; nothing is changed then.
    """
    with _alone(tool):
        return _sync(service, tool)


def enable_addon(name: str, tool: Tool) -> bool:
    """Enable an add-on that was disabled, removed from the list, blocked or held back.

    Raises SiteError if another add-on has its devices, or a wider entry blocks it.
    """
    with _alone(tool):
        addon = named(load_addons(tool.layout), name)
        if addon.place is None:
            return _sync(addon.service, tool)
        place = addon.place
        records = load_records(tool.layout, addon.service)
        path, text = _read(place, tool.layout)
        lists = read_lists(text, place, str(path))
        _refuse_rivals(addon, lists, tool)
        block = tuple(entry for entry in lists.block if entry not in addon.allow)
        if any(replace(lists, block=block).blocks(module) for module in addon.allow):
            raise SiteError(
                [f"{path}: {place.block_key} = {list(block)!r} blocks {addon.name}"],
                hint="take the wider entry out of the list, then run this again",
            )
        record = records.get(addon.name) or AddonRecord.of(addon)
        save_record(tool.layout, tool.writer, replace(record, disabled=False, listed=False))
        if block != lists.block:
            _write(path, with_lists(text, place, replace(lists, block=block)), tool)
        changed = _sync(addon.service, tool)
        return changed or block != lists.block


def disable_addon(name: str, tool: Tool) -> bool:
    """Disable an add-on until it is enabled again; return whether the lists changed.

    Raises SiteError if an entry that is wider than the add-on still allows it, or the service
    has no list to keep it out by.
    """
    with _alone(tool):
        addon = named(load_addons(tool.layout), name)
        if addon.place is None:
            raise SiteError(
                [f"{addon.service} has no list of plug-ins: it loads {name} if it is installed"],
                hint=f"remove its package: {addon.package}",
            )
        record = load_records(tool.layout, addon.service).get(addon.name) or AddonRecord.of(addon)
        save_record(tool.layout, tool.writer, replace(record, disabled=True, listed=False))
        changed = _sync(addon.service, tool)
        path, text = _read(addon.place, tool.layout)
        lists = read_lists(text, addon.place, str(path))
        if lists.has(addon.allow):
            raise SiteError(
                [f"{path}: {addon.place.allow_key} = {list(lists.allow or ())!r} allows {name}"],
                hint="put the packages that you want into the list instead of the wider entry",
            )
        return changed


def state_of(addon: Addon, tool: Tool) -> str:
    """Return one or two words for people: enabled, disabled, blocked, not listed, or the fault."""
    if addon.place is None:
        return "enabled"
    record = load_records(tool.layout, addon.service).get(addon.name)
    try:
        path, text = _read(addon.place, tool.layout)
        lists = read_lists(text, addon.place, str(path))
    except HostError:
        return "not readable"
    except SiteError:
        return "not configured"
    if lists.has(addon.allow):
        return "enabled"
    if record is not None and record.disabled:
        return "disabled"
    return "blocked" if any(map(lists.blocks, addon.allow)) else "not enabled"


@contextlib.contextmanager
def _alone(tool: Tool) -> Iterator[None]:
    tool.writer.ensure_folder(tool.layout.generated)
    with exclusive(tool.layout.generated):
        yield


def _sync(service: str, tool: Tool) -> bool:
    addons = load_addons(tool.layout, service)
    records = load_records(tool.layout, service)
    for addon in addons:
        _make_files(addon, tool)
    changed = False
    for place in _places(addons, records):
        here = [addon for addon in addons if addon.place == place]
        of_place = {name: record for name, record in records.items() if record.place == place}
        changed |= _sync_place(place, here, of_place, tool)
    return changed


def _places(addons: Iterable[Addon], records: Mapping[str, AddonRecord]) -> list[Place]:
    found = [known.place for known in addons] + [known.place for known in records.values()]
    return list(dict.fromkeys(place for place in found if place is not None))


def _sync_place(
    place: Place, addons: list[Addon], records: Mapping[str, AddonRecord], tool: Tool
) -> bool:
    path, text = _read(place, tool.layout)
    lists = read_lists(text, place, str(path))
    candidates = [tool.candidate(addon, records.get(addon.name)) for addon in addons]
    decision = decide(candidates, records, lists)
    changed = decision.lists != lists
    if changed:
        _write(path, with_lists(text, place, decision.lists), tool)
    for record in decision.records:
        if record != records.get(record.name):
            save_record(tool.layout, tool.writer, record)
    for name in decision.gone:
        forget_record(tool.layout, name)
    _report(candidates, records, decision, tool)
    return changed


def _report(
    candidates: Iterable[Candidate],
    before: Mapping[str, AddonRecord],
    decision: Decision,
    tool: Tool,
) -> None:
    """Report changes once: what the last run reported is not repeated."""
    listed = {record.name for record in decision.records if record.listed}
    for candidate in candidates:
        addon = candidate.addon
        if addon.name in decision.held:
            rival = decision.held[addon.name]
            kinds = ", ".join(candidate.kinds)
            tool.say(
                f"warning: {addon.name} is installed and not enabled: {rival} shows the same kind "
                f"of device ({kinds}). To change that: backendai-ctl addon disable "
                f"{rival}, then backendai-ctl addon enable {addon.name}"
            )
        elif addon.name in listed and not _listed(before, addon.name):
            place = addon.place.config if addon.place else addon.service
            tool.say(f"enabled the add-on {addon.name} in {place}")
            for text in tool.missing(addon):
                tool.say(f"warning: {addon.name} shows no device without {text}")
    for name in decision.gone:
        tool.say(f"disabled the add-on {name}, which is no longer installed")


def _listed(records: Mapping[str, AddonRecord], name: str) -> bool:
    return name in records and records[name].listed


def _refuse_rivals(addon: Addon, lists: Lists, tool: Tool) -> None:
    kinds = set(addon.kinds(tool.layout))
    rivals = [
        rival.name
        for rival in load_addons(tool.layout, addon.service)
        if rival.name != addon.name
        and lists.has(rival.allow)
        and kinds & set(rival.kinds(tool.layout))
    ]
    if rivals:
        raise SiteError(
            [f"{addon.name} and {rivals[0]} show the same kind of device: only one can be enabled"],
            hint=f"first run: backendai-ctl addon disable {rivals[0]}",
        )


def _make_files(addon: Addon, tool: Tool) -> None:
    """Create the add-on's absent files in /etc/backend.ai; from then on they are the admin's.

    A file that was created before and is gone was removed by the admin, and is not recreated.
    """
    for name in addon.files:
        path, record = tool.layout.etc / name, tool.layout.generated / name
        if record.exists() and record.stat().st_size:
            continue
        text = (addon.folder / "files" / name).read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        tool.writer.ensure_folder(tool.layout.etc)
        origin = "found" if path.exists() else "made"
        # Recorded first, like the services' files: see configure.py.
        tool.writer.replace(record, f"{origin} {digest}\n")
        if tool.writer.create(path, text):
            tool.say(f"made {path}")


def _read(place: Place, layout: Layout) -> tuple[Path, str]:
    path = layout.etc / place.config
    try:
        # Bytes, so that an admin's line ends are kept.
        return path, path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise SiteError(
            [f"{path} does not exist, so no add-on is enabled"],
            hint="`backendai-ctl configure` of the service makes it and enables what is installed",
        ) from error
    except UnicodeDecodeError as error:
        raise SiteError([f"{path}: not UTF-8"], hint="correct the file first") from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


def _write(path: Path, text: str, tool: Tool) -> None:
    """Replace the file, and keep its owner and mode, which may be the admin's own.

    A file that nobody else has edited still counts as unedited afterwards.
    """
    status = path.stat()
    record_path = tool.layout.generated / path.name
    record = Record.load(record_path)
    is_ours = record is not None and record.is_unedited(path)
    owner = Owner(uid=status.st_uid, gid=status.st_gid)
    replace(tool.writer, owner=owner, mode=status.st_mode & 0o7777).replace(path, text)
    if record is not None and is_ours:
        left = hashlib.sha256(text.encode()).hexdigest()
        tool.writer.replace(record_path, str(replace(record, left=left)))
