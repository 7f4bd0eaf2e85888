"""Data of packages that are published: read by this tool until their new versions are unpacked.

dnf installs backendai-common before the services, and asks it then what their upgrade would do.
"""

import shutil

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.data import load_seed_data, seeded_services
from backendai_ctl.services.recipe import installed_services, load_recipe

from builder.base.paths import PROJECT

FORMER = PROJECT / "tests" / "unit" / "postinst" / "former"
RECIPES = sorted(FORMER.glob("26.9.6-1/recipes/*.toml"))


def install_former(layout: Layout, version: str) -> None:
    """The data of all services as the packages of a version brought it."""
    for name, folder in (("recipes", layout.recipes), ("seed", layout.seed_data)):
        shutil.copytree(FORMER / version / name, folder, dirs_exist_ok=True)


def test_the_data_that_seeding_reads(layout: Layout) -> None:
    install_former(layout, "26.9.6-1")
    assert seeded_services(layout) == ["appproxy-coordinator", "manager"]
    for service in seeded_services(layout):
        load_seed_data(layout, service)
    line = load_seed_data(layout, "manager").profile("26.9.6")
    assert [(grant.table, grant.key) for grant in line.grants] == [("domains", "name")]
    assert line.registries
    assert line.registries.since == (24, 9)


@pytest.mark.parametrize("service", [path.stem for path in RECIPES])
def test_a_recipe(layout: Layout, service: str) -> None:
    install_former(layout, "26.9.6-1")
    assert len(installed_services(layout)) == len(RECIPES)
    assert load_recipe(layout, service).service == service
