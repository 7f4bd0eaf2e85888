"""The text that packages ship: read from the project, or described by the target's tool."""

import json
import os
import sys
import tomllib
from pathlib import Path

from builder.base.cache import Cache, key_of
from builder.base.files import hash_file, hash_sources
from builder.base.run import run
from builder.plan.render import COMMAND_TABLE, TOOL_DESCRIPTION, Sources

SOURCE_FOLDERS = ("debian", "rpm", "systemd", "postinst", "docs")
_TOOL = Path("postinst/backendai_ctl/cli.py")
_DESCRIPTION = "tool.json"
_DESCRIBE = Path(__file__).parent / "_describe_tool.py"


def read_sources(project: Path, cache: Cache | None = None) -> Sources:
    """Read every file that a package may ship or render, by its path below the project.

    TOOL_DESCRIPTION has the commands of backendai-ctl, from its own parser, so that manual
    page and completion never lag behind. COMMAND_TABLE has the package of each command of
    `backend.ai`. With a ``cache`` the tool runs once for each state of its files. Raises
    ToolError if the tool cannot be imported.
    """
    found: dict[str, bytes] = {}
    for folder in SOURCE_FOLDERS:
        for path in sorted((project / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[path.relative_to(project).as_posix()] = path.read_bytes()
    if (project / _TOOL).exists():
        found[TOOL_DESCRIPTION] = _describe_tool((project / _TOOL).parent, cache)
    found[COMMAND_TABLE] = json.dumps(_commands(project)).encode()
    return found


def _describe_tool(tool: Path, cache: Cache | None) -> bytes:
    """Return the commands of the tool in the folder ``tool``, which its program prints."""

    def describe() -> bytes:
        command = [sys.executable, "-I", "-B", os.fspath(_DESCRIBE), os.fspath(tool.parent)]
        return run(command, env={"COLUMNS": "80"}).stdout.encode()

    if cache is None:
        return describe()
    key = key_of("tool", sys.version, hash_file(_DESCRIBE), hash_sources(tool))
    folder = cache.derive("tool", key, lambda made: _write(made / _DESCRIPTION, describe()))
    return (folder / _DESCRIPTION).read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _commands(project: Path) -> dict[str, str]:
    """Return each command of `backend.ai`, and the package that has it."""
    found = {}
    for path in sorted((project / "pkgspec/packages").glob("*.toml")):
        service = tomllib.loads(path.read_text(encoding="utf-8")).get("service", {})
        if "command" in service:
            found[str(service["command"])] = path.stem
    return found
