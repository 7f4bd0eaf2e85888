"""A plug-in of pytest for the suite's tests of the command line; copied to the node.

They give each command five seconds, which is a matter of the machine.
"""

import importlib

_COMMAND_S = 90

importlib.import_module("ai.backend.test.utils.cli").run.__kwdefaults__["default_timeout"] = (
    _COMMAND_S
)
