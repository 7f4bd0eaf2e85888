"""What one operation may cost: bytes of its plan, requests, and what is kept of it."""

from typing import Any

import pytest
from graphql_gateway import limits
from graphql_gateway.errors import RequestError
from graphql_gateway.plan import plan_operation, prepare
from graphql_gateway.supergraph import compose

from tests.unit.postinst.services.graphql_gateway.direct import World
from tests.unit.postinst.services.graphql_gateway.schemas import TEXTS
from tests.unit.postinst.services.graphql_gateway.world import Client, FakeManager, ask, play


def agents(count: int = 1) -> World:
    """Agents that one subgraph lists, and another describes."""
    kind = 'type Agent @key(fields: "id")'
    return World(
        texts={
            "a": f"type Query {{ agent(n: Int): Agent agents: [Agent] }} {kind} "
            "{ id: ID! peer: Agent }",
            "b": f"{kind} {{ id: ID! host: String load(u: Int): Int }}",
        },
        roots={
            "a": {
                "agent": lambda _info, n=0: {"id": str(n), "peer": {"id": f"p{n}"}},
                "agents": [{"id": str(n), "peer": None} for n in range(count)],
            }
        },
        find={
            "b": lambda found: {
                **found,
                "__typename": "Agent",
                "host": f"host{found['id']}",
                "load": lambda _info, u=0: u,
            }
        },
    )


def test_many_aliases_are_two_requests() -> None:
    world = agents()
    query = "{" + " ".join(f"a{n}: agent(n: {n}) {{ host }}" for n in range(900)) + "}"
    found = world.data(query)
    assert found["a7"] == {"host": "host7"}
    assert [name for name, _ in world.asked] == ["a", "b"]
    # The same fields of all are one list of entities.
    assert len(world.asked[1][1]["variables"]["representations"]) == 900


def test_different_fields_of_entities_are_one_request_too() -> None:
    world = agents()
    query = "{" + " ".join(f"a{n}: agent {{ peer {{ load(u: {n}) }} }}" for n in range(20)) + "}"
    assert world.data(query)["a3"] == {"peer": {"load": 3}}
    assert [name for name, _ in world.asked] == ["a", "b"]


def test_a_mutation_of_too_many_parts_is_refused() -> None:
    fields = " ".join(f'a{n}: log(text: "1") b{n}: note(text: "2")' for n in range(60))
    played = ask(f"mutation {{ {fields} }}")
    assert "more than 100 requests" in played.answer.errors[0]["message"]
    assert played.manager.asked == []


def doubled(depth: int, alias: str) -> str:
    """Fragments that select two objects, each with the next fragment: 2 to the power of depth."""
    parts = [
        f"fragment F{n} on Agent {{ {alias}{n}: peers {{ ...F{n + 1} }} peers {{ ...F{n + 1} }} }}"
        for n in range(depth)
    ]
    end = f"fragment F{depth} on Agent {{ host }}"
    return f"{{ role {{ holder {{ ...F0 }} }} }} {' '.join(parts)} {end}"


def test_fragments_that_double_make_no_large_plan() -> None:
    query = doubled(12, "a" * 500)
    assert len(query) < 10_000
    with pytest.raises(RequestError, match="too large"):
        plan_operation(compose(TEXTS), query, None)
    # What is small enough is planned, within the limit.
    prepared = prepare(compose(TEXTS), doubled(6, "a"), None, introspection=False)
    assert prepared.whole is not None
    assert 0 < prepared.whole.size < limits.MAX_PLAN_BYTES


def test_a_long_query_is_refused_before_it_is_read() -> None:
    played = ask("{ hello } #" + "x" * limits.MAX_QUERY_BYTES, max_request_bytes=10**6)
    assert played.answer.errors[0]["extensions"]["code"] == "PAYLOAD_TOO_LARGE"
    assert played.manager.asked == []


def test_nothing_is_planned_without_credentials() -> None:
    async def scenario(client: Client, manager: FakeManager) -> None:
        async def stranger(query: str) -> tuple[int, dict[str, Any]]:
            body = b'{"query": "' + query.encode() + b'"}'
            answer = await client.post(body)
            return answer.status, answer.table

        status, table = await stranger("{ motto }")
        assert (status, table) == (200, {"data": {"motto": "ask"}})
        for query in ("{ hello }", "{ motto ...F } fragment F on Query { hello }", "{ nothing }"):
            status, table = await stranger(query)
            assert status == 200
            (error,) = table["errors"]
            assert error["extensions"]["response"]["status"] == 401
        _, table = await stranger("{" + " motto" * 2000 + "}")
        assert "errors" in table
        assert [asked.subgraph for asked in manager.asked] == ["open"]

    play(scenario)
