"""The data that a service's package ships about its upgrades."""

from dataclasses import dataclass

from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import shipped_table
from backendai_ctl.seed.data import version_numbers


@dataclass(frozen=True, kw_only=True)
class UpgradeData:
    """SQL that counts what an upgrade of one service would disturb, and where migrations stop."""

    running: str = ""
    # Revisions after which the migrations continue in a transaction of their own.
    stops: tuple[str, ...] = ()


def load_upgrade_data(layout: Layout, service: str) -> UpgradeData:
    """Load the shipped data; empty data if the package ships none."""
    path = layout.upgrade_data(service)
    if not path.exists():
        return UpgradeData()
    with shipped_table(path, f"backendai-{service}") as table:
        return UpgradeData(**{**table, "stops": tuple(table.get("stops", ()))})


def upstream(version: str) -> str:
    """Return the release in a package's version: 26.9.6 of 26.9.6-1, 26.9.0rc1 of 26.9.0~rc1-1."""
    return version.rpartition("-")[0].replace("~", "") or version


def is_older(version: str, other: str) -> bool:
    """Whether ``version`` is older than ``other``; a release candidate counts as its release."""
    return version_numbers(upstream(version)) < version_numbers(upstream(other))


def line_of(version: str) -> str:
    """Return the line of a release: 26.9 of 26.9.6."""
    return ".".join(map(str, version_numbers(upstream(version))[:2]))
