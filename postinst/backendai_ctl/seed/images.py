"""Fills the catalogue of images from the configured registries, in a unit of its own.

Registries are usually on the Internet, so nothing waits for them.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.files import Writer, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.registries.ask import Outcome, ask_registry
from backendai_ctl.registries.model import Registry
from backendai_ctl.registries.trust import read_ca
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.seed.steps.registries import scan_mark
from backendai_ctl.services.authorities import system_bundle

UNIT = "backendai-image-rescan.service"
RETRY = "backendai-image-rescan-retry.timer"
_FILE = "images.json"
_COUNT = "SELECT count(*) FROM images WHERE registry = $1"


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The images of all registries of site.toml in the manager's database."""

    database: SeededDatabase

    @property
    def registries(self) -> dict[str, Registry]:
        """The registries that the release's command can scan, by the name that it uses."""
        return {
            registry.name: registry
            for registry in reversed(self.database.registries)
            if not registry.is_hub
        }

    def unscanned(self) -> list[str]:
        """Return the names of the registries in which no scan has found an image yet."""
        return [
            name for name in self.registries if self.database.marks.get(scan_mark(name)) is None
        ]

    def scan(self) -> str:
        """Scan each registry and return what was found; NotReadyError if one has no image."""
        layout = self.database.layout
        found: list[str] = []
        failures: list[NotReadyError] = []
        for name, registry in self.registries.items():
            save(layout, "running", f"scanning {name}")
            try:
                count = self._scan(name, registry)
            except NotReadyError as error:
                failures.append(error)
                continue
            self.database.marks.set(scan_mark(name), str(count))
            found.append(f"{count} images of {name}")
        messages = [error.message.partition("\n")[0] for error in failures]
        summary = "; ".join([*messages, *found])
        save(layout, "failed" if failures else "done", summary)
        if failures:
            raise NotReadyError(summary, hint=failures[0].hint)
        return summary

    def _scan(self, name: str, registry: Registry) -> int:
        try:
            self.database.scan_cli.run("image", "rescan", name)
        except NotReadyError as error:
            raise self._explained(registry, error) from error
        count = int(self.database.connection.value(_COUNT, name))
        if not count:
            # The command reports this in its log only, and exits with success.
            raise self._explained(
                registry,
                NotReadyError(
                    f"the scan of {name} found no image",
                    hint=f"see {self.database.scan_cli.log}; again: backendai-ctl seed rescan",
                ),
            )
        return count

    def _explained(self, registry: Registry, error: NotReadyError) -> NotReadyError:
        """Return the reason why the registry does not answer, else ``error`` itself."""
        if registry.is_local:
            return error
        for says, remedy in why(self.database.layout, registry):
            return NotReadyError(f"the scan of {registry.name} failed: {says}", hint=remedy)
        return error


def why(layout: Layout, registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield each reason why a registry does not answer, with its remedy; nothing if it answers."""
    try:
        verdict = ask_registry(registry, read_ca(layout, registry), bundle=system_bundle(layout))
    except SiteError as error:
        yield error.problems[0], f"correct {registry.section}.ca in site.toml"
        return
    if verdict.outcome is not Outcome.FINE:
        yield verdict.says, verdict.remedy


def save(layout: Layout, state: str, detail: str) -> None:
    """Save the result of the last scan."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = json.dumps({"state": state, "detail": detail, "at": at})
    writer = Writer(owner=private_writer().owner, mode=0o644)
    writer.replace(layout.seed_state / _FILE, text + "\n")


def load(layout: Layout) -> dict[str, Any] | None:
    """Return the result of the last scan; None if there was none."""
    try:
        table = json.loads((layout.seed_state / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return table if isinstance(table, dict) else None
