"""Any subgraphs, without a network: plans run against executable schemas in this process."""

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLSchema, build_schema, graphql_sync
from graphql_gateway.plan import Plan, plan_operation
from graphql_gateway.run import Run
from graphql_gateway.supergraph import Supergraph, compose
from graphql_gateway.upstream import Upstream

Root = Mapping[str, Any]
_MACHINERY = """
scalar _Any
extend type Query {{ _entities(representations: [_Any!]!): [_Entity]! }}
union _Entity = {members}
"""


@dataclass(kw_only=True)
class World:
    """Subgraphs, what their root fields return, and how each finds entities."""

    texts: Mapping[str, str]
    roots: Mapping[str, Root]
    find: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    # Payloads in the order in which they were asked for.
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.supergraph: Supergraph = compose(self.texts)
        self.schemas = {name: self._executable(name) for name in self.texts}

    def _executable(self, name: str) -> GraphQLSchema:
        subgraph = next(each for each in self.supergraph.subgraphs if each.name == name)
        text = self.texts[name].replace("extend type", "type")
        if "type Query" not in text:
            text += "\ntype Query { _unused: Int }"
        if subgraph.keys and "_entities" not in text:
            text += _MACHINERY.format(members=" | ".join(sorted(subgraph.keys)))
        return build_schema(text, assume_valid=True, assume_valid_sdl=True)

    def plan(self, query: str, variables: Mapping[str, Any] | None = None) -> Plan:
        """The plan of a query."""
        return plan_operation(self.supergraph, query, None, variables)

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The response to a query."""
        return asyncio.run(self._ask(self.plan(query, variables), variables or {}))

    def data(self, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        """The data of a response without errors."""
        table = self.ask(query, variables)
        assert "errors" not in table, table
        return table["data"]

    async def _ask(self, plan: Plan, variables: Mapping[str, Any]) -> dict[str, Any]:
        with ThreadPoolExecutor(max_workers=1) as worker:
            run = Run(
                supergraph=self.supergraph,
                upstream=_Direct(self, worker),
                plan=plan,
                variables=variables,
                headers={},
            )
            found: dict[str, Any] = json.loads(await run.answer())
        return found

    def execute(self, name: str, payload: dict[str, Any]) -> bytes:
        """What one subgraph responds; AssertionError if the request does not fit its schema."""
        self.asked.append((name, payload))
        root = dict(self.roots.get(name, {}))
        if name in self.find:
            root["_entities"] = lambda _info, representations: [
                self.find[name](representation) for representation in representations
            ]
        result = graphql_sync(
            self.schemas[name],
            payload["query"],
            root_value=root,
            variable_values=payload["variables"],
            operation_name=payload.get("operationName"),
        )
        assert result.data is not None or result.errors
        if result.data is None:
            raise AssertionError(f"{name}: {payload['query']}: {result.errors}")
        table: dict[str, Any] = {"data": result.data}
        if result.errors:
            table["errors"] = [dict(error.formatted) for error in result.errors]
        return json.dumps(table).encode()


class _Direct(Upstream):
    def __init__(self, world: World, worker: ThreadPoolExecutor) -> None:
        self.worker = worker
        self._world = world

    async def ask_raw(
        self,
        subgraph: str,
        payload: Mapping[str, object],
        headers: Mapping[str, str],  # noqa: ARG002 - the interface's
    ) -> bytes:
        """Return what the schema of a subgraph answers."""
        return self._world.execute(subgraph, dict(payload))
