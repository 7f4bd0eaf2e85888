"""A site's own packages: added to the project's, or refused with the reason."""

from pathlib import Path

import pytest

from builder.base.errors import SpecError
from builder.base.paths import PKGSPEC
from builder.lock.file import lock_path
from builder.spec import load_spec
from tests.helpers.plugins import HOOK, HOOK_GROUP, PAGES, PAGES_GROUP, write_site


def _head(host: str, group: str) -> str:
    """How the file of a family of this host begins."""
    return f'host = "backendai-{host}"\npackage = "backendai-plugin-{{name}}"\ngroup = "{group}"'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site's folder with two families."""
    return write_site(tmp_path / "site")


def change(site: Path, file: str, before: str, after: str) -> None:
    """Replace a text in a family's file."""
    path = site / "families" / f"{file}.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def problems(site: Path) -> str:
    """What is wrong, in lines."""
    with pytest.raises(SpecError) as error:
        load_spec(PKGSPEC, site)
    return "\n".join(error.value.problems)


def test_a_plug_in_is_a_package_of_every_release_that_has_its_host(site: Path) -> None:
    spec = load_spec(PKGSPEC, site)
    assert spec.own == {HOOK, PAGES}
    for release in spec.releases.values():
        assert (HOOK in release.packages) == ("backendai-manager" in release.packages)
    hook = spec.packages[HOOK]
    assert hook.addon
    assert (hook.addon.host, hook.addon.service) == ("backendai-manager", "manager")
    assert hook.depends_release == ("backendai-manager",)
    assert [entry.target for entry in hook.payload] == [
        "/usr/lib/backendai/plugins/manager/toy-hook.toml"
    ]
    assert hook.deb.scripts.postrm == "debian/addon.postrm.sh.j2"
    assert load_spec(PKGSPEC).own == frozenset()


def test_each_host_has_a_trigger_of_its_own(site: Path) -> None:
    packages = load_spec(PKGSPEC, site).packages
    for name in ("manager", "storage-proxy", "webserver"):
        interest = packages[f"backendai-{name}"].deb.triggers_interest
        assert interest == (f"/usr/lib/backendai/plugins/{name}",)
    assert len(packages["backendai-agent"].deb.triggers_interest) == 2


def test_a_family_may_be_for_some_lines(site: Path) -> None:
    name, *_ = load_spec(PKGSPEC).releases
    change(site, "manager-hooks", "loads-all", f'releases = ["{name}"]\nloads-all')
    releases = load_spec(PKGSPEC, site).releases.values()
    assert [release.name for release in releases if HOOK in release.packages] == [name]
    change(site, "manager-hooks", f'"{name}"', '"1.0"')
    assert "'releases' names '1.0', which is no release line" in problems(site)


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        (
            "manager-hooks",
            'host = "backendai-manager"',
            'host = "backendai-manger"',
            "'host' names 'backendai-manger', which has no service",
        ),
        (
            "manager-hooks",
            'host = "backendai-manager"',
            'host = "backendai-halfstack"',
            "'host' names 'backendai-halfstack', which has no Python",
        ),
        ("manager-hooks", 'block-key = "manager.disabled-plugins"\n', "", "belong together"),
        ("manager-hooks", 'allow = ["toy_hook"]\n', "", "each member needs 'allow'"),
        ("storage-pages", "about", "abouts", "unknown key 'abouts' (did you mean 'about'?)"),
        (
            "storage-pages",
            _head("storage-proxy", PAGES_GROUP),
            _head("manager", HOOK_GROUP),
            f"the entry point 'toy' is that of {HOOK}, too",
        ),
        (
            "storage-pages",
            'name = "toy-pages"',
            'name = "toy-hook"',
            f"{HOOK} is in another family, too",
        ),
        ("storage-pages", 'name = "toy-pages"', 'name = "mock"', "is called 'mock'"),
    ],
)
def test_what_is_refused(site: Path, file: str, before: str, after: str, message: str) -> None:
    change(site, file, before, after)
    found = problems(site)
    assert message in found
    assert str(site / "families") in found


def test_a_folder_without_families(tmp_path: Path) -> None:
    assert f"{tmp_path}: has no families/*.toml" in problems(tmp_path)


def test_a_lock_of_the_site_lies_in_its_folder(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDER_PKGSPEC_EXTRA", str(site))
    own = site / "locks" / "26.9" / f"{HOOK}.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert lock_path(PKGSPEC, "26.9", HOOK) == own
    (own.parent / "backendai-manager.toml").touch()
    assert lock_path(PKGSPEC, "26.9", "backendai-manager").is_relative_to(PKGSPEC)
