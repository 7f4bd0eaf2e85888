"""Where seeding keeps what it knows."""

from pathlib import Path

from backendai_ctl.base.layout import SERVICES, Layout


def prefix(layout: Layout, service: str) -> Path:
    """The private CPython of an installed service."""
    return layout.root / SERVICES.lstrip("/") / service


def data_folder(layout: Layout) -> Path:
    """What is seeded into each service's database; shipped by its package."""
    return layout.root / "usr/lib/backendai/seed"


def state_folder(layout: Layout) -> Path:
    """The state of seeding on this host."""
    return layout.state / "seed"


def waiting_folder(layout: Layout) -> Path:
    """One empty file per service that is to be started once its stores are filled."""
    return state_folder(layout) / "waiting"


def credentials_folder(layout: Layout) -> Path:
    """The first accounts' passwords and keys, for root alone."""
    return layout.state / "credentials"
