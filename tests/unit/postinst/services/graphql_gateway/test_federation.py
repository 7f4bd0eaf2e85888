"""What subgraphs may share: expected answers, and the requests that they take."""

from collections.abc import Mapping
from typing import Any

import pytest
from graphql_gateway.errors import RequestError

from tests.unit.postinst.services.graphql_gateway.direct import World


def entity(kind: str, **values: Any) -> Any:
    """A subgraph that finds one entity, whatever it is asked for."""

    def find(representation: Mapping[str, Any]) -> dict[str, Any]:
        return {**representation, "__typename": kind, **values}

    return find


def products() -> World:
    """A value type without a key, of which each subgraph has a part."""
    return World(
        texts={
            "a": 'type Query { product: P } type P @key(fields: "id") { id: ID! price: Price } '
            "type Price @shareable { amount: Int }",
            "b": 'type P @key(fields: "id") { id: ID! price: Price } '
            "type Price @shareable { amount: Int currency: String }",
        },
        roots={"a": {"product": {"id": "1", "price": {"amount": 3}}}},
        find={
            "a": entity("P", price={"amount": 3}),
            "b": entity("P", price={"amount": 3, "currency": "EUR"}),
        },
    )


def test_a_value_without_a_key_is_asked_for_through_the_object_around_it() -> None:
    world = products()
    found = world.data("{ product { price { amount currency } } }")
    assert found == {"product": {"price": {"amount": 3, "currency": "EUR"}}}
    assert [name for name, _ in world.asked] == ["a", "b"]
    # Where one subgraph has all of it, no other is asked.
    assert world.data("{ product { price { amount } } }") == {"product": {"price": {"amount": 3}}}
    assert len(world.asked) == 3


def two_steps() -> World:
    """C finds by a key that only B knows."""
    return World(
        texts={
            "a": 'type Query { product: P } type P @key(fields: "id") { id: ID! }',
            "b": 'type P @key(fields: "id") @key(fields: "upc") { id: ID! upc: ID! name: String }',
            "c": 'type P @key(fields: "upc") { upc: ID! price: Int }',
        },
        roots={"a": {"product": {"id": "1"}}},
        find={
            "a": entity("P"),
            "b": entity("P", upc="u1", name="lamp"),
            "c": lambda found: {
                **found,
                "__typename": "P",
                "price": 7 if found["upc"] == "u1" else 0,
            },
        },
    )


@pytest.mark.parametrize(
    ("fields", "expected", "asked"),
    [
        ("price", {"price": 7}, ["a", "b", "c"]),
        ("name price", {"name": "lamp", "price": 7}, ["a", "b", "c"]),
        ("upc price", {"upc": "u1", "price": 7}, ["a", "b", "c"]),
        ("name", {"name": "lamp"}, ["a", "b"]),
    ],
)
def test_a_key_may_take_two_steps(fields: str, expected: object, asked: list[str]) -> None:
    world = two_steps()
    assert world.data(f"{{ product {{ {fields} }} }}") == {"product": expected}
    assert [name for name, _ in world.asked] == asked


def test_what_follows_differs_where_the_request_does_not() -> None:
    """One of two objects is asked for the same, and then for more elsewhere."""
    world = two_steps()
    query = "{ one: product { upc name } two: product { upc name price } }"
    expected = {"upc": "u1", "name": "lamp"}
    assert world.data(query) == {"one": expected, "two": {**expected, "price": 7}}
    assert [name for name, _ in world.asked] == ["a", "b", "c"]


def test_a_root_field_that_two_share_is_asked_of_both() -> None:
    world = World(
        texts={
            "a": "type Query @shareable { me: User } type User { name: String }",
            "b": "type Query @shareable { me: User } type User { name: String mail: String }",
        },
        roots={"a": {"me": {"name": "Ada"}}, "b": {"me": {"name": "Ada", "mail": "a@b"}}},
    )
    assert world.data("{ me { name mail } }") == {"me": {"name": "Ada", "mail": "a@b"}}
    assert len(world.asked) == 2
    assert world.data("{ me { name } }") == {"me": {"name": "Ada"}}
    assert [name for name, _ in world.asked[2:]] == ["a"]


def test_a_mutation_that_two_share_is_never_done_twice() -> None:
    world = World(
        texts={
            "a": "type Query { x: Int } type Mutation { do: Done } type Done { one: Int }",
            "b": "type Mutation { do: Done } type Done { two: Int }",
        },
        roots={"a": {"do": {"one": 1}}},
    )
    assert world.data("mutation { do { one } }") == {"do": {"one": 1}}
    with pytest.raises(RequestError, match=r"no subgraph resolves Done\.two"):
        world.plan("mutation { do { one two } }")
    assert len(world.asked) == 1


def test_a_fragment_may_be_of_an_interface_that_the_subgraph_does_not_know() -> None:
    world = World(
        texts={
            "a": 'type Query { found: [Thing] } union Thing = A | B type A @key(fields: "id") '
            '{ id: ID! } type B @key(fields: "id") { id: ID! }',
            "b": 'interface Named { name: String } type A implements Named @key(fields: "id") '
            '{ id: ID! name: String } type B @key(fields: "id") { id: ID! size: Int }',
        },
        roots={"a": {"found": [{"__typename": "A", "id": "1"}, {"__typename": "B", "id": "2"}]}},
        find={"b": lambda found: {**found, "name": "n", "size": 2}},
    )
    found = world.data("{ found { ... on Named { name } ... on B { size } } }")
    assert found == {"found": [{"name": "n"}, {"size": 2}]}
    assert len(world.asked) == 2


def members() -> World:
    """A union whose members differ in a subgraph where they do not in the whole."""
    return World(
        texts={
            "a": "type Query { all: [U] } union U = A | B "
            "type A { v: String! own: Own } type B { v: String own: Other } "
            "type Own { w: Int! } type Other { w: Int }",
            "b": "type Query { other: U } union U = A type A { v: String }",
        },
        roots={
            "a": {
                "all": [
                    {"__typename": "A", "v": "x", "own": {"w": 1}},
                    {"__typename": "B", "v": None, "own": {"w": None}},
                ]
            }
        },
    )


def test_a_fragment_of_no_object_here_is_not_sent() -> None:
    """Its fields may be ones that this subgraph does not know."""
    world = World(
        texts={
            "a": "interface Node { id: ID! } type F implements Node { id: ID! } "
            'type S implements Node @key(fields: "id") { id: ID! } type Query { f: F }',
            "b": 'interface Node { id: ID! } type S implements Node @key(fields: "id") '
            "{ id: ID! group: String }",
        },
        roots={"a": {"f": {"id": "1"}}},
    )
    query = "{ f { ...N } } fragment N on Node { id ... on S { group } }"
    assert world.data(query) == {"f": {"id": "1"}}
    assert [name for name, _ in world.asked] == ["a"]


def test_names_that_conflict_in_a_subgraph_only_are_changed_for_it() -> None:
    world = members()
    query = "{ all { ... on A { v own { w } } ... on B { v own { w } } } }"
    assert world.data(query) == {
        "all": [{"v": "x", "own": {"w": 1}}, {"v": None, "own": {"w": None}}]
    }
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    "query",
    [
        "{ all { ... on A { x: v } ... on B { x: own { w } } } }",
        "{ all { ... on A { x: v x: own { w } } } }",
        "{ other { ... on A { v } } other: all { ... on A { v } } }",
    ],
)
def test_names_that_conflict_are_refused(query: str) -> None:
    with pytest.raises(RequestError, match="conflict"):
        members().plan(query)


def test_one_key_within_another_is_found() -> None:
    world = World(
        texts={
            "a": 'type Query { item: I } type I @key(fields: "owner { id }") { owner: O } '
            "type O { id: ID! }",
            "b": 'type I @key(fields: "owner { id }") { owner: O size: Int } type O { id: ID! }',
        },
        roots={"a": {"item": {"owner": {"id": "7"}}}},
        find={"a": entity("I"), "b": entity("I", size=4)},
    )
    assert world.data("{ item { size } }") == {"item": {"size": 4}}
    ((_, _), (_, payload)) = world.asked
    assert payload["variables"] == {"representations": [{"__typename": "I", "owner": {"id": "7"}}]}


def test_lists_that_two_subgraphs_see_differently_are_an_error() -> None:
    world = World(
        texts={
            "a": "type Query @shareable { all: [V] } type V { x: Int }",
            "b": "type Query @shareable { all: [V] } type V { y: Int }",
        },
        roots={"a": {"all": [{"x": 1}]}, "b": {"all": [{"y": 1}, {"y": 2}]}},
    )
    answer = world.ask("{ all { x y } }")
    assert answer["data"] == {"all": None}
    (error,) = answer["errors"]
    assert error["path"] == ["all"]
    assert error["extensions"]["code"] == "DOWNSTREAM_SERVICE_ERROR"


def test_what_nobody_resolves_is_refused() -> None:
    world = World(
        texts={
            "a": "type Query { v: V } type V { x: Int }",
            "b": "type Query { w: Int } type V { y: Int }",
        },
        roots={},
    )
    with pytest.raises(RequestError, match=r"no subgraph resolves V\.y"):
        world.plan("{ v { x y } }")


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("mutation($n: Int!) { a: log(n: 1) b: note(n: $n) }", {}),
        ("mutation($n: Int!) { a: log(n: 1) b: note(n: $n) }", {"n": "x"}),
        ("mutation($n: Int!) { a: log(n: 1) b: note(n: $n) }", {"n": None}),
    ],
)
def test_variables_are_checked_before_anything_is_sent(
    query: str, variables: dict[str, object]
) -> None:
    world = World(
        texts={
            "a": "type Query { x: Int } type Mutation { log(n: Int!): Int }",
            "b": "type Mutation { note(n: Int!): Int }",
        },
        roots={"a": {"log": 1}, "b": {"note": 2}},
    )
    with pytest.raises(RequestError, match=r"\$n") as raised:
        world.ask(query, variables)
    assert raised.value.errors[0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert world.asked == []
    assert world.data(query, {"n": 5}) == {"a": 1, "b": 2}


def test_an_alias_may_not_stand_for_the_type() -> None:
    with pytest.raises(RequestError, match="reserved"):
        members().plan("{ all { ... on A { __typename: v } } }")
    world = products()
    assert world.data("{ product { __isP: __typename price { currency } } }") == {
        "product": {"__isP": "P", "price": {"currency": "EUR"}}
    }
