"""Decides which add-ons a service loads. Pure: the host's state comes in as arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from backendai_ctl.addons.allow import Lists
from backendai_ctl.addons.model import Addon
from backendai_ctl.addons.record import AddonRecord


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An installed add-on, with the state of its hardware."""

    addon: Addon
    record: AddonRecord | None
    kinds: tuple[str, ...]  # of devices, as the admin's file may choose
    complete: bool  # all needs of its hardware are met


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The resulting lists and records."""

    lists: Lists
    records: tuple[AddonRecord, ...]
    held: Mapping[str, str]  # name of a waiting add-on to name of the add-on that has its devices
    gone: tuple[str, ...]


def decide(
    candidates: Sequence[Candidate], records: Mapping[str, AddonRecord], lists: Lists
) -> Decision:
    """Enable new add-ons, skip those that an admin disabled or removed, drop uninstalled ones.

    The service refuses to start if two add-ons show one kind of device. Of two, the one whose
    hardware is complete comes first, then the one that is enabled already, then the first by
    name: so the order of installation does not matter.
    """
    wanted = [candidate for candidate in candidates if _is_wanted(candidate, lists)]
    wanted.sort(
        key=lambda candidate: (
            not candidate.complete,
            not _was_listed(candidate),
            candidate.addon.name,
        )
    )
    taken: dict[str, str] = {}
    held: dict[str, str] = {}
    enabled: list[Candidate] = []
    for candidate in wanted:
        rivals = [taken[kind] for kind in candidate.kinds if kind in taken]
        if rivals:
            held[candidate.addon.name] = rivals[0]
        else:
            taken.update(dict.fromkeys(candidate.kinds, candidate.addon.name))
            enabled.append(candidate)
    names = {candidate.addon.name for candidate in enabled}
    installed = {candidate.addon.name for candidate in candidates}
    kept = [record for name, record in records.items() if name not in installed]
    return Decision(
        lists=_lists(candidates, names, kept, lists),
        records=tuple(
            _record(candidate, candidate.addon.name in names, held) for candidate in candidates
        ),
        held=held,
        gone=tuple(record.name for record in kept),
    )


def _was_listed(candidate: Candidate) -> bool:
    return candidate.record is not None and candidate.record.listed


def _is_wanted(candidate: Candidate, lists: Lists) -> bool:
    if candidate.record is not None and candidate.record.disabled:
        return False
    if any(lists.blocks(module) for module in candidate.addon.allow):
        return False  # the admin decided so
    return not _was_listed(candidate) or lists.has(candidate.addon.allow)


def _record(candidate: Candidate, is_enabled: bool, held: Mapping[str, str]) -> AddonRecord:
    record = candidate.record or AddonRecord.of(candidate.addon)
    # An add-on that is held back is retried each time; one that the admin removed is not.
    listed = is_enabled or (record.listed and candidate.addon.name not in held)
    place = candidate.addon.place
    assert place is not None
    return replace(record, place=place, allow=candidate.addon.allow, listed=listed)


def _lists(
    candidates: Sequence[Candidate],
    enabled: set[str],
    gone: Sequence[AddonRecord],
    lists: Lists,
) -> Lists:
    if not candidates and lists.allow is None:
        return lists  # this tool never added an entry, or the admin removed the list
    if lists.allow is None and all(candidate.addon.loads_all for candidate in candidates):
        off = [m for c in candidates if c.record and c.record.disabled for m in c.addon.allow]
        return replace(lists, block=(*lists.block, *(m for m in off if not lists.blocks(m))))
    wanted = [
        m
        for candidate in candidates
        if candidate.addon.name in enabled
        for m in candidate.addon.allow
    ]
    unwanted = {
        m
        for candidate in candidates
        if candidate.addon.name not in enabled
        for m in candidate.addon.allow
    }
    unwanted |= {module for record in gone for module in record.allow}
    kept = [module for module in lists.allow or () if module not in unwanted - set(wanted)]
    return replace(lists, allow=(*kept, *(module for module in wanted if module not in kept)))
