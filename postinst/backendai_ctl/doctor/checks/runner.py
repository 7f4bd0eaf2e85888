"""Checks Docker volumes that a service fills once: an empty one breaks every session."""

from collections.abc import Iterator
from pathlib import Path

from backendai_ctl.base.errors import HostError
from backendai_ctl.base.systemd import command, unit_of
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error
from backendai_ctl.services.health import DockerVolume


def check_runner_volumes(view: HostView) -> Iterator[Finding]:
    """Check that each existing volume that a recipe describes is complete."""
    if not view.is_root:
        return
    for recipe in view.recipes:
        for volume in recipe.health.docker_volumes:
            yield from _look_at(view, recipe.service, volume)


def _look_at(view: HostView, service: str, volume: DockerVolume) -> Iterator[Finding]:
    for folder in sorted(_volumes_folder(view).glob(f"{volume.pattern}/_data")):
        missing = [name for name in volume.holds if not _is_filled(folder / name)]
        if not missing:
            continue
        name = folder.parent.name

        def remove(name: str = name) -> str:
            return _remove(view, service, name)

        has_sessions = bool(_sessions(view, volume))
        yield error(
            f"lacks {' and '.join(missing)}: sessions cannot start, though the agent is up",
            f"Docker's volume {name}",
            f"end the sessions, then: systemctl stop {unit_of(service)}; "
            f"docker volume rm {name}; systemctl start {unit_of(service)}",
            value=f"{sum(1 for _ in folder.iterdir())} entries",
            fix=None if has_sessions else remove,
        )


def _volumes_folder(view: HostView) -> Path:
    done = view.run(["docker", "info", "--format", "{{.DockerRootDir}}"])
    root = done.stdout.strip() if done.status == 0 else ""
    return view.path(root or "/var/lib/docker") / "volumes"


def _is_filled(path: Path) -> bool:
    if path.is_dir():
        return any(path.iterdir())
    return path.is_file() and path.stat().st_size > 0


def _sessions(view: HostView, volume: DockerVolume) -> list[str]:
    """Return the containers of sessions; if Docker does not answer, assume that there are some."""
    done = view.run(["docker", "ps", "-aq", "--filter", f"label={volume.session_label}"])
    return done.stdout.split() if done.status == 0 else ["unknown"]


def _remove(view: HostView, service: str, name: str) -> str:
    unit = unit_of(service)
    was_active = view.is_active(service)
    removal = ["docker", "volume", "rm", name]
    if was_active:
        _control(view, "stop", unit)
    done = view.run(removal)
    if done.status != 0:
        raise HostError(f"`{' '.join(removal)}`: {done.stderr.strip()}")
    if was_active:
        _control(view, "start", unit)
    return f"removed {name}" + (f" and started {unit} again, which fills it" if was_active else "")


def _control(view: HostView, action: str, unit: str) -> None:
    problem = view.control(action, unit)
    if problem:
        raise HostError(f"`{' '.join(command(action, unit))}`: {problem}")
