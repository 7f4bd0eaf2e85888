"""Release lines with the entries of a changelog."""

from datetime import UTC, datetime
from typing import Any

from builder.spec import ReleaseSpec

RUNTIME, SERVICE = "backendai-runtime", "backendai-manager"
FIRST = {"version": "26.9.6", "revision": 1, "day": "2026-11-23", "changes": ["First packages."]}


def line(*entries: dict[str, Any], name: str = "26.9", version: str = "26.9.6") -> ReleaseSpec:
    whole = next(entry for entry in entries if "packages" not in entry)
    return ReleaseSpec.model_validate(
        {
            "name": name,
            "version": version,
            "revision": whole["revision"],
            "index-until": datetime(2026, 11, 23, tzinfo=UTC),
            "packages": [RUNTIME, SERVICE],
            "changelog": entries,
        }
    )
