"""The validator of JSON Schemas, without what only another process of ours needs of it.

jsonschema's checks of formats import ``rfc3987_syntax`` where it is installed, and that compiles
forty grammars at its import: two seconds of the processor in each worker, for a check that no
schema here asks for. So its place is taken by a module that imports it at the first call.
"""

import importlib
import sys
from types import ModuleType

_GRAMMARS = "rfc3987_syntax"


def _is_valid_syntax(rule: str, text: str) -> bool:
    """Check a text as the real function does, which is imported now."""
    if getattr(sys.modules.get(_GRAMMARS), "is_valid_syntax", None) is _is_valid_syntax:
        del sys.modules[_GRAMMARS]
    real = importlib.import_module(_GRAMMARS)
    return bool(real.is_valid_syntax(rule, text))


if _GRAMMARS not in sys.modules:
    sys.modules[_GRAMMARS] = ModuleType(_GRAMMARS)
    sys.modules[_GRAMMARS].is_valid_syntax = _is_valid_syntax  # type: ignore[attr-defined]

from jsonschema import Draft202012Validator, validate  # noqa: E402

__all__ = ["Draft202012Validator", "validate"]
