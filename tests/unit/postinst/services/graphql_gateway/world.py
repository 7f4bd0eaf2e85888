"""A gateway before a manager that is not one, both on loopback."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from graphql import GraphQLSchema, build_schema, graphql_sync
from graphql_gateway.config import Settings, SubgraphSpec
from graphql_gateway.server import PATH, Gateway
from graphql_gateway.supergraph import compose
from graphql_gateway.upstream import Upstream

from tests.unit.postinst.services.graphql_gateway.schemas import PATHS, TEXTS, roots

TOKEN = {"X-BackendAI-Token": "a.jwt.token"}  # of a user

Misbehave = Callable[[web.Request], Awaitable[web.StreamResponse]]


def executable(text: str) -> GraphQLSchema:
    """A subgraph's text as a schema that runs."""
    plain = text.replace("extend type", "type")
    return build_schema(plain, assume_valid=True, assume_valid_sdl=True)


@dataclass(kw_only=True)
class Asked:
    """One request that the manager got."""

    subgraph: str
    query: str
    variables: Mapping[str, Any]
    operation_name: str | None
    headers: Mapping[str, str]


@dataclass(kw_only=True)
class FakeManager:
    """Answers by the small schemas; what it does instead is said by path."""

    asked: list[Asked] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    instead: dict[str, Misbehave] = field(default_factory=dict)
    # Answers of a subscription, in place of those of its schema.
    events: list[dict[str, Any]] = field(default_factory=list)
    pause: float = 0.0  # before each

    def __post_init__(self) -> None:
        self._schemas = {name: executable(text) for name, text in TEXTS.items()}
        self._roots = roots(self.done)

    def of(self, subgraph: str) -> list[Asked]:
        """What one subgraph was asked."""
        return [request for request in self.asked if request.subgraph == subgraph]

    def application(self) -> web.Application:
        """Its routes, and a trap for any other."""
        app = web.Application(client_max_size=2**26)
        for name, path in PATHS.items():
            app.router.add_post(path, self._handler(name))
            app.router.add_get(path, self._events)
        return app

    def _handler(self, name: str) -> Misbehave:
        async def handle(request: web.Request) -> web.StreamResponse:
            payload = await request.json()
            self.asked.append(
                Asked(
                    subgraph=name,
                    query=payload["query"],
                    variables=payload["variables"],
                    operation_name=payload.get("operationName"),
                    headers=dict(request.headers),
                )
            )
            if name in self.instead:
                return await self.instead[name](request)
            return web.json_response(self.execute(name, payload))

        return handle

    def execute(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What the schema of one subgraph answers."""
        result = graphql_sync(
            self._schemas[name],
            payload["query"],
            root_value=self._roots[name],
            variable_values=dict(payload["variables"]),
            operation_name=payload.get("operationName"),
        )
        table: dict[str, Any] = {"data": result.data}
        if result.errors:
            table["errors"] = [dict(error.formatted) for error in result.errors]
        return table

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if "events" in self.instead:
            return await self.instead["events"](request)
        socket = web.WebSocketResponse(protocols=("graphql-transport-ws",))
        await socket.prepare(request)
        assert (await socket.receive_json())["type"] == "connection_init"
        await socket.send_json({"type": "ping"})
        assert (await socket.receive_json())["type"] == "pong"
        await socket.send_json({"type": "connection_ack"})
        asked = await socket.receive_json()
        payload = asked["payload"]
        self.asked.append(
            Asked(
                subgraph="events",
                query=payload["query"],
                variables=payload["variables"],
                operation_name=payload.get("operationName"),
                headers=dict(request.headers),
            )
        )
        query = {**payload, "query": payload["query"].replace("subscription", "query", 1)}
        answer = {"data": {"changes": self.execute_changes(query)}}
        for event in self.events or [answer, answer]:
            await asyncio.sleep(self.pause)
            kind = "error" if isinstance(event.get("payload"), list) else "next"
            await socket.send_json(
                {"id": asked["id"], "type": kind, "payload": event.get("payload", event)}
            )
        await socket.send_json({"id": asked["id"], "type": "complete"})
        await socket.close()
        return socket

    def execute_changes(self, payload: Mapping[str, Any]) -> Any:
        """A subscription's field, as a query of the same type would be answered."""
        query = payload["query"].replace("changes(id: $id)", "changes: node(id: $id)")
        body = query.partition("changes: node(id: $id) {")
        inside = f"{body[0]}{body[1]} ... on Role {{ {body[2]} }}"
        return self.execute("modern", {**payload, "query": inside})["data"]["changes"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a client got."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def table(self) -> dict[str, Any]:
        """Read as JSON."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def data(self) -> Any:
        """The data, where there are no errors."""
        assert "errors" not in self.table, self.table
        return self.table["data"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The errors."""
        found: list[dict[str, Any]] = self.table["errors"]
        return found

    def events(self) -> list[tuple[str, Any]]:
        """Read as server-sent events."""
        found = []
        for block in self.text.split("\n\n"):
            lines = [line for line in block.split("\n") if line and not line.startswith(":")]
            if lines:
                kind = lines[0].removeprefix("event: ")
                data = lines[1].removeprefix("data:").strip()
                found.append((kind, json.loads(data) if data else None))
        return found


@dataclass(kw_only=True)
class Client:
    """Asks the gateway."""

    url: str
    session: aiohttp.ClientSession

    async def ask(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> Answer:
        """One operation."""
        payload = {"query": query, "variables": variables, **more}
        return await self.post(json.dumps(payload).encode(), {**TOKEN, **(headers or {})})

    async def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Any body."""
        given = {"Content-Type": "application/json", **(headers or {})}
        async with self.session.post(f"{self.url}{PATH}", data=body, headers=given) as response:
            return Answer(
                status=response.status,
                text=await response.text(),
                headers=dict(response.headers),
            )


Scenario = Callable[[Client, FakeManager], Awaitable[None]]
_SETTINGS = Settings(
    host="127.0.0.1",
    port=0,
    introspection=False,
    max_request_bytes=100_000,
    manager_url="",
    timeout_seconds=20.0,
)


def play(scenario: Scenario, **settings: Any) -> FakeManager:
    """Run ``scenario`` with a gateway of these settings; returns the manager to look at."""
    manager = FakeManager()
    asyncio.run(_play(scenario, manager, settings))
    return manager


async def _play(scenario: Scenario, manager: FakeManager, settings: Mapping[str, Any]) -> None:
    subgraphs = tuple(SubgraphSpec(name=name, path=path, schema="") for name, path in PATHS.items())
    async with TestServer(manager.application()) as server:
        url = str(server.make_url("")).rstrip("/")
        chosen = replace(_SETTINGS, **{"manager_url": url, **settings})
        async with (
            Upstream.open(chosen, subgraphs) as upstream,
            TestServer(
                Gateway(compose(TEXTS, open_=["open"]), upstream, chosen).application()
            ) as gateway,
            aiohttp.ClientSession() as session,
        ):
            client = Client(url=str(gateway.make_url("")).rstrip("/"), session=session)
            await scenario(client, manager)


def ask(query: str, variables: Mapping[str, Any] | None = None, **settings: Any) -> "Played":
    """One operation: what the client got, and what the manager was asked."""
    found: list[Answer] = []

    async def scenario(client: Client, _manager: FakeManager) -> None:
        found.append(await client.ask(query, variables))

    manager = play(scenario, **settings)
    return Played(answer=found[0], manager=manager)


@dataclass(frozen=True, kw_only=True)
class Played:
    """The end of a scenario of one operation."""

    answer: Answer
    manager: FakeManager
