"""The answer to a client that asks wrongly, or while the manager fails or misbehaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.unit.postinst.services.graphql_gateway.world import (
    Client,
    FakeManager,
    Misbehave,
    ask,
    play,
)


def test_errors_keep_their_paths() -> None:
    played = ask('mutation { ok: log(text: "1") bad: note(text: "fail") }')
    # The field is not nullable, and so is the whole answer.
    assert played.answer.table["data"] is None
    (error,) = played.answer.errors
    assert (error["message"], error["path"]) == ("not written", ["bad"])


def test_errors_about_an_entity_are_reported_at_its_place() -> None:
    played = ask('{ hello node(id: "gone") { id ... on Agent { host region } } }')
    assert played.answer.table["data"] == {"hello": "hello, you", "node": None}
    (error,) = played.answer.errors
    assert (error["message"], error["path"]) == ("no such agent", ["node"])


def test_an_error_below_an_entity_has_the_whole_path() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        async def partly(_request: web.Request) -> web.StreamResponse:
            error = {"message": "slow", "path": ["_entities", 0, "region"]}
            return web.json_response({"data": {"_entities": [{"region": None}]}, "errors": [error]})

        manager.instead["legacy"] = partly
        answer = await client.ask("{ roles(first: 1) { owner: holder { region } } }")
        assert answer.table["data"] == {"roles": [{"owner": {"region": None}}]}
        assert answer.errors == [{"message": "slow", "path": ["roles", 0, "owner", "region"]}]

    play(scenario)


def test_a_null_that_is_not_allowed_is_reported_even_without_a_reason() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        async def nothing(_request: web.Request) -> web.StreamResponse:
            return web.json_response({"data": {"_entities": [None]}})

        manager.instead["legacy"] = nothing
        answer = await client.ask("{ role { name holder { host } } }")
        assert answer.table["data"] == {"role": {"name": "role1", "holder": None}}
        (error,) = answer.errors
        assert error["path"] == ["role", "holder", "host"]

    play(scenario)


def test_a_subgraph_that_is_down_leaves_the_rest() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        async def away(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        manager.instead["legacy"] = away
        answer = await client.ask("{ hello role { name } }")
        assert answer.status == 200
        assert answer.table["data"] == {"hello": None, "role": {"name": "role1"}}
        (error,) = answer.errors
        assert error["path"] == ["hello"]
        assert error["extensions"]["code"] == "DOWNSTREAM_SERVICE_ERROR"
        assert error["extensions"]["serviceName"] == "legacy"
        # Alone, it is reported likewise.
        answer = await client.ask("{ hello }")
        assert (answer.status, answer.table["data"]) == (200, {"hello": None})
        assert [error["path"] for error in answer.errors] == [["hello"]]

    play(scenario)


def test_an_unreachable_manager_is_reported() -> None:
    played = ask("{ hello }", manager_url="http://127.0.0.1:9")
    assert played.answer.status == 200
    assert "does not answer" in played.answer.errors[0]["message"]


def test_a_manager_that_hangs_is_given_up() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        async def hang(_request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(5)
            return web.Response()

        manager.instead["legacy"] = hang
        answer = await client.ask("{ hello }")
        assert "took too long" in answer.errors[0]["message"]

    play(scenario, timeout_seconds=0.2)


def test_a_refusal_has_the_form_that_the_web_ui_reads() -> None:
    """By ``extensions.response`` it knows that somebody has to log in again."""

    async def scenario(client: Client, manager: FakeManager) -> None:
        problem = {"type": "https://api.backend.ai/probs/auth-failed", "msg": "Credential wrong"}

        async def refuse(_request: web.Request) -> web.StreamResponse:
            return web.json_response(problem, status=401)

        manager.instead["legacy"] = manager.instead["modern"] = refuse
        for query, data in (
            ("{ hello }", {"hello": None}),
            ("{ hello agents { id } role { name } }", None),
        ):
            answer = await client.ask(query)
            assert answer.status == 200
            assert answer.table["data"] == data
            for error in answer.errors:
                assert error["message"] == "Credential wrong"
                response = error["extensions"]["response"]
                assert (response["status"], response["body"]) == (401, problem)

    play(scenario)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"other": 1}'])
def test_what_is_no_answer_is_reported(body: bytes) -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        async def other(_request: web.Request) -> web.StreamResponse:
            return web.Response(body=body)

        manager.instead["modern"] = other
        answer = await client.ask("{ hello role { name } }")
        assert answer.table["data"] is None
        assert "manager" in answer.errors[0]["message"]

    play(scenario)


def test_only_the_manager_is_asked() -> None:
    """Neither a client nor the manager can send it elsewhere."""
    elsewhere: list[str] = []

    async def trap(request: web.Request) -> web.StreamResponse:
        elsewhere.append(request.path)
        return web.json_response({"data": {"hello": "trapped"}})

    async def scenario(client: Client, manager: FakeManager) -> None:
        async with _server(trap) as url:

            async def redirect(_request: web.Request) -> web.StreamResponse:
                raise web.HTTPTemporaryRedirect(url)

            manager.instead["legacy"] = redirect
            answer = await client.ask(
                "{ hello }", headers={"X-Forwarded-Host": url, "X-BackendAI-Endpoint": url}
            )
            assert answer.errors[0]["extensions"]["response"]["status"] == 307
        for path in ("", "/admin/graphql", "/gql", "/admin/gql/../../func", "//evil/admin/gql"):
            async with client.session.post(f"{client.url}{path}", json={}) as response:
                assert response.status in (404, 405)
        assert len(manager.asked) == 1

    play(scenario)
    assert elsewhere == []


def test_a_body_that_is_too_large_is_refused() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        answer = await client.ask("{ hello }", {"x": "y" * 200_000})
        assert answer.status == 413
        assert answer.errors[0]["extensions"]["code"] == "PAYLOAD_TOO_LARGE"
        assert manager.asked == []

    play(scenario)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"query": 1}', b'{"query": "{a}", "variables": []}'.replace(b"[]", b"3")],
)
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        assert (await client.post(body)).status == 400
        assert manager.asked == []

    play(scenario)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ _service { sdl } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($a: Int!) { roles(first: $a) { id } hello", "GRAPHQL_PARSE_FAILED"),
        ("{ ...A } fragment A on Query { ...A }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ hello @include(if: $no) }", "GRAPHQL_VALIDATION_FAILED"),
        ("{" * 5000 + "}" * 5000, "GRAPHQL_PARSE_FAILED"),
        ("{" + " hello" * 30_000 + "}", "GRAPHQL_PARSE_FAILED"),
        ("{ __schema { types { name } } }", "INTROSPECTION_DISABLED"),
        ('{ hello ...F } fragment F on Query { __type(name: "Role") { name } }',
         "INTROSPECTION_DISABLED"),
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused_here(query: str, code: str) -> None:
    played = ask(query, max_request_bytes=1_000_000)
    assert played.answer.status == 200
    assert played.answer.errors[0]["extensions"]["code"] == code
    assert played.manager.asked == []


@pytest.mark.parametrize(
    ("on", "head", "tail"),
    [("Role", "{ role { ...F0 } }", "holder { host }"), ("Query", "{ ...F0 }", "hello")],
)
def test_fragments_that_double_are_looked_at_once(on: str, head: str, tail: str) -> None:
    parts = [f"fragment F{n} on {on} {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40)]
    query = f"{head} {' '.join(parts)} fragment F40 on {on} {{ {tail} }}"
    played = ask(query)
    assert "errors" not in played.answer.table
    assert len(played.manager.of("legacy")) == 1
    assert all(len(asked.query) <= len(query) for asked in played.manager.asked)


@pytest.mark.parametrize("depth", [20, 60, 90, 120, 150, 400])
def test_what_is_nested_is_answered_or_refused(depth: int) -> None:
    """However deep the interpreter can go: nobody sees it fail."""
    query = "{ role { holder { " + "peers { " * depth + "id" + " }" * depth + " } } }"
    answer = ask(query).answer
    assert answer.status == 200
    peers: dict[str, Any] = {"role": {"holder": {"peers": [{"peers": []}]}}}
    assert answer.table.get("data", peers) == peers
    assert ("errors" in answer.table) == ("data" not in answer.table)
    assert "data" in answer.table or depth > 20


def test_a_variable_of_the_wrong_kind_is_reported() -> None:
    played = ask("query($n: Int) { roles(first: $n) { id } hello }", {"n": "many"})
    assert "$n" in played.answer.errors[0]["message"]


@asynccontextmanager
async def _server(handler: Misbehave) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/trap"))
