"""The gateway's answers to valid operations, and one joined schema's: both are equal."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from graphql import graphql_sync, parse, validate
from graphql_gateway.errors import RequestError
from graphql_gateway.supergraph import compose
from hypothesis import given, settings

from builder.base.paths import cache_root
from tests.fuzz.conftest import CASES
from tests.fuzz.graph import Graph, Operations
from tests.fuzz.mutate import seeds
from tests.unit.postinst.services.graphql_gateway.direct import World
from tests.unit.postinst.services.graphql_gateway.schemas import TEXTS

_SHARED = {
    "a": """
        type Query { p(n: Int): P all(first: Int = 2): [P!]! any: [U] shared(n: Int): V }
        type P implements I @key(fields: "id") { id: ID! price: V peer: P kind: K }
        interface I { id: ID! price: V }
        type Q implements I @key(fields: "id") { id: ID! price: V name: String! }
        union U = P | Q | R
        type R { name: String }
        type V { x: Int w: V }
        enum K { ONE TWO }
    """,
    "b": """
        type Query { deep: R other: [I!] shared(n: Int): V }
        interface I { id: ID! price: V }
        type P implements I @key(fields: "id") @key(fields: "upc") {
            id: ID! upc: ID! price: V name(up: Boolean): String list: [P!]!
        }
        type Q implements I @key(fields: "id") { id: ID! price: V size: Int }
        type R { name: String }
        type V { x: Int y: String w: V }
    """,
    "c": """
        type Query { far: [P] }
        type P @key(fields: "upc") { upc: ID! load(of: Int): Float late: Q }
        type Q @key(fields: "id", resolvable: false) { id: ID! }
    """,
}


class _World(World):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.graph = Graph(supergraph=self.supergraph)

    def execute(self, name: str, payload: dict[str, Any]) -> bytes:
        """What one subgraph responds, from the graph."""
        result = graphql_sync(
            self.schemas[name],
            payload["query"],
            variable_values=payload["variables"],
            operation_name=payload.get("operationName"),
            field_resolver=self.graph.resolve,
            type_resolver=self.graph.kind_of,
        )
        assert not result.errors, (name, payload["query"], result.errors)
        return json.dumps({"data": result.data}).encode()


def same(world: _World, chance: Random, *, must: bool) -> bool:
    """Compare both answers to one operation; returns whether it could be planned."""
    made = Operations(schema=world.supergraph.schema, chance=chance)
    query = made.query()
    if validate(world.supergraph.schema, parse(query)):
        return False  # two fields of one name, by chance
    expected = graphql_sync(
        world.supergraph.schema,
        query,
        variable_values=made.variables,
        field_resolver=world.graph.resolve,
        type_resolver=world.graph.kind_of,
    )
    if expected.errors:  # an interface that no object has, where null is forbidden
        return False
    try:
        found = world.ask(query, made.variables)
    except RequestError as error:
        # What is refused is never wrong; what all can be planned for is not refused.
        is_bound = "too large" in str(error) or "requests" in str(error)
        if must and not is_bound:
            raise AssertionError(query) from error
        return False
    assert found == {"data": expected.data}, (query, made.variables)
    # As a client sees it: in the order in which it asked.
    assert json.dumps(found["data"]) == json.dumps(expected.data), query
    return True


@pytest.fixture(scope="module")
def small() -> _World:
    """The schemas of the unit tests, without overrides."""
    return _World(texts=TEXTS, roots={})


@pytest.fixture(scope="module")
def shared() -> _World:
    """Schemas that share values, roots, interfaces and keys."""
    return _World(texts=_SHARED, roots={})


@pytest.fixture(scope="module")
def real() -> _World:
    """The schemas of the release that was built last."""
    kept = cache_root() / "derived/graphql"
    files = sorted(kept.glob("*/schemas.json"), key=lambda path: path.stat().st_mtime)
    if not files:
        pytest.skip("needs the schemas of a build: make packages")
    return _World(texts=json.loads(Path(files[-1]).read_text())["described"], roots={})


@settings(max_examples=CASES // 5)
@given(chance=seeds())
def test_small_schemas(small: _World, chance: Random) -> None:
    same(small, chance, must=True)


@settings(max_examples=CASES // 5)
@given(chance=seeds())
def test_schemas_that_share_much(shared: _World, chance: Random) -> None:
    same(shared, chance, must=False)


@settings(max_examples=CASES // 10)
@given(chance=seeds())
def test_the_schemas_of_the_release(real: _World, chance: Random) -> None:
    same(real, chance, must=True)


def test_most_operations_are_answered(shared: _World, small: _World) -> None:
    """The comparisons above compare something."""
    for world in (small, shared):
        answered = sum(same(world, Random(number), must=False) for number in range(60))
        assert answered > 20
    assert compose(_SHARED).warnings == ()
