"""The commands that read and give single answers of site.toml."""

import argparse
import os
from collections.abc import Callable

from backendai_ctl.answers.edits import get_answer, set_answer
from backendai_ctl.base.errors import Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands.base import Command, print_out, run_action, say, secret_store


def _get(options: argparse.Namespace, layout: Layout) -> Status:
    print_out(get_answer(layout, options.name) + "\n")
    return Status.OK


def _set(options: argparse.Namespace, layout: Layout) -> Status:
    writer = secret_store(options, layout).writer
    if set_answer(layout, writer, options.name, options.value, os.environ):
        say(f"{layout.site}: changed {options.name}; now run `backendai-ctl configure SERVICE`")
    else:
        say(f"{layout.site}: {options.name} is so already")
    return Status.OK


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _action(
        actions.add_parser("get", help="print an answer, the default where none is given"), _get
    )
    change = actions.add_parser(
        "set", help="give an answer; passwords belong into the file by an editor, not here"
    )
    _action(change, _set)
    change.add_argument("value", metavar="VALUE", help="items of a list separated by commas")


def _action(
    parser: argparse.ArgumentParser, act: Callable[[argparse.Namespace, Layout], Status]
) -> None:
    parser.add_argument("name", metavar="SECTION.KEY", help="for example etcd.addresses")
    parser.set_defaults(act=act)


COMMANDS = (
    Command(
        name="site",
        about="read or change an answer in site.toml",
        run=run_action,
        add_arguments=_arguments,
    ),
)
