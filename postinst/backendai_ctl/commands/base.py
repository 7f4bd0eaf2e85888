"""Code that the commands of `backendai-ctl` share: their shape, their output, their answers."""

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

# The function of a command or action; returns its exit status.
Act = Callable[[argparse.Namespace, Layout], int]


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


def service_argument(parser: argparse.ArgumentParser) -> None:
    """Add the service that a command is about."""
    parser.add_argument("service", metavar="SERVICE", help="for example manager")


def json_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option for output as JSON."""
    parser.add_argument("--json", action="store_true", help="for machines")


def action_adder(
    parser: argparse.ArgumentParser,
) -> Callable[[str, str, Act], argparse.ArgumentParser]:
    """Return a function that adds an action to a command by its name, description and function."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, about: str, act: Act) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=about, description=about)
        added.set_defaults(act=act)
        return added

    return add


def run_action(options: argparse.Namespace, layout: Layout) -> int:
    """Run the function of the chosen action."""
    act: Act = options.act
    return act(options, layout)


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of the tool: its help text, its arguments and its function."""

    name: str
    about: str
    run: Act
    add_arguments: Callable[[argparse.ArgumentParser], None] = no_arguments


def answers(options: argparse.Namespace, layout: Layout) -> Answers:
    """Return the answers of site.toml, and the secrets that replace empty ones."""
    return Answers(site=load_site(layout), secrets=secret_store(options, layout))


def secret_store(options: argparse.Namespace, layout: Layout) -> SecretStore:
    """Return the secrets of this host, which the account, if it exists, can read."""
    owner = Owner.caller() if options.as_caller else Owner.of_account()
    return SecretStore(folder=layout.secrets, writer=Writer(owner=owner))


def account(options: argparse.Namespace) -> Owner:
    """Return the owner of the files: the account or, in a test, the caller."""
    return Owner.caller() if options.as_caller else Owner.account()


def say(message: str) -> None:
    """Print for a person, who may read it in the package manager's output or the journal."""
    sys.stderr.write(f"backendai: {message}\n")


def print_out(text: str) -> None:
    """Write a command's result to stdout; HostError if its reader has gone."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise HostError("whoever read the output went away") from error
