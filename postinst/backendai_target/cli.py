"""The command line on the target: `backendai-ctl`, units and maintainer scripts call it."""

import argparse
import json
import os
import sys
from pathlib import Path

from backendai_target.configure import Host, configure
from backendai_target.errors import HostError, Status, TargetError
from backendai_target.files import Owner, Writer
from backendai_target.layout import Layout
from backendai_target.probe import check_needs, check_port, wait_until_answering
from backendai_target.recipe import Answers, load_recipe, resolve_tree
from backendai_target.secretstore import SecretStore
from backendai_target.site import load_site


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status (see errors.Status)."""
    options = _parser().parse_args(arguments)
    layout = Layout(root=options.root)
    try:
        return int(_COMMANDS[options.command](options, layout))
    except TargetError as error:
        for line in error.message.splitlines():
            _say(f"error: {line}")
        if error.hint:
            _say(f"hint: {error.hint}")
        return int(error.status)
    except KeyboardInterrupt:
        return 130


def _configure(options: argparse.Namespace, layout: Layout) -> Status:
    account = _caller() if options.as_caller else Owner.account()
    host = Host(account=account, environment=os.environ, say=_say)
    configure(options.service, layout=layout, secrets=_secrets(options, layout), host=host)
    return Status.OK


def _wait(options: argparse.Namespace, layout: Layout) -> Status:
    # systemd sets MAINPID for ExecStartPost=.
    main_pid = os.environ.get("MAINPID", "")
    address = wait_until_answering(
        layout,
        load_recipe(layout, options.service),
        seconds=options.timeout,
        main_pid=int(main_pid) if main_pid.isdigit() else None,
    )
    _say(f"{options.service} answers on {address}")
    return Status.OK


def _port(options: argparse.Namespace, layout: Layout) -> Status:
    check_port(layout, load_recipe(layout, options.service))
    return Status.OK


def _ready(options: argparse.Namespace, layout: Layout) -> Status:
    check_needs(layout, load_recipe(layout, options.service))
    return Status.OK


def _sql(options: argparse.Namespace, layout: Layout) -> Status:
    _print(_answers(options, layout).fill(load_recipe(layout, options.service).sql))
    return Status.OK


def _steps(options: argparse.Namespace, layout: Layout) -> Status:
    _print(_answers(options, layout).fill(load_recipe(layout, options.service).steps))
    return Status.OK


def _etcd(options: argparse.Namespace, layout: Layout) -> Status:
    recipe = load_recipe(layout, options.service)
    _print(json.dumps(resolve_tree(_answers(options, layout), recipe.etcd), indent=2) + "\n")
    return Status.OK


def _answers(options: argparse.Namespace, layout: Layout) -> Answers:
    return Answers(site=load_site(layout), secrets=_secrets(options, layout))


def _secrets(options: argparse.Namespace, layout: Layout) -> SecretStore:
    owner = _caller() if options.as_caller else Owner.of_account()
    return SecretStore(folder=layout.secrets, writer=Writer(owner=owner))


def _caller() -> Owner:
    return Owner(uid=os.geteuid(), gid=os.getegid())


def _say(message: str) -> None:
    sys.stderr.write(f"backendai: {message}\n")


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise HostError("whoever read the output went away") from error


_COMMANDS = {
    "configure": _configure,
    "wait": _wait,
    "check-port": _port,
    "check-stores": _ready,
    "sql": _sql,
    "etcd": _etcd,
    "steps": _steps,
}
_HELP = {
    "configure": "make site.toml, secrets and the configuration where they are absent",
    "wait": "wait until the service answers on its port",
    "check-port": "fail where something else holds the service's port",
    "check-stores": "fail unless the service's stores answer and are filled",
    "sql": "print the SQL that makes the database; it holds the password, so pipe it",
    "etcd": "print what etcd has to hold for the service as JSON; it may hold a secret, so pipe it",
    "steps": "print what is left to do by hand before the first start",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backendai-ctl", description="Set up the services of Backend.AI on this host."
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="work on the tree below this folder"
    )
    parser.add_argument(
        "--as-caller", action="store_true", help="files belong to the caller, not to root"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in _HELP.items():
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("service", metavar="SERVICE", help="for example manager")
        if name == "wait":
            command.add_argument("--timeout", type=float, default=150.0, metavar="SECONDS")
    return parser
