"""Requests to the GraphQL gateway: a plan, or an error that the client gets."""

import json
from random import Random

import pytest
from graphql_gateway.errors import RequestError
from graphql_gateway.plan import plan_operation
from graphql_gateway.server import read_request
from graphql_gateway.supergraph import Supergraph, compose
from hypothesis import given

from tests.fuzz.mutate import mutate, seeds
from tests.unit.postinst.services.graphql_gateway.schemas import TEXTS

_QUERIES = (
    "query A($host: String) { agents(filter: {host: $host}) { id ... on Agent { host } } }",
    '{ hello(name: "x") }',
    "{ roles(first: 2) { id name agent { id host } } motto __typename }",
    'mutation { log(text: "a") note(text: "b") rename(name: "c") { id } }',
    "query Q { ...F ...F @include(if: true) } fragment F on Query { found { __typename id } }",
    "subscription S($id: ID!) { changes(id: $id) { id name } }",
    "query I { __schema { types { name } } }",
)


@pytest.fixture(scope="module")
def supergraph() -> Supergraph:
    """Of the small schemas."""
    return compose(TEXTS)


@given(chance=seeds())
def test_requests(supergraph: Supergraph, chance: Random) -> None:
    query = mutate(chance.choice(_QUERIES).encode(), chance).decode("utf-8", "replace")
    table = {"query": query, "variables": {"host": "h"}, "operationName": None}
    body = json.dumps(table).encode()
    if chance.random() < 0.4:
        body = mutate(body, chance)
    try:
        table = read_request(body)
        name = table.get("operationName")
        plan = plan_operation(supergraph, str(table["query"]), str(name) if name else None)
    except RequestError as error:
        json.dumps(error.errors)
        return
    except ValueError as error:
        assert str(error).startswith("the request is no ")  # noqa: PT017 - by what it says
        return
    except RecursionError:  # the server answers "nested too deeply"
        return
    for part in plan.parts:
        part.query.encode()
