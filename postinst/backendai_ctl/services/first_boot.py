"""Makes hosts of one image distinct: secrets are created at the first boot, never cloned.

The packages' scripts leave one empty file for each service in the folder ``Layout.first_boot``.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.recipe import ConfigRecipe, installed_services, load_recipe
from backendai_ctl.services.record import Record

Say = Callable[[str], None]


def configure_waiting(
    layout: Layout, configure: Callable[[str], None], say: Say
) -> dict[str, TargetError]:
    """Configure each service that waits for the first boot; return the failures.

    A service waits until its configuration is complete, so the next boot repeats a run that
    was interrupted or refused an answer.
    """
    failed: dict[str, TargetError] = {}
    installed = installed_services(layout)
    for note in sorted(layout.first_boot.glob("[!.]*")):
        if note.name not in installed:
            note.unlink(missing_ok=True)  # the service was removed again before the image booted
            continue
        try:
            configure(note.name)
        except TargetError as error:
            failed[note.name] = error
            say(f"{note.name}: not configured: {error.message}")
        else:
            note.unlink(missing_ok=True)
    return failed


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The files that belong to this host alone, below its folders."""

    secrets: tuple[Path, ...]
    configurations: tuple[Path, ...]  # generated, and not edited since
    edited: tuple[Path, ...]
    state: tuple[Path, ...]

    @property
    def is_there(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.secrets or self.configurations or self.state)


def find_identity(layout: Layout) -> Identity:
    """Return the files that a clone of this host must not have."""
    files = [layout.etc / config.file for config in _configs(layout)]
    present = [path for path in files if path.exists()]
    made = [path for path in present if _is_as_made(layout, path)]
    return Identity(
        secrets=tuple(_below(layout.secrets)),
        configurations=tuple(made),
        edited=tuple(path for path in present if path not in made),
        state=tuple(_state(layout)),
    )


def remove_identity(layout: Layout, identity: Identity) -> Sequence[str]:
    """Remove the identity, so that the next boot configures; return the services that then wait.

    The notes are written first: if killed in between, the next run or boot completes the work.
    """
    services = installed_services(layout)
    writer = private_writer()
    writer.ensure_folder(layout.first_boot, mode=0o755)
    for service in services:
        writer.replace(layout.first_boot / service, "")
    for path in identity.configurations:
        path.unlink(missing_ok=True)
        (layout.generated / path.name).unlink(missing_ok=True)
    for path in (*identity.state, *identity.secrets):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return services


def _configs(layout: Layout) -> Iterator[ConfigRecipe]:
    for service in installed_services(layout):
        yield from load_recipe(layout, service).configs


def _is_as_made(layout: Layout, path: Path) -> bool:
    record = Record.load(layout.generated / path.name)
    return record is not None and record.is_unedited(path)


def _state(layout: Layout) -> Iterator[Path]:
    """Yield what this host has made for itself beside secrets and configurations."""
    kept = (layout.credentials, layout.seed_state, layout.upgrades, layout.join, layout.tls)
    for folder in kept:
        yield from _below(folder)
    yield from sorted(layout.etc.glob("*.new"))
    yield from sorted((layout.state / "agent/var").glob("last_registry.*"))


def _below(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
