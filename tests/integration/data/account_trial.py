"""Asks the manager of this host whether it knows an account, by password and by keys.

Reads the account as JSON on stdin and prints the status of each answer; the words of the
protocol are those that every line understands.
"""

import hashlib
import hmac
import json
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime

_HOST = "127.0.0.1:8081"
_VERSION = "v6.20220615"
_SIGNED = "/auth/test?echo=yes"


def ask(path: str, headers: dict[str, str], body: dict[str, str] | None) -> int:
    """The status of the answer."""
    request = urllib.request.Request(
        f"http://{_HOST}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-BackendAI-Version": _VERSION, "Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def by_password(account: dict[str, str]) -> int:
    """A login, as the Web UI asks for one."""
    body = {
        "type": "keypair",
        "domain": "default",
        "username": account["email"],
        "password": account["password"],
    }
    return ask("/auth/authorize", {}, body)


def by_keys(account: dict[str, str]) -> int:
    """A signed request, as the client sends them."""
    now = datetime.now(UTC)
    date = now.isoformat()
    nothing = hashlib.sha256(b"").hexdigest()
    text = (
        f"GET\n{_SIGNED}\n{date}\nhost:{_HOST}\ncontent-type:application/json\n"
        f"x-backendai-version:{_VERSION}\n{nothing}"
    )
    key = account["secret_key"].encode()
    for word in (now.strftime("%Y%m%d"), _HOST):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"credential={account['access_key']}:{signature}"
    headers = {
        "Date": date,
        "Authorization": f"BackendAI signMethod=HMAC-SHA256, {credential}",
    }
    return ask(_SIGNED, headers, None)


def main() -> None:
    """Both, and a wrong password."""
    account = json.load(sys.stdin)
    wrong = {**account, "password": f"{account['password']}-not"}
    found = {
        "password": by_password(account),
        "wrong": by_password(wrong),
        "keys": by_keys(account),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
