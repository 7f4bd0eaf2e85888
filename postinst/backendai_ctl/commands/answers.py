"""The commands that read and set single answers of site.toml."""

import argparse
import os
import sys
from collections.abc import Callable

from backendai_ctl.answers.edits import get_answer, is_secret, set_answer
from backendai_ctl.base.errors import Status, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands.base import Command, print_out, run_action, say, secret_store
from backendai_ctl.registries.model import SECTION

_STDIN = "-"


def _get(options: argparse.Namespace, layout: Layout) -> Status:
    print_out(get_answer(layout, options.name) + "\n")
    return Status.OK


def _set(options: argparse.Namespace, layout: Layout) -> Status:
    writer = secret_store(options, layout).writer
    value = options.value
    if value == _STDIN:
        value = sys.stdin.read().removesuffix("\n")
    elif is_secret(layout, options.name):
        raise TargetError(
            "a password does not belong into an argument, which every user of the host can read",
            hint=f"pipe it: backendai-ctl site set {options.name} -",
        )
    if set_answer(layout, writer, options.name, value, os.environ):
        say(f"{layout.site}: changed {options.name}; now run {_next_step(options.name)}")
    else:
        say(f"{layout.site}: {options.name} is so already")
    return Status.OK


def _next_step(name: str) -> str:
    if name.partition(".")[0] == SECTION:
        return "`backendai-ctl seed apply`, here and on every agent's node"
    return "`backendai-ctl configure SERVICE`"


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _action(
        actions.add_parser("get", help="print an answer, the default where none is given"), _get
    )
    change = actions.add_parser(
        "set", help="give an answer; a password by stdin, with - in its place"
    )
    _action(change, _set)
    change.add_argument(
        "value", metavar="VALUE", help="items of a list separated by commas; - for stdin"
    )


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
