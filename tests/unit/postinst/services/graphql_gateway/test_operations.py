"""Operations through the gateway, as a client and the manager see them."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from graphql_gateway import cache, limits
from graphql_gateway.plan import Prepared, prepare
from graphql_gateway.supergraph import Supergraph

from tests.unit.postinst.services.graphql_gateway.world import Client, FakeManager, ask, play


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
    entities = [request for request in played.manager.of("legacy") if "_entities" in request.query]
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
    order = [request.subgraph for request in played.manager.asked]
    assert order == ["legacy", "modern", "legacy", "modern", "legacy"]


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
        await client.ask("{ motto }")
        left = set(given) - {"X-BackendAI-Token"}
        assert not left & set(manager.asked[-1].headers)

    play(scenario)


def test_plans_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[str] = []

    def note(supergraph: Supergraph, query: str, *rest: Any, **more: Any) -> Prepared:
        planned.append(query)
        return prepare(supergraph, query, *rest, **more)

    monkeypatch.setattr(cache, "prepare", note)
    monkeypatch.setattr(limits, "MAX_KEPT_BYTES", 9_600)

    async def scenario(client: Client, _manager: FakeManager) -> None:
        queries = [f"{{ motto a{n}: hello }}" for n in range(12)]
        for query in (*queries, queries[-1]):
            assert (await client.ask(query)).data
        assert planned == queries
        assert (await client.ask(queries[0])).data
        assert planned[len(queries) :] == [queries[0]]

    play(scenario)


@pytest.mark.parametrize(("value", "asked"), [("true", 2), ("false", 1)])
def test_a_constant_condition_drops_a_part(value: str, asked: int) -> None:
    played = ask(f"{{ hello role @include(if: {value}) {{ name }} }}")
    assert len(played.manager.asked) == asked
    assert ("role" in played.answer.data) == (asked == 2)


def test_introspection_is_of_the_whole_where_it_is_allowed() -> None:
    query = '{ __schema { queryType { name } } __type(name: "Agent") { fields { name } } hello }'
    played = ask(query, introspection=True)
    data = played.answer.data
    assert data["__schema"] == {"queryType": {"name": "Query"}}
    names = [field["name"] for field in data["__type"]["fields"]]
    assert names == ["id", "host", "load", "region", "peers"]
    assert data["hello"] == "hello, you"


def test_any_json_passes() -> None:
    played = ask("{ info role { id } }")
    assert played.answer.data["info"] == {"any": [1, {"thing": None}]}


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
        assert [len(answer.data["roles"]) for answer in answers] == [n % 4 for n in range(60)]
        assert all(json.loads(answer.text) for answer in answers)

    play(scenario)
