"""The commands of `backendai-ctl`, one module for each subject."""

import importlib
from collections.abc import Iterable

from backendai_ctl.commands.base import Command

# In the order of the manual page. A module is imported when one of its commands is called: all
# of them take half a second.
_MODULES = {
    "configuration": ("configure", "check-config"),
    "service": (
        "wait",
        "stop",
        "check-port",
        "first-start",
        "check-stores",
        "sql",
        "etcd",
        "steps",
    ),
    "rpc": ("close-rpc",),
    "volume": ("volume", "check-mounts"),
    "stores": ("stores",),
    "tls": ("tls",),
    "first_boot": ("first-boot", "prepare-clone"),
    "health": ("status", "summary"),
    "doctor": ("doctor",),
    "answers": ("site",),
    "seed": ("seed",),
    "credentials": ("credentials",),
    "user": ("user",),
    "secrets": ("secrets",),
    "join": ("invite", "join"),
    "addon": ("addon",),
    "upgrade": ("upgrade-check", "upgrade"),
    "backup": ("backup", "restore"),
}


def commands_with(name: str | None) -> tuple[Command, ...]:
    """Return the commands of the module that has the command ``name``, or all of them."""
    module = next((module for module, names in _MODULES.items() if name in names), None)
    return _load(_MODULES if module is None else (module,))


def _load(modules: Iterable[str]) -> tuple[Command, ...]:
    loaded = (importlib.import_module(f"{__name__}.{module}") for module in modules)
    return tuple(command for module in loaded for command in module.COMMANDS)
