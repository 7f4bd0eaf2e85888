"""The text of each subgraph's schema, as the installed release prints it.

A separate process prints it: importing the manager takes seconds, and as much memory as
the manager has. Introspection would need a user's key, and is off by default.
"""

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

from graphql_gateway.config import SubgraphSpec
from graphql_gateway.errors import GatewayError

RELEASE_PYTHON = "GRAPHQL_RELEASE_PYTHON"
_SECONDS = 240.0


def dump(subgraphs: Sequence[SubgraphSpec]) -> str:
    """Return every subgraph's schema by name, as JSON; called in the separate process."""
    found: dict[str, str] = {}
    for subgraph in subgraphs:
        module, _, attribute = subgraph.schema.partition(":")
        schema = getattr(importlib.import_module(module), attribute, None)
        if schema is None and subgraph.optional:
            continue
        if schema is None:
            raise GatewayError(f"{module} of this release has no {attribute}")
        # str() of Strawberry's schema is not the schema's text.
        found[subgraph.name] = str(schema.as_str() if hasattr(schema, "as_str") else schema)
    return json.dumps(found)


async def ask_release(main: str) -> Mapping[str, str]:
    """Run ``dump`` in a separate process; ``main`` is the path that this process was started as."""
    # The runtime runs the gateway; what has the schemas is the manager's environment.
    python = os.environ.get(RELEASE_PYTHON) or sys.executable
    command = [python, "-I", "-B", main, "dump"]
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        # Its messages go to the journal.
        stderr=None,
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), _SECONDS)
    except TimeoutError as error:
        child.kill()
        await child.wait()
        raise GatewayError(f"the release did not return its schemas in {_SECONDS:g} s") from error
    if child.returncode != 0:
        raise GatewayError(f"the release did not return its schemas: status {child.returncode}")
    # The release may print lines of its own while it is imported.
    line = output.decode().strip().rpartition("\n")[2]
    try:
        found: dict[str, str] = json.loads(line)
    except ValueError as error:
        raise GatewayError(f"the release did not return its schemas: {error}") from error
    return found
