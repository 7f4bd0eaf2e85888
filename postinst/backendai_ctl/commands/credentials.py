"""The command that prints the place of the first accounts' passwords and keys."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from backendai_ctl.base.errors import NotReadyError, Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands.base import Command, print_out
from backendai_ctl.seed.accounts import Account, read_accounts

_SECRET = ("password", "secret_key")


def _run(options: argparse.Namespace, layout: Layout) -> Status:
    # The folder is root's: no other user can see its content.
    paths = sorted(layout.credentials.glob("*.toml"))
    if not paths:
        raise NotReadyError(
            f"no accounts were made on this host ({layout.credentials} has none)",
            hint="`sudo backendai-ctl seed status` shows whether the database is filled",
        )
    if not (options.show or options.json):
        print_out("".join(f"{path}\n" for path in paths))
        return Status.OK
    chosen = [
        (path, account) for path in paths for account in read_accounts(path) if account.active
    ]
    if options.json:
        tables = [_table(path, account, show=options.show) for path, account in chosen]
        print_out(json.dumps(tables, indent=1) + "\n")
    else:
        print_out("\n".join(_as_text(account) for _, account in chosen))
    return Status.OK


def _table(path: Path, account: Account, *, show: bool) -> dict[str, object]:
    """Return an account as JSON data; secrets are null unless they were requested."""
    table = {**asdict(account), "file": str(path)}
    return table if show else {**table, **dict.fromkeys(_SECRET)}


def _as_text(account: Account) -> str:
    return (
        f"role        {account.role}\n"
        f"e-mail      {account.email}\n"
        f"password    {account.password}\n"
        f"access key  {account.access_key}\n"
        f"secret key  {account.secret_key}\n"
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--show", action="store_true", help="print the active accounts as they were made"
    )
    parser.add_argument(
        "--json", action="store_true", help="for programs; what is secret is null without --show"
    )


COMMANDS = (
    Command(
        name="credentials",
        about="print where the first accounts' passwords and keys are",
        run=_run,
        add_arguments=_arguments,
    ),
)
