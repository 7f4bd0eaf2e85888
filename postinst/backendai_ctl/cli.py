"""The command line on the target, called by `backendai-ctl`, units and maintainer scripts."""

import argparse
from pathlib import Path

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands import commands_with
from backendai_ctl.commands.base import say


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status (see errors.Status)."""
    options = make_parser(_command_in(arguments)).parse_args(arguments)
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


def make_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line; manual page and completion are made from it, too.

    With ``command``, if there is one of this name, it need not have the others.
    """
    parser = _global_parser(add_help=True)
    found = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for known in commands_with(command):
        added = found.add_parser(known.name, help=known.about, description=known.about)
        known.add_arguments(added)
        added.set_defaults(run=known.run)
    return parser


def _command_in(arguments: list[str] | None) -> str | None:
    """Return the word that stands where the command is due; None if there is none."""
    parser = _global_parser(add_help=False)
    parser.add_argument("command", nargs="?")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    known, _ = parser.parse_known_args(arguments)
    return str(known.command) if known.command else None


def _global_parser(*, add_help: bool) -> argparse.ArgumentParser:
    """Return a parser of the options that come before a command."""
    parser = argparse.ArgumentParser(
        prog="backendai-ctl",
        description="Set up the services of Backend.AI on this host.",
        add_help=add_help,
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="work on the tree below this folder"
    )
    parser.add_argument(
        "--as-caller", action="store_true", help="files belong to the caller, not to root"
    )
    return parser
