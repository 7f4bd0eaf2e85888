"""The first accounts: passwords and keys that every node derives from one shared secret.

A run that was killed, or another node that takes over, therefore derives the same values,
and the file for the admin matches the database.
"""

import hashlib
import hmac
import itertools
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from backendai_ctl.base.files import private_writer
from backendai_ctl.base.toml import read_table
from backendai_ctl.seed.data import Accounts

_LETTERS = string.ascii_letters + string.digits
_KEY_LETTERS = string.ascii_uppercase + string.digits
_PASSWORD_LENGTH = 20
_ACCESS_LENGTH = 16
_SECRET_LENGTH = 40
_SUPERADMIN = "superadmin"
_BYTE = 256
Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]

_HEAD = """\
# The first accounts of this cluster, as they were made. A password that was changed
# since then is not the one below. Only the superadmin is active: the others are for
# the administrator to use, or to remove."""


@dataclass(frozen=True, kw_only=True)
class Deriver:
    """Derives random-looking texts that are always the same for one secret and one purpose."""

    secret: str

    def text(self, purpose: str, alphabet: str, length: int) -> str:
        """Return ``length`` letters of ``alphabet``, each equally likely."""
        limit = _BYTE - _BYTE % len(alphabet)
        found: list[str] = []
        block = 0
        while len(found) < length:
            message = f"{purpose}\0{block}".encode()
            stream = hmac.new(self.secret.encode(), message, hashlib.sha256).digest()
            found += [alphabet[byte % len(alphabet)] for byte in stream if byte < limit]
            block += 1
        return "".join(found[:length])

    def password(self, user: str) -> str:
        """Return letters, digits and a dash, as the Web UI requires of a password."""
        for attempt in itertools.count():
            text = self.text(f"password/{user}/{attempt}", _LETTERS, _PASSWORD_LENGTH)
            kinds = (str.islower, str.isupper, str.isdigit)
            if all(any(kind(letter) for letter in text) for kind in kinds):
                half = _PASSWORD_LENGTH // 2
                return f"{text[:half]}-{text[half:]}"
        raise AssertionError  # the loop has no end

    def access_key(self, pair: str) -> str:
        """Return an access key in the form that the release uses."""
        return "AKIA" + self.text(f"access/{pair}", _KEY_LETTERS, _ACCESS_LENGTH)

    def secret_key(self, pair: str) -> str:
        """Return a secret key in the form that the release uses."""
        return self.text(f"secret/{pair}", _LETTERS, _SECRET_LENGTH)


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account, with the values that an admin needs."""

    email: str
    role: str
    active: bool
    password: str
    access_key: str = ""
    secret_key: str = ""


def renew(tables: dict[str, list[Row]], spec: Accounts, deriver: Deriver, admin: str) -> None:
    """Give every user and key pair in ``tables`` values of this installation.

    The superadmin gets the address ``admin``; all other accounts become inactive.
    """
    emails: dict[str, str] = {}
    active: set[str] = set()
    for user in tables.get(spec.users, []):
        if "role" not in user:
            continue
        user["password"] = deriver.password(str(user["uuid"]))
        if user["role"] == _SUPERADMIN:
            active.add(str(user["uuid"]))
            emails[str(user["email"])] = admin
            user["email"] = admin
        else:
            user["status"] = "inactive"
    keys: dict[str, str] = {}
    for pair in tables.get(spec.keypairs, []):
        known = str(pair["access_key"])
        keys[known] = pair["access_key"] = deriver.access_key(known)
        pair["secret_key"] = deriver.secret_key(known)
        pair["is_active"] = str(pair["user"]) in active
    _follow(tables, spec.emails, emails)
    _follow(tables, spec.access_keys, keys)


def _follow(tables: dict[str, list[Row]], columns: Sequence[str], new: Mapping[str, str]) -> None:
    """Replace the old name by the new one wherever a row refers to it."""
    for column in columns:
        table, _, key = column.partition(".")
        for row in tables.get(table, []):
            if key in row:
                row[key] = new.get(str(row[key]), row[key])


def accounts_of(users: Sequence[Row], pairs: Sequence[Row]) -> list[Account]:
    """Return the accounts in these rows, the superadmin first."""
    by_user = {str(pair["user"]): pair for pair in reversed(pairs)}
    found = []
    for user in users:
        pair = by_user.get(str(user["uuid"]), {})
        found.append(
            Account(
                email=str(user["email"]),
                role=str(user["role"]),
                active=user.get("status") == "active",
                password=str(user["password"]),
                access_key=str(pair.get("access_key", "")),
                secret_key=str(pair.get("secret_key", "")),
            )
        )
    return sorted(found, key=lambda account: account.role != _SUPERADMIN)


def write_accounts(path: Path, accounts: Sequence[Account], *, head: str = _HEAD) -> None:
    """Write the accounts to a file that only its owner, root, can read."""
    document = tomlkit.document()
    for line in head.splitlines():
        document.add(tomlkit.comment(line.removeprefix("# ")))
    listed = tomlkit.aot()
    for account in accounts:
        table = tomlkit.table()
        for key, value in vars(account).items():
            table.add(key.replace("_", "-"), value)
        listed.append(table)
    document.add("account", listed)
    text = tomlkit.dumps(document)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    private_writer().replace(path, text)


def read_accounts(path: Path) -> list[Account]:
    """Return what ``write_accounts`` wrote; HostError if it cannot be read."""
    table = read_table(path)
    return [
        Account(**{key.replace("-", "_"): value for key, value in item.items()})
        for item in table["account"]
    ]
