"""Which release is installed, and the lines of data that it takes."""

import json
import os
from pathlib import Path

import pytest
from backendai_ctl.answers.resolve import Answers, resolve_tree
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site, new_site
from backendai_ctl.base.errors import RecipeError
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.data import installed_version, load_seed_data
from backendai_ctl.seed.tree import leaves
from backendai_ctl.services.recipe import Recipe, load_recipe
from backendai_ctl.services.release import find_version, newest_line, version_numbers
from backendai_ctl.stores.revisions import collect

from builder.base.paths import PROJECT
from builder.spec import Spec

MANAGER = "backend.ai-manager"
MODEL = "ai.backend.manager.config.unified:ManagerUnifiedConfig"


def install(layout: Layout, folder: str) -> None:
    """The metadata's folder of a release, in the manager's CPython."""
    site = layout.root / "opt/backendai/manager/lib/python3.11/site-packages"
    (site / folder).mkdir(parents=True)


@pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("backend.ai_manager-23.9.10.dist-info", "23.9.10"),  # as wheels were named once
        ("backend_ai_manager-26.3.3.dist-info", "26.3.3"),
        ("Backend.AI_manager-26.9.0rc1.dist-info", "26.9.0rc1"),
        ("backend.ai_manager_other-1.dist-info", None),
        ("backend.ai_common-26.3.3.dist-info", None),
    ],
)
def test_the_release_is_read_from_its_metadata(
    layout: Layout, folder: str, version: str | None
) -> None:
    install(layout, folder)
    assert find_version(layout, "manager", MANAGER) == version


@pytest.mark.parametrize("versions", [("26.4.16", "26.9.6"), ("26.9.6", "26.4.16")])
def test_of_two_releases_the_one_that_came_last_is_installed(
    layout: Layout, versions: tuple[str, str]
) -> None:
    """As in rpm's scriptlets, which run before the former release's files are removed."""
    site = layout.root / "opt/backendai/manager/lib/python3.13/site-packages"
    folders = [site / f"backend_ai_manager-{version}.dist-info" for version in versions]
    former, latter = (folder / "METADATA" for folder in folders)
    for folder in folders:
        folder.mkdir(parents=True)
    former.touch()
    while not latter.exists() or latter.stat().st_ctime_ns == former.stat().st_ctime_ns:
        latter.touch()
    os.utime(latter, (0, 0))  # packages have one time for all their files
    assert find_version(layout, "manager", MANAGER) == versions[1]
    latter.unlink()
    assert find_version(layout, "manager", MANAGER) == versions[0]


def test_a_line_holds_until_a_newer_one_begins() -> None:
    lines = ["25.12", "23.09"]
    for version, line in (
        ("23.9.0", "23.09"),
        ("25.6.17", "23.09"),
        ("25.12.1", "25.12"),
        ("26.9.6", "25.12"),
        ("23.3.12", None),
    ):
        assert newest_line(lines, version_numbers, version) == line


def recipe_of(layout: Layout, version: str | None) -> Recipe:
    if version:
        install(layout, f"backend.ai_manager-{version}.dist-info")
    return load_recipe(layout, "manager")


@pytest.mark.parametrize(
    ("version", "model", "is_quiet"),
    [("23.9.10", None, False), ("25.19.2", MODEL, True), ("26.9.6", MODEL, True)],
)
def test_a_file_has_what_its_line_adds(
    layout: Layout, version: str, model: str | None, is_quiet: bool
) -> None:
    config = recipe_of(layout, version).configs[0]
    assert config.model == model
    assert ("otel.enabled" in config.settings) is is_quiet
    assert "manager.service-addr" in config.settings
    assert "manager.num-proc" in config.remove


def test_where_no_release_is_known_the_newest_line_holds(layout: Layout) -> None:
    assert recipe_of(layout, None).configs[0].model == MODEL


@pytest.mark.parametrize(
    ("version", "key", "removed"),
    [
        ("26.4.16", "agent.scaling-group", False),
        ("26.8.3", "agent.initial-resource-group-name", True),
        ("26.9.6", "agent.initial-resource-group-name", True),
    ],
)
def test_an_agent_has_its_resource_group_under_the_name_that_its_release_reads(
    layout: Layout, version: str, key: str, removed: bool
) -> None:
    """Newer agents refuse to start with the former name, older ones ignore the new one."""
    recipe = PROJECT / "postinst/services/agent/recipe.toml"
    (layout.recipes / "agent.toml").write_text(recipe.read_text())
    folder = layout.prefix("agent") / "lib/python3.13/site-packages"
    (folder / f"backend_ai_agent-{version}.dist-info").mkdir(parents=True)
    config, _ = load_recipe(layout, "agent").configs  # the other one is the watcher's
    names = {"agent.scaling-group", "agent.initial-resource-group-name"}
    assert names & config.settings.keys() == {key}
    assert ("agent.scaling-group" in config.remove) is removed


@pytest.fixture
def answers(layout: Layout, store: SecretStore) -> Answers:
    """What a single node answers."""
    layout.secrets.mkdir(parents=True)
    layout.site.write_text(new_site(layout, {}))
    return Answers(site=load_site(layout), secrets=store)


@pytest.mark.parametrize(("version", "wants"), [("23.9.10", True), ("25.19.2", False)])
def test_an_older_manager_finds_a_storage_proxy_in_etcd(
    layout: Layout, answers: Answers, version: str, wants: bool
) -> None:
    recipe = recipe_of(layout, version)
    found = dict(leaves(resolve_tree(answers, recipe.etcd)))
    assert "config/redis/addr" in found
    # Of a release of 23.09 alone: later ones have their registries in the database.
    assert ("config/docker/registry/cr.backend.ai" in found) is wants
    assert (found.get("volumes/default_host") == "local:volume1") is wants
    assert ("volumes/proxies/local/secret" in found) is wants


def test_every_registry_is_in_the_etcd_of_an_old_manager(
    layout: Layout, store: SecretStore
) -> None:
    layout.secrets.mkdir(parents=True)
    layout.site.write_text(
        '[registry.lab]\nurl = "https://lab:5000"\nprojects = "a, b"\n'
        'user = "kim"\npassword = "x"\n'
    )
    old = Answers(site=load_site(layout), secrets=store)
    found = dict(leaves(resolve_tree(old, recipe_of(layout, "23.9.10").etcd)))
    key = "config/docker/registry/lab%3A5000"
    assert {name: text for name, text in found.items() if name.startswith(key)} == {
        key: "https://lab:5000",
        f"{key}/type": "docker",
        f"{key}/project": "a,b",
        f"{key}/username": "kim",
        f"{key}/password": "x",
    }
    assert found["config/docker/registry/cr.backend.ai"] == "https://cr.backend.ai"
    assert "config/docker/registry/cr.backend.ai/username" not in found


def test_those_keys_are_the_storage_proxys_own(layout: Layout, answers: Answers) -> None:
    """Of two packages on one cluster the second finds them as it would make them."""
    recipe = PROJECT / "postinst/services/storage-proxy/recipe.toml"
    (layout.recipes / "storage-proxy.toml").write_text(recipe.read_text())
    own = resolve_tree(answers, load_recipe(layout, "storage-proxy").etcd)
    ours = resolve_tree(answers, recipe_of(layout, "23.9.10").etcd)
    assert ours["volumes"] == own["volumes"]


def test_every_release_that_is_built_can_be_filled(layout: Layout, real_spec: Spec) -> None:
    folder = layout.root / "usr/lib/backendai/seed"
    folder.mkdir(parents=True)
    shipped = PROJECT / "postinst/services/manager/seed.toml"
    (folder / "manager.toml").write_text(shipped.read_text())
    data = load_seed_data(layout, "manager")
    for release in real_spec.releases.values():
        assert "users" in data.profile(release.version).fixtures
    with pytest.raises(RecipeError, match=r"23\.3\.12 is older than what can be seeded"):
        data.profile("23.3.12")
    with pytest.raises(RecipeError, match=r"backend\.ai-manager is not in"):
        installed_version(layout, data)
    install(layout, "backend_ai_manager-26.3.3.dist-info")
    assert installed_version(layout, data) == "26.3.3"


def test_a_database_has_some_revisions_ahead(tmp_path: Path) -> None:
    scripts = {"a": None, "b": "a", "c": "a", "d": ("b", "c"), "e": "d", "side": "a"}
    for name, down in scripts.items():
        written = json.dumps(down) if not isinstance(down, tuple) else repr(down)
        text = f'revision = "{name}"\ndown_revision = {written.replace("null", "None")}\n'
        (tmp_path / f"{name}_x.py").write_text(text)
    release = collect(tmp_path)
    assert release.known == set(scripts)
    assert release.heads == {"e", "side"}
    every = sorted(scripts)
    assert release.ahead(every, ["d"]) == ["e", "side"]
    assert release.ahead(every, ["side", "b"]) == ["c", "d", "e"]
    assert release.ahead(["e", "of another release", "c"], ["a"]) == ["e", "c"]
    assert release.ahead(every, []) == every
    assert release.ahead(every, ["e", "side"]) == []
