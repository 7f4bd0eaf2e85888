"""The commands for people's accounts: add, list, activate, deactivate."""

import argparse
import json
import os
import re
import secrets
import string
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from backendai_ctl.answers.site import load_site
from backendai_ctl.base.account import is_root
from backendai_ctl.base.errors import HostError, NotReadyError, Status
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import table_of
from backendai_ctl.commands.base import Command, action_adder, print_out, run_action, say
from backendai_ctl.seed.accounts import Account, read_accounts, write_accounts
from backendai_ctl.services.authorities import site_authorities
from backendai_ctl.users.api import KeyPair, ManagerApi
from backendai_ctl.users.people import ACTIVE, NewPerson, People

# As wide as the manager's column; no slash, because a file is named after it.
_EMAIL = re.compile(r"[^@\s/\"'\\]+@[^@\s/\"'\\]+")
_EMAIL_LENGTH = 64
_PASSWORD_LENGTH = 20
_HEAD = """\
# An account as it was made by `backendai-ctl user add`. A password that was changed
# since then is not the one below. Remove this file when its owner has it."""


def _add(options: argparse.Namespace, layout: Layout) -> Status:
    if not (options.show or options.password_stdin) and not is_root():
        raise HostError("only root can keep the password on this host", hint="use sudo, or --show")
    people = _people(layout)
    known = people.find(options.email)
    if known is not None and known.status == ACTIVE:
        say(f"{known.email} exists already and is active; nothing is changed")
        return Status.OK
    if known is not None:
        raise NotReadyError(
            f"{known.email} exists already and is {known.status}",
            hint=f"sudo backendai-ctl user activate {known.email}",
        )
    person = NewPerson(
        email=options.email,
        password=_read_password() if options.password_stdin else _new_password(),
        name=options.name,
        domain=options.domain,
        projects=tuple(dict.fromkeys(options.project or ["default"])),
        role=options.role,
    )
    project_ids = people.project_ids(person)
    path = None if options.show or options.password_stdin else _file_of(layout, person.email)
    if path is not None:
        # Saved first: if killed in between, the account would have a password that nobody has.
        _keep(path, _account(person))
    try:
        pair = people.add(person, project_ids)
    except BaseException:
        if path is not None and people.find(person.email) is None:
            path.unlink(missing_ok=True)
        raise
    account = _account(person, pair)
    if path is not None:
        _keep(path, account)
    _report(options, account, path)
    return Status.OK


def _account(person: NewPerson, pair: KeyPair | None = None) -> Account:
    return Account(
        email=person.email,
        role=person.role,
        active=True,
        password=person.password,
        access_key=pair.access_key if pair else "",
        secret_key=pair.secret_key if pair else "",
    )


def _report(options: argparse.Namespace, account: Account, path: Path | None) -> None:
    """Print the new account; its secrets only if they were requested."""
    table = {**asdict(account), "file": str(path) if path else None}
    if not options.show:
        table |= {"password": None, "secret_key": None}
    if options.json:
        print_out(json.dumps(table, indent=1) + "\n")
        return
    say(f"{account.email} is active, in the role '{account.role}'")
    if options.show:
        password = "" if options.password_stdin else f"password    {account.password}\n"
        print_out(f"{password}access key  {account.access_key}\nsecret key  {account.secret_key}\n")
    elif path is not None:
        print_out(f"{path}\n")
        say("the file has the password and the key pair, and only root can read it")


def _keep(path: Path, account: Account) -> None:
    for folder in (path.parent.parent, path.parent):
        private_writer().ensure_folder(folder, mode=0o700)
    write_accounts(path, [account], head=_HEAD)


def _file_of(layout: Layout, email: str) -> Path:
    return layout.credentials / "users" / f"{email}.toml"


def _read_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise HostError("no password on stdin")
    return password


def _new_password() -> str:
    """Return letters, digits and a dash, as the Web UI requires of a password."""
    letters = string.ascii_letters + string.digits
    kinds = (str.islower, str.isupper, str.isdigit)
    while True:
        text = "".join(secrets.choice(letters) for _ in range(_PASSWORD_LENGTH))
        if all(any(kind(letter) for letter in text) for kind in kinds):
            half = _PASSWORD_LENGTH // 2
            return f"{text[:half]}-{text[half:]}"


def _list(options: argparse.Namespace, layout: Layout) -> Status:
    found = _people(layout).all()
    if options.json:
        print_out(json.dumps([asdict(person) for person in found], indent=1) + "\n")
        return Status.OK
    rows = [("E-MAIL", "ROLE", "STATUS", "DOMAIN", "NAME")]
    rows += [
        (person.email, person.role, person.status, person.domain, person.name) for person in found
    ]
    for line in table_of(rows):
        print_out(f"{line}\n")
    return Status.OK


def _activate(options: argparse.Namespace, layout: Layout) -> Status:
    _people(layout).set_active(options.email, active=True)
    say(f"{options.email} and its key pairs are active")
    return Status.OK


def _deactivate(options: argparse.Namespace, layout: Layout) -> Status:
    _people(layout).set_active(options.email, active=False)
    say(f"{options.email} and its key pairs are inactive")
    return Status.OK


def _people(layout: Layout) -> People:
    """Return the accounts, by the client's environment variables or this host's data."""
    url = os.environ.get("BACKEND_ENDPOINT") or str(load_site(layout)["manager.url"])
    keys = _keys(layout, os.environ)
    return People(api=ManagerApi(url=url, keys=keys, authorities=site_authorities(layout)))


def _keys(layout: Layout, environment: Mapping[str, str]) -> KeyPair:
    access, secret = (environment.get(f"BACKEND_{name}_KEY") for name in ("ACCESS", "SECRET"))
    if access and secret:
        return KeyPair(access_key=access, secret_key=secret)
    for path in sorted(layout.credentials.glob("*.toml")):
        for account in read_accounts(path):
            if account.role == "superadmin" and account.active and account.secret_key:
                return KeyPair(access_key=account.access_key, secret_key=account.secret_key)
    raise NotReadyError(
        f"no administrator's key pair on this host ({layout.credentials} has none)",
        hint="use sudo on a manager's node, or set BACKEND_ACCESS_KEY and BACKEND_SECRET_KEY",
    )


def _email(text: str) -> str:
    if len(text) > _EMAIL_LENGTH or text.startswith((".", "-")) or not _EMAIL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an e-mail address")
    return text


def _arguments(parser: argparse.ArgumentParser) -> None:
    action = action_adder(parser)
    add = action("add", "make an active account with a key pair, in the project 'default'", _add)
    add.add_argument("email", type=_email, metavar="EMAIL")
    add.add_argument("--name", default="", metavar="TEXT", help="the person's full name")
    add.add_argument(
        "--project", action="append", metavar="NAME", help="another than 'default'; repeatable"
    )
    add.add_argument("--domain", default="default", metavar="NAME")
    add.add_argument("--role", default="user", choices=("user", "admin"))
    add.add_argument(
        "--password-stdin", action="store_true", help="read the password from stdin, one line"
    )
    add.add_argument(
        "--show", action="store_true", help="print password and keys once, and keep no file"
    )
    add.add_argument("--json", action="store_true", help="for programs")
    listing = action("list", "show all accounts", _list)
    listing.add_argument("--json", action="store_true", help="for programs")
    for name, about, act in (
        ("activate", "let an account and its key pairs in", _activate),
        ("deactivate", "keep an account and its key pairs out", _deactivate),
    ):
        action(name, about, act).add_argument("email", type=_email, metavar="EMAIL")


COMMANDS = (
    Command(
        name="user",
        about="add, list, activate and deactivate people's accounts",
        run=run_action,
        add_arguments=_arguments,
    ),
)
