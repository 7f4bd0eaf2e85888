"""Subscriptions through the gateway: streams of events, and how they end."""

import asyncio

import pytest
from aiohttp import web
from graphql_gateway import server

from tests.unit.postinst.services.graphql_gateway.world import Client, FakeManager, play

_CHANGES = "subscription S($id: ID!) { changes(id: $id) { name } }"


def test_a_subscription_is_a_stream_of_events() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        query = "subscription S($id: ID!) { changes(id: $id) { name holder { host } } }"
        answer = await client.ask(query, {"id": "r1"}, {"X-BackendAI-Token": "t"})
        assert answer.headers["Content-Type"] == "text/event-stream"
        data = {"data": {"changes": {"name": "role1", "holder": {"host": "host1"}}}}
        assert answer.events() == [("next", data), ("next", data), ("complete", None)]
        (asked,) = manager.of("events")
        assert asked.headers["X-BackendAI-Token"] == "t"
        assert asked.variables == {"id": "r1"}
        # Each event asks for its entities anew.
        assert len(manager.of("legacy")) == 2

    play(scenario)


def test_a_subscription_that_is_refused_or_fails_is_reported() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        manager.events = [{"payload": [{"message": "no such thing"}]}]
        ((_, failed), (end, _)) = (await client.ask(_CHANGES, {"id": "r1"})).events()
        assert failed["errors"][0]["message"] == "no such thing"
        assert end == "complete"

        async def refuse(_request: web.Request) -> web.StreamResponse:
            raise web.HTTPUnauthorized

        manager.instead["events"] = refuse
        ((_, failed), _) = (await client.ask(_CHANGES, {"id": "r1"})).events()
        assert failed["errors"][0]["extensions"]["response"]["status"] == 401

    play(scenario)


def test_a_subscription_outlives_the_limit_of_a_query() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        manager.pause = 0.2
        answer = await client.ask(_CHANGES, {"id": "r1"})
        assert [kind for kind, _ in answer.events()] == ["next", "next", "complete"]

    play(scenario, timeout_seconds=0.1)


def test_a_client_that_leaves_ends_its_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_EVENT_SECONDS", 0.05)

    async def scenario(client: Client, manager: FakeManager) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def wait(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(protocols=("graphql-transport-ws",))
            await socket.prepare(request)
            begun.set()
            async for _ in socket:
                pass
            ended.set()
            return socket

        manager.instead["events"] = wait
        asking = asyncio.create_task(client.ask(_CHANGES, {"id": "r1"}))
        await asyncio.wait_for(begun.wait(), 10)
        asking.cancel()
        await asyncio.wait_for(ended.wait(), 10)

    play(scenario)
