"""At the edges of HTTP: what a client may send, and what the manager may answer."""

import asyncio
import base64
import json
from typing import Any

import pytest
from aiohttp import web
from graphql_gateway import limits
from graphql_gateway.credentials import credentials_of

from tests.unit.postinst.services.graphql_gateway.world import (
    TOKEN,
    Client,
    FakeManager,
    Misbehave,
    ask,
    play,
)

_CHANGES = "subscription S($id: ID!) { changes(id: $id) { name } }"


def replying(body: bytes) -> Misbehave:
    """A manager that answers with this, and status 200."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return reply


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"hello": 1}, "errors": ["x"]}',
        b'{"data": {"hello": 1}, "errors": {}}',
        b'{"data": {"hello": 1}, "errors": [{"message": 5}]}',
        b'{"data": {"hello": 1}, "errors": [{"message": "m", "path": [true]}]}',
        b'{"data": [1]}',
        b'{"data": "x"}',
        b"<html>",
        b"[]",
        b"",
        b"\xff",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("{ hello }", {"hello": None}),
        ("{ hello role { name } }", {"hello": None, "role": {"name": "role1"}}),
        (
            "{ role { name holder { region } } }",
            {"role": {"name": "role1", "holder": {"region": None}}},
        ),
    ],
)
def test_an_answer_that_is_none_is_an_error_at_its_field(
    query: str, data: object, body: bytes
) -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        manager.instead["legacy"] = replying(body)
        answer = await client.ask(query)
        assert (answer.status, answer.table["data"]) == (200, data)
        (error,) = answer.errors
        assert error["extensions"]["code"] == "DOWNSTREAM_SERVICE_ERROR"
        assert error["path"] in (["hello"], ["role", "holder"])

    play(scenario)


def test_a_redirection_is_never_followed() -> None:
    elsewhere: list[str] = []

    async def scenario(client: Client, manager: FakeManager) -> None:
        async def redirect(request: web.Request) -> web.StreamResponse:
            elsewhere.append(request.path)
            raise web.HTTPFound("/gql")

        manager.instead["legacy"] = manager.instead["events"] = redirect
        for query in ("{ hello }", "{ hello role { name } }"):
            answer = await client.ask(query)
            assert answer.errors[0]["extensions"]["response"]["status"] == 302
        ((kind, failed), (end, _)) = (await client.ask(_CHANGES, {"id": "r1"})).events()
        assert (kind, end) == ("next", "complete")
        assert failed["errors"][0]["extensions"]["response"]["status"] == 302

    play(scenario)
    assert elsewhere == ["/gql", "/gql", "/gql/new"]


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "without a reason"),
        ([{"type": "next", "id": "1", "payload": [1]}], "not by GraphQL"),
        ([{"type": "next", "id": "1"}], "not by GraphQL"),
        ([{"type": "next", "id": "1", "payload": {"data": [1]}}], "is no object"),
        ([{"type": "error", "id": "1", "payload": {"message": "x"}}], "not GraphQL's"),
        ([{"kind": "next"}], "broke off"),
        ([[]], "broke off"),
    ],
)
def test_a_stream_that_ends_wrongly_has_an_error_first(messages: list[Any], says: str) -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        async def stream(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(protocols=("graphql-transport-ws",))
            await socket.prepare(request)
            await socket.receive_json()
            await socket.send_json({"type": "connection_ack"})
            await socket.receive_json()
            for message in messages:
                await socket.send_json(message)
            await socket.close()
            return socket

        manager.instead["events"] = stream
        ((kind, failed), (end, _)) = (await client.ask(_CHANGES, {"id": "r1"})).events()
        assert (kind, end) == ("next", "complete")
        assert failed["data"] is None
        assert says in failed["errors"][0]["message"]

    play(scenario)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_another_content_type_is_refused(kind: str) -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        body = b'{"query": "{ hello }"}'
        assert (await client.post(body, {**TOKEN, "Content-Type": kind})).status == 415
        assert manager.asked == []
        given = {**TOKEN, "Content-Type": "application/json; charset=utf-8"}
        assert (await client.post(body, given)).data == {"hello": "hello, you"}

    play(scenario)


def test_headers_of_the_connection_stay_here() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        given = {"Connection": "keep-alive, X-Hop, x-other", "X-Hop": "1", "X-Other": "2"}
        await client.ask("{ hello }", headers={**given, "X-Kept": "3"})
        (asked,) = manager.asked
        assert not {"X-Hop", "X-Other"} & set(asked.headers)
        assert asked.headers["X-Kept"] == "3"

    play(scenario)


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ helo }", {}),
        ("{ role { names } }", {}),
        ("{ hello(names: 1) }", {}),
        ("query($u: Unit) { agents { load(unit: $u) } }", {"u": "PERCEN"}),
        ("query($f: Filter) { agents(filter: $f) { id } }", {"f": {"hos": "x"}}),
    ],
)
def test_suggestions_are_as_secret_as_the_schema(query: str, variables: dict[str, Any]) -> None:
    (error,) = ask(query, variables).answer.errors
    assert "Did you mean" not in error["message"]
    (error,) = ask(query, variables, introspection=True).answer.errors
    assert "Did you mean" in error["message"]


def test_a_slow_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)

    async def scenario(client: Client, manager: FakeManager) -> None:
        host, port = client.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /admin/gql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        line = await asyncio.wait_for(reader.readline(), 10)
        assert b" 408 " in line
        writer.close()
        assert manager.asked == []

    play(scenario)


def test_subscriptions_are_counted_by_user_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SUBSCRIPTIONS_EACH", 2)
    monkeypatch.setattr(limits, "MAX_SUBSCRIPTIONS", 3)

    async def scenario(client: Client, manager: FakeManager) -> None:
        open_, done = [0], asyncio.Event()

        async def wait(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(protocols=("graphql-transport-ws",))
            await socket.prepare(request)
            open_[0] += 1
            await done.wait()
            await socket.close()
            return socket

        async def begin(user: str, count: int) -> asyncio.Task[Any]:
            headers = {"X-BackendAI-Token": user}
            task = asyncio.create_task(client.ask(_CHANGES, {"id": "r1"}, headers))
            while open_[0] < count:
                await asyncio.sleep(0.01)
            return task

        manager.instead["events"] = wait
        tasks = [await begin("ada", 1), await begin("ada", 2)]

        async def refused(user: str) -> bool:
            answer = await client.ask(_CHANGES, {"id": "r1"}, {"X-BackendAI-Token": user})
            code: str = answer.errors[0]["extensions"]["code"]
            return code == "TOO_MANY_SUBSCRIPTIONS"

        assert await refused("ada")
        tasks.append(await begin("bob", 3))
        assert await refused("eve")
        # Queries are not affected, and places become free again.
        assert (await client.ask("{ motto }")).data == {"motto": "ask"}
        done.set()
        await asyncio.gather(*tasks)
        ((_, failed), _) = (
            await client.ask(_CHANGES, {"id": "r1"}, {"X-BackendAI-Token": "eve"})
        ).events()
        assert "without a reason" in failed["errors"][0]["message"]

    play(scenario)


def test_only_so_many_requests_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_gateway.upstream.MAX_UPSTREAM", 3)
    running, most = [0], [0]

    async def scenario(client: Client, manager: FakeManager) -> None:
        async def slow(_request: web.Request) -> web.StreamResponse:
            running[0] += 1
            most[0] = max(most[0], running[0])
            await asyncio.sleep(0.05)
            running[0] -= 1
            return web.json_response({"data": {"hello": "x"}})

        manager.instead["legacy"] = slow
        answers = await asyncio.gather(*(client.ask("{ hello }") for _ in range(12)))
        assert all(answer.data == {"hello": "x"} for answer in answers)

    play(scenario)
    assert most[0] == 3


def token(**claims: object) -> dict[str, str]:
    """A header as the webserver makes it, with a signature that nobody checks here."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return {"X-BackendAI-Token": f"head.{body}.sign{claims.get('iat')}"}


def key(name: str, signature: str) -> dict[str, str]:
    """A header as a client with an API key makes it."""
    credential = f"credential={name}:{signature}"
    return {"Authorization": f"BackendAI signMethod=HMAC-SHA256, {credential}"}


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        (token(sub="ada", iat=1, exp=5), token(sub="ada", iat=2, exp=6), True),
        (token(sub="ada", iat=1), token(sub="bob", iat=1), False),
        (token(iat=1), token(iat=2), False),
        ({"X-BackendAI-Token": "a.b.c"}, {"X-BackendAI-Token": "a.b.d"}, False),
        ({"X-BackendAI-Token": "a"}, {"X-BackendAI-Token": "a"}, True),
        (key("AK1", "x"), key("AK1", "y"), True),
        (key("AK1", "x"), key("AK2", "x"), False),
        ({"Cookie": "s=1"}, {"Cookie": "s=2"}, False),
        ({"Cookie": "s=1"}, {"Authorization": "s=1"}, False),
    ],
)
def test_a_client_is_known_by_what_stays_of_its_credentials(
    first: dict[str, str], second: dict[str, str], *, is_same: bool
) -> None:
    assert (credentials_of(first) == credentials_of(second)) is is_same
