"""Collects the arguments of a service's commands, for the shells: collect.py ENTRY TABLE.

Run in the service's own environment. ENTRY is the first word of its commands, or _ for
the client's, which begin with any. Writes TABLE by rename, and removes TABLE.lock.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any


# The types are those of the service's own click, which only its environment has.
def rows(click: Any, command: Any, path: list[str], context: Any = None) -> Iterator[str]:
    """Yield a line for each command: its words, and what may follow them."""
    context = click.Context(command, info_name=path[-1] if path else "", parent=context)
    options = [word for param in command.params for word in (*param.opts, *param.secondary_opts)]
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    found = []
    for name in names:
        try:
            child = command.get_command(context, name)
        except Exception:  # a command that cannot be imported must not hide the others
            traceback.print_exc()
            continue
        if child is not None and not child.hidden:
            found += [(name, child)]
    shown = [name for name, _ in found]
    shown += [word for word in (*options, "--help") if word.startswith("--")]
    yield " ".join(path) + "\t" + " ".join(shown)
    for name, child in found:
        yield from rows(click, child, [*path, name], context)


def main() -> None:
    """Write the table."""
    entry, table = sys.argv[1], Path(sys.argv[2])
    try:
        click = importlib.import_module("click")
        command = importlib.import_module("ai.backend.cli.loader").load_entry_points()
        path: list[str] = []
        if entry != "_":
            command, path = command.get_command(click.Context(command), entry), [entry]
        temporary = table.with_name(f"{table.name}.{os.getpid()}")
        temporary.write_text("".join(f"{row}\n" for row in rows(click, command, path)))
        temporary.rename(table)
    finally:
        table.with_name(f"{table.name}.lock").unlink()


if __name__ == "__main__":
    main()
