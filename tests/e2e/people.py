"""An ordinary account of the cluster, which is neither the first nor an administrator's."""

import secrets

from builder.verify.hosts import HostError
from tests.e2e.nodes import Login, Node
from tests.integration.stores import run_sql

_EMAIL = "person@example.com"
_NAME = "person"


def have_person(node: Node) -> Login:
    """Add the account by the administrator's commands; its keys are what the manager made."""
    # The roles of what exists; without them it is refused everything.
    node.host.run(["backend.ai", "mgr", "permissions", "provision"], timeout=180)
    password = f"Person-{secrets.token_hex(8)}"
    names = ["--username", _NAME, "--full-name", "A Person"]
    words = ["admin", "user", "add", *names, "default", _EMAIL, password]
    node.client(node.login(), *words, timeout=180)
    access_key, secret_key = _keys(node)
    return Login(email=_EMAIL, password=password, access_key=access_key, secret_key=secret_key)


def _keys(node: Node) -> tuple[str, str]:
    ask = (
        "SELECT access_key || ' ' || secret_key FROM keypairs JOIN users"
        f" ON users.uuid = keypairs.\"user\" WHERE users.email = '{_EMAIL}'"
    )
    found = run_sql(node.host, ask, database="backend").split()
    if len(found) != 2:
        raise HostError(f"{node.host.name}: {_EMAIL} has {len(found) // 2} key pairs")
    return found[0], found[1]
