"""Ordinary accounts of the cluster, which are neither the first nor administrators'."""

import json

from builder.verify.hosts import HostError
from tests.e2e.nodes import Login, Node


def have_person(node: Node, name: str = "person") -> Login:
    """Add the account by the guide's one command; the same account for the same name."""
    if name not in node.people:
        email = f"{name}@example.com"
        command = ["backendai-ctl", "user", "add", email, "--show", "--json"]
        printed = node.host.run(command, timeout=180).stdout
        try:
            account = json.loads(printed)
        except ValueError as error:
            raise HostError(f"{node.host.name}: no account in: {printed!r}") from error
        node.people[name] = Login(**{key: account[key] for key in Login.__annotations__})
    return node.people[name]
