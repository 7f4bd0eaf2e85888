"""Fills the catalogue of images from the configured registry, in a unit of its own.

The registry is on the Internet more often than not: nothing waits for it.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.files import Writer, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.model import Finding, State
from backendai_ctl.seed.session import Filled

UNIT = "backendai-image-rescan.service"
RETRY = "backendai-image-rescan-retry.timer"
_FILE = "images.json"
_MARK = "images"
_COUNT = "SELECT count(*) FROM images WHERE registry = $1"


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The images of one registry in the manager's database."""

    one: Filled

    @property
    def registry(self) -> str:
        """What the release's command calls it."""
        return str(self.one.answers.value(self.one.data.rescan))

    def look(self) -> Finding:
        """Tell whether a scan has found anything yet."""
        at = self.one.marks.get(_MARK)
        if at is not None:
            return Finding(state=State.EXISTS, detail=f"{at} images")
        return Finding(state=State.CREATE, detail=f"scan {self.registry}")

    def scan(self) -> int:
        """Scan, and return the number of images; NotReadyError where there is none."""
        layout = self.one.layout
        save(layout, "running", f"scanning {self.registry}")
        try:
            count = self._scan()
        except NotReadyError as error:
            save(layout, "failed", error.message.partition("\n")[0])
            raise
        self.one.marks.set(_MARK, str(count))
        save(layout, "done", f"{count} images of {self.registry}")
        return count

    def _scan(self) -> int:
        self.one.cli.run("image", "rescan", self.registry)
        count = int(self.one.database.value(_COUNT, self.registry))
        if not count:
            # The command says so in its log, and ends as if all were well.
            raise NotReadyError(
                f"the scan of {self.registry} found no image",
                hint=f"its output is in {self.one.cli.log}; again: backendai-ctl seed rescan",
            )
        return count


def save(layout: Layout, state: str, detail: str) -> None:
    """Keep what the last scan came to."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = json.dumps({"state": state, "detail": detail, "at": at})
    writer = Writer(owner=private_writer().owner, mode=0o644)
    writer.replace(layout.seed_state / _FILE, text + "\n")


def load(layout: Layout) -> dict[str, Any] | None:
    """What the last scan came to; None where there was none."""
    try:
        table = json.loads((layout.seed_state / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return table if isinstance(table, dict) else None
