"""Compiles Python sources to bytecode; run by the target's own minor version.

A script for :mod:`builder.base.bytecode`, never imported: standard input is JSON
``{"root": …, "files": […]}``, standard output JSON ``{"compiled": n, "skipped":
[[file, reason], …]}``. It must run on every supported Python, with nothing installed.
"""

import sys

# The interpreter puts this script's folder first, and nothing there is ours to import.
if not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

import gc
import json
import marshal
import os
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

# PEP 552: a hash-based pyc whose source is not looked at when it is imported.
_UNCHECKED_HASH = (0b01).to_bytes(4, "little")

# Before 3.11, marshal marks a string as shared when anything in this process holds
# it too, so the bytes depend on what was compiled before. Version 2 marks nothing.
_MARSHAL_VERSION = marshal.version if sys.version_info >= (3, 11) else 2


def compile_file(root: str, relative: str) -> None:
    """Write the bytecode of one source file into its ``__pycache__``."""
    path = Path(root, relative)
    source = path.read_bytes()
    # Relative, so that no build path is recorded: import puts the real one in.
    code = compile(source, relative, "exec", dont_inherit=True, optimize=0)
    target = Path(cache_from_source(path, optimization=""))
    target.parent.mkdir(exist_ok=True)
    head = MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(source)
    target.write_bytes(head + marshal.dumps(code, _MARSHAL_VERSION))


def main() -> None:
    """Compile what standard input names."""
    task = json.load(sys.stdin)
    compiled = 0
    skipped = []
    for relative in task["files"]:
        try:
            compile_file(task["root"], relative)
        except (SyntaxError, ValueError, RecursionError, OverflowError) as error:
            skipped.append((relative, str(error)))
        else:
            compiled += 1
    json.dump({"compiled": compiled, "skipped": skipped}, sys.stdout)


if __name__ == "__main__":
    # Compiling makes no garbage cycles, and looking for them costs a fifth of the time.
    gc.disable()
    os.umask(0o022)
    main()
