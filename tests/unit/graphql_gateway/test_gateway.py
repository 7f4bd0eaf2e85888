"""Operations through the gateway, as a client and the manager see them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from graphql_gateway import server
from graphql_gateway.plan import Plan, plan_operation
from graphql_gateway.supergraph import Supergraph

from tests.unit.graphql_gateway.world import Client, FakeManager, Misbehave, ask, play

_CHANGES = "subscription S($id: ID!) { changes(id: $id) { name } }"


def test_an_operation_of_one_subgraph_goes_through_as_it_is() -> None:
    query = "query Hi($name: String) { first: hello(name: $name)  hello }"
    played = ask(query, {"name": "Ada", "unused": 1})
    assert played.answer.data == {"first": "hello, Ada", "hello": "hello, you"}
    (asked,) = played.manager.asked
    assert (asked.subgraph, asked.query, asked.operation_name) == ("legacy", query, "Hi")
    assert asked.variables == {"name": "Ada"}


def test_of_several_operations_one_is_chosen() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        query = "query A { hello } query B { roles(first: 1) { ...R } } fragment R on Role { name }"
        answer = await client.ask(query, operationName="B")
        assert answer.data == {"roles": [{"name": "role1"}]}
        assert "hello" not in manager.asked[0].query
        answer = await client.ask(query)
        assert answer.errors[0]["extensions"]["code"] == "OPERATION_RESOLUTION_FAILURE"
        assert len(manager.asked) == 1

    play(scenario)


def test_root_fields_go_to_whoever_has_them_with_their_variables() -> None:
    played = ask(
        """
        query Q($first: Int, $name: String!) {
          __typename
          mine: roles(first: $first) { name page { hasNextPage } }
          hello(name: $name)
          motto
        }
        """,
        {"first": 1, "name": "Bo"},
    )
    assert played.answer.data == {
        "__typename": "Query",
        "mine": [{"name": "role1", "page": {"hasNextPage": False}}],
        "hello": "hello, Bo",
        "motto": "ask",
    }
    # In the order in which they were asked for.
    assert list(played.answer.data) == ["__typename", "mine", "hello", "motto"]
    (modern,) = played.manager.of("modern")
    (legacy,) = played.manager.of("legacy")
    assert (modern.variables, legacy.variables) == ({"first": 1}, {"name": "Bo"})
    assert "$name" not in modern.query
    assert "$first" not in legacy.query


def test_parts_of_a_query_are_asked_at_once() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        both = asyncio.Barrier(2)

        def together(name: str) -> None:
            async def handle(request: web.Request) -> web.StreamResponse:
                await asyncio.wait_for(both.wait(), 10)
                return web.json_response(manager.execute(name, await request.json()))

            manager.instead[name] = handle

        together("modern")
        together("legacy")
        answer = await client.ask("{ hello role { name } }")
        assert answer.data == {"hello": "hello, you", "role": {"name": "role1"}}

    play(scenario)


@pytest.mark.parametrize(
    ("full", "expected"),
    [(True, {"name": "role1", "holder": {"id": "a1", "host": "host1"}}), (False, {"id": "r1"})],
)
def test_conditions_hold_wherever_they_stand(full: bool, expected: dict[str, object]) -> None:
    played = ask(
        """
        query Q($full: Boolean!) {
          role { ...Short @skip(if: $full) ...Full @include(if: $full) }
          ...Hello @include(if: $full)
        }
        fragment Short on Role { id }
        fragment Full on Role { name holder { id host } }
        fragment Hello on Query { hello }
        """,
        {"full": full},
    )
    assert played.answer.data == {"role": expected, **({"hello": "hello, you"} if full else {})}
    entities = [one for one in played.manager.of("legacy") if "_entities" in one.query]
    assert len(entities) == int(full)


def test_entities_are_found_elsewhere_by_their_key() -> None:
    played = ask(
        """
        query Q($unit: Unit) {
          roles { name owner: holder { __typename address: host load(unit: $unit) } }
        }
        """,
        {"unit": "MILLE"},
    )
    first = {"__typename": "Agent", "address": "host1", "load": 10}
    assert played.answer.data == {
        "roles": [
            {"name": "role1", "owner": first},
            {"name": "role2", "owner": {"__typename": "Agent", "address": "host2", "load": 20}},
            {"name": "role3", "owner": first},
            {"name": "role4", "owner": None},
        ]
    }
    # Each once, and all at once.
    (asked,) = played.manager.of("legacy")
    assert asked.variables == {
        "unit": "MILLE",
        "representations": [
            {"__typename": "Agent", "id": "a1"},
            {"__typename": "Agent", "id": "a2"},
        ],
    }


def test_fragments_about_the_same_entity_are_one_question() -> None:
    played = ask(
        """
        { role { holder { host ...A ...B } } }
        fragment A on Agent { region ...B }
        fragment B on Agent { load peers { host } }
        """
    )
    expected = {"host": "host1", "region": None, "load": 1, "peers": [{"host": "host2"}]}
    assert played.answer.data == {"role": {"holder": expected}}
    assert len(played.manager.of("legacy")) == 1
    # The manager counts aliases.
    assert played.manager.of("modern")[0].query.count(": id") == 1


def test_a_client_may_use_the_names_that_the_gateway_would() -> None:
    played = ask("{ role { gw_1_id: name holder { gw_1_id: host gww_1_id: id } } }")
    holder = {"gw_1_id": "host1", "gww_1_id": "a1"}
    assert played.answer.data == {"role": {"gw_1_id": "role1", "holder": holder}}


@pytest.mark.parametrize(
    ("id_", "expected"),
    [
        ("a2", {"__typename": "Agent", "id": "a2", "host": "host2"}),
        ("r2", {"__typename": "Role", "id": "r2", "name": "role2", "holder": {"load": 2}}),
        ("none", None),
    ],
)
def test_interfaces_are_answered_by_what_an_object_is(id_: str, expected: object) -> None:
    played = ask(
        """
        query Q($id: ID!) {
          node(id: $id) { __typename id ...on Agent { host } ...on Role { name holder { load } } }
        }
        """,
        {"id": id_},
    )
    assert played.answer.data == {"node": expected}
    # It was taken over from the older schema.
    assert played.manager.asked[0].subgraph == "modern"


def test_unions_likewise() -> None:
    played = ask("{ found { ...on Agent { region host } ...on Node { id } } }")
    agent = {"region": None, "host": "host2", "id": "a2"}
    assert played.answer.data == {"found": [agent, {"id": "r2"}, None]}


def test_mutations_are_done_in_order_over_subgraphs() -> None:
    query = """
        mutation {
          a: log(text: "1") b: note(text: "2") c: note(text: "3") d: log(text: "4")
          rename(name: "new") { name holder { host } }
        }
    """
    played = ask(query)
    assert played.manager.done == ["1", "2", "3", "4"]
    assert played.answer.data["rename"] == {"name": "new", "holder": {"host": "host1"}}
    assert list(played.answer.data) == ["a", "b", "c", "d", "rename"]
    order = [one.subgraph for one in played.manager.asked]
    assert order == ["legacy", "modern", "legacy", "modern", "legacy"]


def test_errors_keep_their_paths() -> None:
    played = ask('mutation { ok: log(text: "1") bad: note(text: "fail") }')
    # The field is not nullable, and so is the whole answer.
    assert played.answer.table["data"] is None
    (error,) = played.answer.errors
    assert (error["message"], error["path"]) == ("not written", ["bad"])


def test_errors_about_an_entity_are_told_where_it_is() -> None:
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


def test_a_null_that_may_not_be_is_told_even_where_nobody_told_why() -> None:
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
        # Alone, it is told likewise.
        answer = await client.ask("{ hello }")
        assert (answer.status, answer.table["data"]) == (200, None)

    play(scenario)


def test_a_manager_that_is_away_is_told() -> None:
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


def test_a_refusal_is_told_as_the_web_ui_reads_it() -> None:
    """By ``extensions.response`` it knows that somebody has to log in again."""

    async def scenario(client: Client, manager: FakeManager) -> None:
        problem = {"type": "https://api.backend.ai/probs/auth-failed", "msg": "Credential wrong"}

        async def refuse(_request: web.Request) -> web.StreamResponse:
            return web.json_response(problem, status=401)

        manager.instead["legacy"] = manager.instead["modern"] = refuse
        for query in ("{ hello }", "{ hello agents { id } role { name } }"):
            answer = await client.ask(query)
            assert answer.status == 200
            assert answer.table["data"] is None
            for error in answer.errors:
                assert error["message"] == "Credential wrong"
                response = error["extensions"]["response"]
                assert (response["status"], response["body"]) == (401, problem)

    play(scenario)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"other": 1}'])
def test_what_is_no_answer_is_told(body: bytes) -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        async def other(_request: web.Request) -> web.StreamResponse:
            return web.Response(body=body)

        manager.instead["modern"] = other
        answer = await client.ask("{ hello role { name } }")
        assert answer.table["data"] is None
        assert "manager" in answer.errors[0]["message"]

    play(scenario)


def test_the_authentication_goes_through_unchanged() -> None:
    given = {
        "Authorization": "BackendAI signMethod=HMAC-SHA256, credential=AK:sig",
        "X-BackendAI-Token": "a.jwt.token",
        "X-BackendAI-Version": "v9.20250722",
        "Date": "Tue, 24 Nov 2026 21:00:00 GMT",
        "X-Forwarded-For": "10.9.8.7",
        "Cookie": "AIOHTTP_SESSION=abc",
    }

    async def scenario(client: Client, manager: FakeManager) -> None:
        await client.ask("{ hello roles { holder { host } } motto }", headers=given)
        await client.ask("{ hello }", headers={**given, "Accept-Encoding": "br", "TE": "x"})
        assert len(manager.asked) == 5
        for asked in manager.asked:
            assert given.items() <= asked.headers.items()
            assert asked.headers["Content-Type"] == "application/json"
        assert "TE" not in manager.asked[-1].headers
        # Nothing of one client's is left for the next.
        await client.ask("{ hello }")
        assert not set(given) & set(manager.asked[-1].headers)

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
def test_fragments_that_explode_are_refused(on: str, head: str, tail: str) -> None:
    parts = [f"fragment F{n} on {on} {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40)]
    query = f"{head} {' '.join(parts)} fragment F40 on {on} {{ {tail} }}"
    assert ask(query).answer.errors[0]["message"] == "the query is too large"


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


def test_plans_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[str] = []

    def note(supergraph: Supergraph, query: str, *rest: Any, **more: Any) -> Plan:
        planned.append(query)
        return plan_operation(supergraph, query, *rest, **more)

    monkeypatch.setattr(server, "plan_operation", note)
    monkeypatch.setattr(server, "_KEPT", 30)

    async def scenario(client: Client, _manager: FakeManager) -> None:
        for query in ("{ hello }", "{ motto }", "{ hello }", "{ role { id } }", "{ hello }"):
            assert (await client.ask(query)).data
        assert planned == ["{ hello }", "{ motto }", "{ role { id } }"]
        assert (await client.ask("{ motto }")).data
        assert planned[3:] == ["{ motto }"]

    play(scenario)


def test_introspection_is_of_the_whole_where_it_is_allowed() -> None:
    query = '{ __schema { queryType { name } } __type(name: "Agent") { fields { name } } hello }'
    played = ask(query, introspection=True)
    data = played.answer.data
    assert data["__schema"] == {"queryType": {"name": "Query"}}
    names = [one["name"] for one in data["__type"]["fields"]]
    assert names == ["id", "host", "load", "region", "peers"]
    assert data["hello"] == "hello, you"


def test_any_json_passes() -> None:
    played = ask("{ info role { id } }")
    assert played.answer.data["info"] == {"any": [1, {"thing": None}]}


def test_a_variable_of_the_wrong_kind_is_told() -> None:
    played = ask("query($n: Int) { roles(first: $n) { id } hello }", {"n": "many"})
    assert "$n" in played.answer.errors[0]["message"]


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


def test_a_subscription_that_is_refused_or_fails_is_told() -> None:
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
        manager.pause = 0.5
        answer = await client.ask(_CHANGES, {"id": "r1"})
        assert [kind for kind, _ in answer.events()] == ["next", "next", "complete"]

    play(scenario, timeout_seconds=0.2)


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


def test_it_says_that_it_is_ready() -> None:
    async def scenario(client: Client, _manager: FakeManager) -> None:
        for path in ("/readiness", "/healthcheck"):
            async with client.session.get(f"{client.url}{path}") as response:
                assert response.status == 200
        async with client.session.get(f"{client.url}/admin/gql") as response:
            assert response.status == 405

    play(scenario)


def test_many_ask_at_once() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        queries = [f"{{ roles(first: {n % 4}) {{ id holder {{ host }} }} }}" for n in range(60)]
        answers = await asyncio.gather(*map(client.ask, queries))
        assert [len(one.data["roles"]) for one in answers] == [n % 4 for n in range(60)]
        assert all(json.loads(one.text) for one in answers)

    play(scenario)


@asynccontextmanager
async def _server(handler: Misbehave) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/trap"))
