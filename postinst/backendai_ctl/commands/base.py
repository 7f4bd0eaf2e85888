"""What the commands of `backendai-ctl` share: their shape, their output, their answers."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from backendai_ctl.answers.resolve import Answers
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout

# What a command or action does; returns its exit status.
Act = Callable[[argparse.Namespace, Layout], int]


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """A command that takes none."""


def service_argument(parser: argparse.ArgumentParser) -> None:
    """A command about one service."""
    parser.add_argument("service", metavar="SERVICE", help="for example manager")


def action_adder(
    parser: argparse.ArgumentParser,
) -> Callable[[str, str, Act], argparse.ArgumentParser]:
    """For a command of several actions: adds one by its name, what it does, and the function."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, about: str, act: Act) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=about, description=about)
        added.set_defaults(act=act)
        return added

    return add


def run_action(options: argparse.Namespace, layout: Layout) -> int:
    """Run the action that was named: the function at ``act``."""
    act: Act = options.act
    return act(options, layout)


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of the tool: what `--help` says, what it takes, what it does."""

    name: str
    about: str
    run: Act
    add_arguments: Callable[[argparse.ArgumentParser], None] = no_arguments


def answers(options: argparse.Namespace, layout: Layout) -> Answers:
    """The answers of site.toml, and the secrets that fill its gaps."""
    return Answers(site=load_site(layout), secrets=secret_store(options, layout))


def secret_store(options: argparse.Namespace, layout: Layout) -> SecretStore:
    """The secrets of this host, readable by the account where it exists."""
    owner = Owner.caller() if options.as_caller else Owner.of_account()
    return SecretStore(folder=layout.secrets, writer=Writer(owner=owner))


def account(options: argparse.Namespace) -> Owner:
    """Whose the files are: the account's, or in a test the caller's."""
    return Owner.caller() if options.as_caller else Owner.account()


def say(message: str) -> None:
    """Print for a person, who may read it in the package manager's output or the journal."""
    sys.stderr.write(f"backendai: {message}\n")


def print_out(text: str) -> None:
    """Write what was asked for to stdout; HostError where its reader has gone."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise HostError("whoever read the output went away") from error
