"""A manager for measurements: the release's schemas, each answer computed once and kept.

Arguments: the schemas, the port.
"""

import json
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from builder.base.paths import PROJECT

sys.path.insert(0, str(PROJECT / "postinst/services/graphql"))

from graphql import graphql_sync
from graphql_gateway.config import load_release

from tests.fuzz.graph import Graph
from tests.unit.postinst.services.graphql_gateway.direct import World

_SPEC = PROJECT / "postinst/services/graphql/subgraphs.toml"


class Mock:
    """Answers for all subgraphs."""

    def __init__(self, schemas: Path) -> None:
        texts = json.loads(schemas.read_text(encoding="utf-8"))["described"]
        self._world = World(texts=texts, roots={})
        self._graph = Graph(supergraph=self._world.supergraph)
        self._kept: dict[tuple[str, bytes], bytes] = {}

    def application(self) -> web.Application:
        """A route for each subgraph."""
        app = web.Application(client_max_size=2**26)
        for subgraph in load_release(_SPEC).subgraphs:

            async def answer(request: web.Request, name: str = subgraph.name) -> web.Response:
                return self._answer(name, await request.read())

            app.router.add_post(subgraph.path, answer)
        return app

    def _answer(self, name: str, body: bytes) -> web.Response:
        if (name, body) not in self._kept:
            self._kept[name, body] = self._execute(name, json.loads(body))
        return web.Response(body=self._kept[name, body], content_type="application/json")

    def _execute(self, name: str, payload: dict[str, Any]) -> bytes:
        result = graphql_sync(
            self._world.schemas[name],
            payload["query"],
            variable_values=payload.get("variables"),
            operation_name=payload.get("operationName"),
            field_resolver=self._graph.resolve,
            type_resolver=self._graph.kind_of,
        )
        return json.dumps(result.formatted).encode()


if __name__ == "__main__":
    web.run_app(
        Mock(Path(sys.argv[1])).application(), host="127.0.0.1", port=int(sys.argv[2]), print=None
    )
