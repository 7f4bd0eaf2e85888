"""A site's own folder with toy plug-ins: a hook of the manager, and pages of the storage proxy."""

from collections.abc import Sequence
from pathlib import Path

from tests.helpers.wheelhouse import Recipe

HOOK, PAGES = "backendai-plugin-toy-hook", "backendai-plugin-toy-pages"
HOOK_GROUP, PAGES_GROUP = "backendai_hook_v20", "backendai_storage_manager_webapp_v10"
_HOOK = """
import sys

from ai.backend.common.plugin.hook import HookPlugin


class Plugin(HookPlugin):
    async def init(self, context=None):
        print("toy_hook {version} is loaded", file=sys.stderr, flush=True)

    async def cleanup(self):
        pass

    async def update_plugin_config(self, plugin_config):
        self.plugin_config = plugin_config

    def get_handlers(self):
        return []
"""
_PAGES = """
import sys

from ai.backend.storage.plugin import StorageManagerWebappPlugin
from aiohttp import web


class Plugin(StorageManagerWebappPlugin):
    async def init(self, context=None):
        print("toy_pages {version} is loaded", file=sys.stderr, flush=True)

    async def cleanup(self):
        pass

    async def update_plugin_config(self, plugin_config):
        self.plugin_config = plugin_config

    async def create_app(self, cors_options):
        return web.Application(), []
"""
_FAMILIES = {
    "manager-hooks": f"""
host = "backendai-manager"
package = "backendai-plugin-{{name}}"
group = "{HOOK_GROUP}"
config = "manager.toml"
allow-key = "manager.allowed-plugins"
block-key = "manager.disabled-plugins"
loads-all = true
about = "A hook of the manager of Backend.AI."

[[member]]
name = "toy-hook"
requirement = "toy-hook==1.0"
summary = "a hook for tests"
description = "It does nothing."
plugins = {{ toy = "toy_hook:Plugin" }}
allow = ["toy_hook"]
""",
    "storage-pages": f"""
host = "backendai-storage-proxy"
package = "backendai-plugin-{{name}}"
group = "{PAGES_GROUP}"
about = "Pages of the storage proxy of Backend.AI."

[[member]]
name = "toy-pages"
requirement = "toy-pages==1.0"
summary = "pages for tests"
description = "They show nothing."
plugins = {{ toy = "toy_pages:Plugin" }}
""",
}


def write_site(folder: Path, *, requires: Sequence[str] = ("aiohttp",)) -> Path:
    """Write the folder; ``requires`` is what both wheels depend on."""
    for name in ("families", "wheels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in _FAMILIES.items():
        (folder / "families" / f"{name}.toml").write_text(text)
    for name, group, code in (("toy-hook", HOOK_GROUP, _HOOK), ("toy-pages", PAGES_GROUP, _PAGES)):
        module = name.replace("-", "_")
        points = f"[{group}]\ntoy = {module}:Plugin\n"
        files = {
            f"{module}.py": code.format(version="1.0").encode(),
            f"{module}-1.0.dist-info/entry_points.txt": points.encode(),
        }
        Recipe(name=name, files=files, requires=requires).write(folder / "wheels")
    return folder
