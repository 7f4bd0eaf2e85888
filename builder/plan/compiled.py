"""Compiled templates, kept in the cache between builds.

Compiling every template takes longer than all of an unchanged build. A kept template is used
only for the very text that it was compiled from.
"""

import base64
import binascii
import hashlib
import json
import sys
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket, BytecodeCache

from builder.base.cache import Cache, key_of
from builder.base.files import hash_file
from builder.base.parse import TextError, parse_json
from builder.base.storage import replacing
from builder.plan import render


class CompiledTemplates(BytecodeCache):
    """The compiled templates of one file; jinja2 compares each with its template's hash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._codes = _read(path)
        self._changed = False

    def load_bytecode(self, bucket: Bucket) -> None:
        """Put the code of the template into ``bucket`` if it is known and current."""
        code = self._codes.get(bucket.key)
        if code is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Note the code of a template that was compiled now."""
        self._codes[bucket.key] = bucket.bytecode_to_string()
        self._changed = True

    def save(self) -> None:
        """Write the file again if a template was compiled since it was read."""
        if not self._changed:
            return
        codes = {key: base64.b64encode(code).decode() for key, code in self._codes.items()}
        text = json.dumps(codes, sort_keys=True)
        with replacing(self._path) as part:
            part.write_text(f"{_digest(text)}\n{text}", encoding="utf-8")
        self._changed = False


def open_compiled(cache: Cache) -> CompiledTemplates:
    """Open the templates that this Python, jinja2 and renderer have compiled before."""
    made_by = [sys.implementation.cache_tag, jinja2.__version__, hash_file(render.__file__)]
    return CompiledTemplates(cache.root / "templates" / f"{key_of(*made_by)}.json")


def _read(path: Path) -> dict[str, bytes]:
    """Return the code of each template; empty if the file is absent or damaged."""
    try:
        digest, _, text = path.read_text(encoding="utf-8").partition("\n")
        if digest != _digest(text):
            return {}
        return {key: base64.b64decode(code) for key, code in parse_json(text).items()}
    except (OSError, UnicodeDecodeError, TextError, binascii.Error):
        return {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
