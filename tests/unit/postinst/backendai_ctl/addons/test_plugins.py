"""Plug-ins of services that load what is installed: the manager's lists, and no lists at all."""

import tomllib
from pathlib import Path

import pytest
from backendai_ctl.addons.model import load_addons
from backendai_ctl.addons.sync import Tool, disable_addon, enable_addon, state_of, sync_addons
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout

from builder.base.paths import PKGSPEC
from builder.spec import load_spec
from tests.helpers.plugins import HOOK, PAGES, write_site
from tests.unit.postinst.conftest import caller
from tests.unit.postinst.rendered import render

_MANAGER = "[manager]\n# disabled-plugins = []\nheartbeat = 1  # the admin's\n"


@pytest.fixture
def manager(layout: Layout, tmp_path: Path) -> Path:
    """The manager's configuration, and both plug-ins where their packages put them."""
    packages = load_spec(PKGSPEC, write_site(tmp_path / "site")).packages
    for name in (HOOK, PAGES):
        for entry in packages[name].payload:
            assert entry.source
            target = layout.root / entry.target.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(render(entry.source, packages[name]))
    path = layout.etc / "manager.toml"
    path.write_text(_MANAGER)
    return path


@pytest.fixture
def tool(layout: Layout) -> Tool:
    return Tool(layout=layout, writer=Writer(owner=caller()), say=lambda _text: None)


def state(tool: Tool, name: str) -> str:
    """The state of a plug-in, for people."""
    (addon,) = [addon for addon in load_addons(tool.layout) if addon.name == name]
    return state_of(addon, tool)


def test_installed_is_enabled_and_changes_no_byte(manager: Path, tool: Tool) -> None:
    assert not sync_addons("manager", tool)
    assert manager.read_text() == _MANAGER
    assert state(tool, "toy-hook") == "enabled"


def test_disable_blocks_and_enable_takes_that_back(manager: Path, tool: Tool) -> None:
    assert disable_addon("toy-hook", tool)
    table = tomllib.loads(manager.read_text())["manager"]
    assert table == {"disabled-plugins": ["toy_hook"], "heartbeat": 1}
    assert not sync_addons("manager", tool)
    assert state(tool, "toy-hook") == "disabled"
    assert enable_addon("toy-hook", tool)
    table = tomllib.loads(manager.read_text())["manager"]
    assert "allowed-plugins" not in table
    assert table["disabled-plugins"] == []
    assert state(tool, "toy-hook") == "enabled"


def test_an_allow_list_of_the_admin_gets_it(manager: Path, tool: Tool) -> None:
    manager.write_text('[manager]\nallowed-plugins = ["corp.audit"]\n')
    assert sync_addons("manager", tool)
    table = tomllib.loads(manager.read_text())["manager"]
    assert table["allowed-plugins"] == ["corp.audit", "toy_hook"]
    # Who takes it out of the list does not want it.
    manager.write_text('[manager]\nallowed-plugins = ["corp.audit"]\n')
    assert not sync_addons("manager", tool)
    assert state(tool, "toy-hook") == "not enabled"


def test_what_the_admin_blocks_stays_out(manager: Path, tool: Tool) -> None:
    manager.write_text('[manager]\ndisabled-plugins = ["toy_hook"]\n')
    assert not sync_addons("manager", tool)
    assert state(tool, "toy-hook") == "blocked"


def test_a_service_without_lists(manager: Path, tool: Tool) -> None:
    assert not sync_addons("storage-proxy", tool)
    assert state(tool, "toy-pages") == "enabled"
    assert not enable_addon("toy-pages", tool)
    with pytest.raises(SiteError, match="storage-proxy has no list of plug-ins") as error:
        disable_addon("toy-pages", tool)
    assert error.value.hint == f"remove its package: {PAGES}"
