"""A service is data: one file in pkgspec/, one folder in postinst/services/."""

from pathlib import Path

import pytest

from builder.base.errors import SpecError
from builder.base.model import Arch, PackageFormat
from builder.base.paths import PROJECT
from builder.plan import PlanInput, plan_package
from builder.plan.model import PackagePlan
from builder.plan.sources import read_sources
from builder.spec import load_spec
from tests.helpers.toy import FOLDER, PACKAGE, copy_with_toy

_TOY = """
name = "backendai-toy"
summary = "counts what passes by"
description = "A service of a test."
depends-common = true

[service]
name = "toy"
command = "toy"
units = ["backendai-toy.service"]
"""
_RECIPE = """
service = "toy"
listens = { file = "toy.toml", key = "toy.address" }

[[config]]
file = "toy.toml"
template = "toy/toy.toml"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project's data with one more service."""
    copy_with_toy(tmp_path, {PACKAGE: _TOY, f"{FOLDER}/recipe.toml": _RECIPE})
    return tmp_path


def plan(project: Path) -> PackagePlan:
    """The plan of the toy service in the copy."""
    spec = load_spec(project / "pkgspec")
    release = spec.release("26.9")
    given = PlanInput(project=spec.project, release=release, sources=read_sources(project))
    (package,) = spec.select(release, ["toy"])
    return plan_package(package, None, Arch.AMD64, given)


def test_a_service_needs_its_data_and_nothing_else(project: Path) -> None:
    planned = plan(project)
    content = {str(entry.target): (entry.content or b"").decode() for entry in planned.entries}
    assert set(content) >= {
        "/usr/lib/systemd/system/backendai-toy.service",
        "/usr/lib/tmpfiles.d/backendai-toy.conf",
        "/usr/lib/backendai/dispatch.d/toy",
        "/usr/lib/backendai/recipes/toy.toml",
    }
    assert content["/usr/lib/backendai/recipes/toy.toml"] == _RECIPE
    unit = content["/usr/lib/systemd/system/backendai-toy.service"]
    assert "ConditionPathExists=/etc/backend.ai/toy.toml" in unit
    scripts = {fmt: sorted(planned.formats[fmt].scripts) for fmt in PackageFormat}
    assert scripts == {
        PackageFormat.DEB: ["postinst", "postrm", "preinst", "prerm"],
        PackageFormat.RPM: ["post", "posttrans", "postun", "pre", "preun"],
    }
    assert "backendai-toy.service" in planned.formats[PackageFormat.DEB].scripts["postinst"]


def test_what_lies_in_its_folder_takes_the_place_of_what_is_for_all(project: Path) -> None:
    own = project / f"{FOLDER}/unit.service"
    own.write_text("[Service]\nExecStart=/bin/true\n")
    content = {str(entry.target): entry.content for entry in plan(project).entries}
    assert content["/usr/lib/systemd/system/backendai-toy.service"] == own.read_bytes()


def test_what_the_package_names_itself_wins(project: Path) -> None:
    package = project / PACKAGE
    package.write_text(
        f"{_TOY}\n[[payload]]\nsource = 'systemd/limits.conf'\n"
        "target = '/usr/lib/tmpfiles.d/backendai-toy.conf'\n"
        "[deb]\nscripts = { prerm = 'debian/common.prerm.sh.j2' }\n"
    )
    planned = plan(project)
    content = {str(entry.target): entry.content for entry in planned.entries}
    limits = (PROJECT / "systemd/limits.conf").read_bytes()
    assert content["/usr/lib/tmpfiles.d/backendai-toy.conf"] == limits
    assert "{% include" not in planned.formats[PackageFormat.DEB].scripts["prerm"]
    scripts = sorted(planned.formats[PackageFormat.DEB].scripts)
    assert scripts == ["postinst", "postrm", "preinst", "prerm"]


@pytest.mark.parametrize("line", ['config = ["toy.toml"]', "listens = true", "registries = true"])
def test_a_fact_of_the_recipe_is_not_written_twice(project: Path, line: str) -> None:
    (project / PACKAGE).write_text(f"{_TOY}{line}\n")
    with pytest.raises(SpecError, match=r"is written in the service's recipe\.toml"):
        load_spec(project / "pkgspec")


def test_a_broken_recipe_is_named(project: Path) -> None:
    (project / f"{FOLDER}/recipe.toml").write_text("[[config]]\n")
    with pytest.raises(SpecError, match=r"postinst/services/toy/recipe\.toml: 'file'"):
        load_spec(project / "pkgspec")
