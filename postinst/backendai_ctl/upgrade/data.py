"""What a service's package says of its own upgrades."""

from dataclasses import dataclass

from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import shipped_table
from backendai_ctl.seed.data import version_numbers


@dataclass(frozen=True, kw_only=True)
class UpgradeData:
    """One service's: SQL that counts what an upgrade would disturb, and where one stops."""

    running: str = ""
    # Revisions after which the migrations go on in a transaction of their own.
    stops: tuple[str, ...] = ()


def load_upgrade_data(layout: Layout, service: str) -> UpgradeData:
    """The shipped data; a package that ships none has nothing to say."""
    path = layout.upgrade_data(service)
    if not path.exists():
        return UpgradeData()
    with shipped_table(path, f"backendai-{service}") as table:
        return UpgradeData(**{**table, "stops": tuple(table.get("stops", ()))})


def upstream(version: str) -> str:
    """The release in a package's version: 26.9.6 of 26.9.6-1, 26.9.0rc1 of 26.9.0~rc1-1."""
    return version.rpartition("-")[0].replace("~", "") or version


def is_older(version: str, other: str) -> bool:
    """Whether ``version`` comes before ``other``; a candidate of a release counts as it."""
    return version_numbers(upstream(version)) < version_numbers(upstream(other))


def line_of(version: str) -> str:
    """The line of a release: 26.9 of 26.9.6."""
    return ".".join(map(str, version_numbers(upstream(version))[:2]))
