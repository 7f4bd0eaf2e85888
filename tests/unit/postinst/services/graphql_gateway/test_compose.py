"""One schema of several, and who resolves what."""

import pytest
from graphql import print_type, validate_schema
from graphql_gateway.errors import GatewayError
from graphql_gateway.supergraph import compose

from tests.unit.postinst.services.graphql_gateway.schemas import TEXTS


def test_the_whole_has_what_all_have_and_nothing_of_federation() -> None:
    whole = compose(TEXTS)
    assert validate_schema(whole.schema) == []
    assert {"Agent", "Role", "Unit", "Filter", "Found", "PageInfo"} <= set(whole.schema.type_map)
    assert not {"_Any", "_Entity", "_Service"} & set(whole.schema.type_map)
    query = whole.schema.query_type
    assert query is not None
    expected = {"agents", "hello", "info", "node", "roles", "role", "found", "motto"}
    assert set(query.fields) == expected
    assert whole.warnings == ()


def test_a_field_belongs_to_the_first_that_has_it_unless_another_takes_it_over() -> None:
    whole = compose(TEXTS)
    owners = {
        field: owner.name
        for field in ("agents", "node", "role", "motto")
        if (owner := whole.owner("Query", field))
    }
    assert owners == {"agents": "legacy", "node": "modern", "role": "modern", "motto": "open"}
    assert whole.owner("Query", "nothing") is None


def test_an_entity_is_reached_by_a_key_that_is_at_hand() -> None:
    whole = compose(TEXTS)
    legacy, modern, _ = whole.subgraphs
    assert whole.way("Agent", "host", modern) == (legacy, ("id",))
    # The one has no key by which the other would find it.
    assert whole.way("PageInfo", "hasNextPage", legacy) is None
    assert whole.way("Role", "name", legacy) is None


def test_of_two_kinds_of_null_the_weaker_holds() -> None:
    whole = compose(
        {
            "a": "type Query { x: Int } type T @shareable { f: Int! g: [Int] }",
            "b": "type Query { y: T } type T @shareable { f: Int g: [Int] h: Int! }",
        }
    )
    assert print_type(whole.schema.type_map["T"]) == "type T {\n  f: Int\n  g: [Int]\n  h: Int!\n}"


def test_inputs_have_what_all_take_and_enums_what_any_has() -> None:
    whole = compose(
        {
            "a": "type Query { x(i: I): E } input I { f: Int g: Int } enum E { A B }",
            "b": "type Query { y(i: I): E } input I { g: Int h: Int } enum E { B C }",
        }
    )
    assert print_type(whole.schema.type_map["I"]) == "input I {\n  g: Int\n}"
    assert print_type(whole.schema.type_map["E"]) == "enum E {\n  A\n  B\n  C\n}"


def test_descriptions_and_deprecations_stay() -> None:
    text = '"""About T."""\ntype T { f: Int @deprecated(reason: "old") } type Query { t: T }'
    whole = compose({"a": text})
    assert '"""About T."""' in print_type(whole.schema.type_map["T"])
    assert '@deprecated(reason: "old")' in print_type(whole.schema.type_map["T"])


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"a": "type Query {"}, "the schema of a cannot be read"),
        ({"a": "type Query { x: T }"}, "do not fit together"),
        (
            {"a": "schema { query: Queries } type Queries { x: Int }"},
            "calls its query type Queries",
        ),
        (
            {"a": "type Query { x: T } scalar T", "b": "type Query { y: T } enum T { A }"},
            "T is not the same kind",
        ),
        (
            {"a": "type Query { x: T } type T { f: Int }", "b": "type T { f: String }"},
            "T.f is Int in one subgraph, and String in another",
        ),
    ],
)
def test_schemas_that_do_not_fit_are_reported(texts: dict[str, str], says: str) -> None:
    with pytest.raises(GatewayError, match=says):
        compose(texts)


def test_what_is_not_supported_is_reported() -> None:
    text = 'type Query { x: T } type T @key(fields: "i") { i: ID f: Int @requires(fields: "i") }'
    assert compose({"a": text}).warnings == (
        "a: T.f has @requires, which this gateway does not support",
    )


def test_keys_within_keys_and_keys_that_find_nothing_are_no_way() -> None:
    here = 'type Query { t: T } type T @key(fields: "i") @key(fields: "o { i }") { i: ID o: O } type O { i: ID }'  # noqa: E501
    there = 'type T @key(fields: "i", resolvable: false) @key(fields: "o { i }") { i: ID f: Int }'
    whole = compose({"here": here, "there": there})
    assert whole.way("T", "f", whole.subgraphs[0]) is None


def test_an_external_field_is_anothers() -> None:
    here = 'type Query { t: T } type T @key(fields: "i") { i: ID @external f: Int @external }'
    there = 'type T @key(fields: "i") { i: ID f: Int }'
    whole = compose({"here": here, "there": there})
    mine, other = whole.subgraphs
    assert mine.resolves("T", "i")
    assert not mine.resolves("T", "f")
    assert whole.way("T", "f", mine) == (other, ("i",))
