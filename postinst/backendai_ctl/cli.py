"""The command line on the target, called by `backendai-ctl`, units and maintainer scripts."""

import argparse
from pathlib import Path

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands import COMMANDS
from backendai_ctl.commands.base import say


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status (see errors.Status)."""
    options = make_parser().parse_args(arguments)
    try:
        return int(options.run(options, Layout(root=options.root)))
    except TargetError as error:
        for line in error.message.splitlines():
            say(f"error: {line}")
        if error.hint:
            say(f"hint: {error.hint}")
        return int(error.status)
    except KeyboardInterrupt:
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; manual page and completion are made from it, too."""
    parser = argparse.ArgumentParser(
        prog="backendai-ctl", description="Set up the services of Backend.AI on this host."
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="work on the tree below this folder"
    )
    parser.add_argument(
        "--as-caller", action="store_true", help="files belong to the caller, not to root"
    )
    found = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        added = found.add_parser(command.name, help=command.about, description=command.about)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser
