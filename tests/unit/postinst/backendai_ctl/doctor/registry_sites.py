"""Answers about a registry, and what the check finds in them."""

from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks.registries import check_registries

from tests.unit.postinst.backendai_ctl.registries.hub import PASSWORD
from tests.unit.postinst.host_views import host_view, said


def site(layout: Layout, *lines: str) -> None:
    """A site.toml whose registry has these answers."""
    layout.site.write_text("\n".join(["[registry]", 'projects = "stable"', *lines]) + "\n")


def lines_of(layout: Layout) -> list[str]:
    """What the check finds."""
    return said(check_registries(host_view(layout)))


def login(password: str = PASSWORD) -> tuple[str, str]:
    """The user whom the registries of these tests know."""
    return 'user = "kim"', f'password = "{password}"'
