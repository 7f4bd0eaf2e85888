"""The units that packages ship."""

from pathlib import Path

from tests.unit.postinst.rendered import payload_text, spec

FOLDER = "/usr/lib/systemd/system"


def shipped_units() -> dict[str, str]:
    """Every unit of every package, by its file name."""
    return {
        Path(entry.target).name: payload_text(entry.target)
        for package in spec().packages.values()
        for entry in package.payload
        if entry.target.startswith(f"{FOLDER}/")
    }
