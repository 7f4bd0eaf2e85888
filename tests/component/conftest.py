"""Component tests are one part with real programs: no network, no root, no Docker.

A test that starts no other program belongs to ``tests/unit``, whose conftest refuses others. What
a command prints with --json is checked here as there.
"""

from tests.unit.conftest import _json_is_as_documented

__all__ = ["_json_is_as_documented"]
