"""Checks a finished runtime from the inside; run by that runtime, never imported.

Argument: the tree. Prints each problem on a line of its own, and nothing if there is none.
"""

import importlib
import sys
import sysconfig

# A Python that lacks one of these would break later, on someone else's machine.
_MODULES = """
_asyncio _bz2 _ctypes _curses _decimal _hashlib _lzma _socket _sqlite3 _ssl _uuid _zoneinfo
asyncio bz2 ctypes curses dbm.dumb decimal hashlib lzma mmap multiprocessing.synchronize
readline select sqlite3 ssl unicodedata uuid venv xml.parsers.expat zlib zoneinfo
pip
"""


def problems(tree: str) -> list[str]:
    """Return every problem of the runtime in ``tree``."""
    found = []
    for name in _MODULES.split():
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever it raises is the finding
            found.append(f"cannot import {name}: {error}")
    paths = {f"sysconfig path {name}": path for name, path in sysconfig.get_paths().items()}
    variables = ("prefix", "exec_prefix", "LIBDIR", "BINDIR")
    paths.update({f"sysconfig {name}": sysconfig.get_config_var(name) for name in variables})
    paths.update({"sys.prefix": sys.prefix, "sys.executable": sys.executable})
    found += [
        f"{name} is {path}, outside {tree}"
        for name, path in paths.items()
        if f"{path}/".find(f"{tree}/") != 0
    ]
    if not sysconfig.get_config_var("EXT_SUFFIX").startswith(".cpython-"):
        found.append(f"EXT_SUFFIX is {sysconfig.get_config_var('EXT_SUFFIX')!r}")
    return found


if __name__ == "__main__":
    for _line in problems(sys.argv[1]):
        sys.stdout.write(f"{_line}\n")
