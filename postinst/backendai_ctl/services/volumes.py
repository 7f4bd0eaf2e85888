"""The volumes of site.toml, and the mount points that services refuse to start without."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.files import Writer, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.mounts import (
    folder_problem,
    is_below,
    list_mounts,
    mount_of,
    planned_mounts,
)
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.base.text import fields_of, lines_of, text_if_any
from backendai_ctl.services.recipe import Recipe

SECTION = "storage"
_NONE = "none"
Say = Callable[[str], None]
_HEAD = "# Made by `backendai-ctl configure`: the volumes of site.toml that the service needs.\n"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One volume as site.toml has it."""

    name: str
    section: str  # storage, or storage.NAME
    path: str
    backend: str
    mount: str  # the answer: a mount point, none, or empty

    @property
    def key(self) -> str:
        """The name of the answer with the path."""
        return f"{self.section}.path"


def volumes_of(site: Site) -> list[Volume]:
    """Return the volumes of site.toml, the first one first."""
    own = _own(site)
    labels = [label for label in site.questions.labels(SECTION) if label != own]
    sections = {own: SECTION, **{label: f"{SECTION}.{label}" for label in labels}}
    return [
        Volume(
            name=name,
            section=section,
            path=str(site[f"{section}.path"]),
            backend=str(site[f"{section}.backend"]),
            mount=str(site[f"{section}.mount"]),
        )
        for name, section in sections.items()
    ]


def _own(site: Site) -> str:
    return site.questions.first.get(SECTION, "")


def check_volume_answers(layout: Layout, site: Site) -> None:
    """Raise SiteError for volumes that are in each other's way."""
    problems = []
    if _own(site) in site.questions.labels(SECTION):
        problems.append(f"[{SECTION}.{_own(site)}]: {_own(site)} is [{SECTION}] itself")
    volumes = volumes_of(site)
    for one, other in combinations(volumes, 2):
        relation = _relation(one.path, other.path)
        if relation:
            problems.append(f"{other.key} = {other.path}: {relation} {one.key}, {one.path}")
    problems += [
        f"{volume.section}.mount = {volume.mount}: must be {volume.path} or a folder above it"
        for volume in volumes
        if volume.mount not in ("", _NONE) and not is_below(volume.path, volume.mount)
    ]
    if problems:
        raise SiteError(
            [f"{layout.site}: {problem}" for problem in problems],
            hint="give each volume a folder of its own, then run this again",
        )


def _relation(one: str, other: str) -> str:
    if one == other:
        return "is the path of"
    if is_below(other, one):
        return "lies in"
    return "contains" if is_below(one, other) else ""


# Which mount point a volume needs, as it was last seen.


def needed_mounts(layout: Layout, site: Site) -> dict[str, str]:
    """Return the mount point that each volume needs, by path; volumes without one are left out.

    An answer decides. Otherwise it is the mount point that /etc/fstab lists, that is mounted now,
    or that was when it was recorded: a mount that is gone stays needed.
    """
    recorded = recorded_mounts(layout)
    mounts, planned = list_mounts(layout), planned_mounts(layout)
    found: dict[str, str] = {}
    for volume in volumes_of(site):
        listed = [point for point in planned if is_below(volume.path, point)]
        mounted = mount_of(mounts, volume.path)
        candidates = [*listed, mounted.at if mounted else "/", recorded.get(volume.path, "/")]
        needed = volume.mount or max(candidates, key=len)
        if needed not in (_NONE, "/"):
            found[volume.path] = needed
    return found


def recorded_mounts(layout: Layout) -> dict[str, str]:
    """Return the mount point that each volume needs, as `configure` recorded it."""
    pairs = (fields_of(line) for line in lines_of(text_if_any(layout.mounts)))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}  # noqa: PLR2004


def unmounted_point(layout: Layout, path: str) -> str:
    """Return the mount point that the volume at ``path`` needs and that is not mounted, if any."""
    point = recorded_mounts(layout).get(path, "")
    return point if point not in {mount.at for mount in list_mounts(layout)} else ""


def describe_volume(
    layout: Layout, volume: Volume, needed: Mapping[str, str], problems: Mapping[str, str]
) -> dict[str, str]:
    """Return the name, path, backend, needed mount point and state of a volume, as texts.

    ``problems`` are those of the needed mounts, which have been asked already.
    """
    path = volume.path
    state = problems.get(path) or ("" if path in needed else folder_problem(layout.place(path)))
    return {
        "name": volume.name,
        "path": path,
        "backend": volume.backend,
        "mount": needed.get(path, ""),
        "state": state or "ok",
    }


def mount_problems(layout: Layout, needed: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what is wrong with the mount of each volume, by path; bounded, as a server may hang.

    The recorded mount points count, unless others are ``needed``. What lies below a mount point
    that is not mounted is not the volume, and is not looked into.
    """
    mounted = {mount.at for mount in list_mounts(layout)}
    problems: dict[str, str] = {}
    for path, point in (recorded_mounts(layout) if needed is None else needed).items():
        if point not in mounted:
            problems[path] = f"{point} is not mounted, so {path} is not the volume"
        elif problem := folder_problem(layout.place(path)):
            problems[path] = f"{path}: {problem}"
    return problems


def check_mounts(layout: Layout, service: str, needed: Mapping[str, str]) -> None:
    """Raise NotReadyError unless every volume is mounted, as ``needed``, and answers."""
    problems = mount_problems(layout, needed)
    if problems:
        points = " ".join(dict.fromkeys(needed[path] for path in problems))
        raise NotReadyError(
            "; ".join(problems.values()),
            hint=f"mount {points}; then, unless it starts by itself: "
            f"systemctl start {unit_of(service)}",
        )


def guard_mounts(layout: Layout, site: Site, recipe: Recipe, say: Say) -> bool:
    """Record the needed mount points, and let the unit need them; return whether it changed.

    systemd starts the unit after the mounts that it knows. A mount that an admin made by hand has
    no unit once it is gone, so the unit checks the recorded ones before each start, too.
    """
    if not recipe.health.volumes:
        return False
    needed = needed_mounts(layout, site)
    _write(layout.mounts, "".join(f"{path} {point}\n" for path, point in needed.items()))
    path = layout.unit_settings(unit_of(recipe.service)) / "50-volumes.conf"
    known, text = text_if_any(path), _drop_in(site, recipe, needed)
    if known == text or (known and not known.startswith(_HEAD)):
        return False  # already as wanted, or the admin's own
    private_writer().ensure_folder(path.parent, mode=0o755)
    _write(path, text)
    if needed:
        points = ", ".join(dict.fromkeys(needed.values()))
        say(f"{unit_of(recipe.service)}: does not start without the mount {points}")
    return True


def _drop_in(site: Site, recipe: Recipe, needed: Mapping[str, str]) -> str:
    # The kinds of the answers allow no character that systemd's settings escape.
    requires = [f"RequiresMountsFor={volume.path}" for volume in volumes_of(site)]
    # As root, since the account may not see the mounts. The unit's view of the file system hides
    # the record, so the command has the mount points as arguments.
    pairs = " ".join(f"{path} {point}" for path, point in needed.items())
    check = f"ExecStartPre=+/usr/bin/backendai-ctl check-mounts {recipe.service} {pairs}"
    lines = ["[Unit]", *requires, *(["", "[Service]", check] if needed else [])]
    return _HEAD + "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    if text_if_any(path) != text:
        Writer(owner=private_writer().owner, mode=0o644).replace(path, text)
