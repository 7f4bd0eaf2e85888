"""The commands of a guide: each block of shell, by the comment that is its first line."""

import re
from collections.abc import Mapping
from pathlib import Path

from builder.base.paths import PROJECT

_BLOCK = re.compile(r"^```sh\n# (?P<title>[^\n]+)\n(?P<script>.*?)^```$", re.MULTILINE | re.DOTALL)
HIGH_AVAILABILITY = PROJECT / "docs/guides/high-availability.md"


def read_blocks(guide: Path) -> Mapping[str, str]:
    """The scripts of ``guide`` by their titles, each of which stands once."""
    found = _BLOCK.findall(guide.read_text(encoding="utf-8"))
    blocks = dict(found)
    assert len(blocks) == len(found), "two blocks have one title"
    return blocks
