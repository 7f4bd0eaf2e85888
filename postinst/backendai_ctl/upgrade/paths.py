"""Where upgrades keep what they know."""

from pathlib import Path

from backendai_ctl.base.layout import Layout


def upgrade_folder(layout: Layout) -> Path:
    """The state of upgrades on this host."""
    return layout.state / "upgrade"


def log_path(layout: Layout, service: str) -> Path:
    """What the last migration printed; for root alone."""
    return upgrade_folder(layout) / f"{service}.log"


def stopped_note(layout: Layout, service: str) -> Path:
    """Says that the service ran, and was stopped for a migration or to put a dump back."""
    return upgrade_folder(layout) / f"{service}.stopped"


def failure_note(layout: Layout, service: str) -> Path:
    """Why the last upgrade of the service did not end."""
    return upgrade_folder(layout) / f"{service}.failed"


def allow_file(layout: Layout) -> Path:
    """Its presence lets an upgrade go on that would be refused."""
    return layout.etc / "allow-upgrade"
