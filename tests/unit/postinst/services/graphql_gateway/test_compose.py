"""One schema of several, and who resolves what."""

import pytest
from graphql import print_type, validate_schema
from graphql_gateway.errors import GatewayError
from graphql_gateway.keys import key_text
from graphql_gateway.supergraph import Subgraph, Supergraph, compose

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
        field: [owner.name for owner in whole.owners("Query", field)]
        for field in ("agents", "node", "role", "motto")
    }
    assert owners == {
        "agents": ["legacy"],
        "node": ["modern"],
        "role": ["modern"],
        "motto": ["open"],
    }
    assert whole.owners("Query", "nothing") == ()


def test_an_entity_is_reached_by_a_key_that_is_at_hand() -> None:
    whole = compose(TEXTS)
    legacy, modern, _ = whole.subgraphs
    assert ways(whole, "Agent", modern) == [["legacy by id"]]
    # The one has no key by which the other would find it.
    assert ways(whole, "PageInfo", legacy) == []
    assert ways(whole, "Role", legacy) == []


def test_a_key_may_take_two_steps() -> None:
    whole = compose(
        {
            "a": 'type Query { p: P } type P @key(fields: "id") { id: ID }',
            "b": 'type P @key(fields: "id") @key(fields: "upc") { id: ID upc: ID }',
            "c": 'type P @key(fields: "upc") { upc: ID price: Int }',
        }
    )
    assert ways(whole, "P", whole.subgraphs[0]) == [["b by id"], ["b by id", "c by upc"]]


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
            {"a": "schema { query: Queries } type Queries { x: Int } type Query { y: Int }"},
            "calls its query type Queries, and has another type Query",
        ),
        (
            {"a": "type Query { x: T } scalar T", "b": "type Query { y: T } enum T { A }"},
            "T is not the same kind",
        ),
        (
            {"a": "type Query { x: T } type T { f: Int }", "b": "type T { f: String }"},
            "T.f is of different types: Int, and String",
        ),
    ],
)
def test_schemas_that_do_not_fit_are_reported(texts: dict[str, str], says: str) -> None:
    with pytest.raises(GatewayError, match=says):
        compose(texts)


@pytest.mark.parametrize(
    ("directive", "says"),
    [
        ('@requires(fields: "i")', "T.f has @requires"),
        ('@provides(fields: "i")', "T.f has @provides"),
        ("@inaccessible", "T.f has @inaccessible"),
        ('@override(from: "b", label: "percent(5)")', "T.f has a progressive @override"),
        ("@authenticated", "T.f has @authenticated"),
        ('@federation__policy(policies: [["p"]])', "T.f has @policy"),
        ('@needs(fields: "i")', "T.f has @requires"),
        ('@fed__requires(fields: "i")', "T.f has @requires"),
        ("@unheardOf", "T.f has @unheardOf"),
    ],
)
def test_what_is_not_supported_is_an_error(directive: str, says: str) -> None:
    head = (
        'extend schema @link(url: "https://specs.apollo.dev/federation/v2.7", as: "fed", '
        'import: ["@key", {name: "@requires", as: "@needs"}])'
    )
    text = f'{head} type Query {{ x: T }} type T @key(fields: "i") {{ i: ID f: Int {directive} }}'
    with pytest.raises(GatewayError, match=says):
        compose({"a": text})


def test_an_interface_object_is_an_error() -> None:
    text = 'type Query { x: T } type T @key(fields: "i") @interfaceObject { i: ID }'
    with pytest.raises(GatewayError, match="T has @interfaceObject"):
        compose({"a": text})


@pytest.mark.parametrize(
    "link",
    [
        '@link(url: "https://specs.apollo.dev/federation/v3.0")',
        '@link(url: "https://example.org/guard/v1.0", for: SECURITY)',
    ],
)
def test_a_specification_that_is_not_supported_is_an_error(link: str) -> None:
    with pytest.raises(GatewayError, match="supported"):
        compose({"a": f"extend schema {link} type Query {{ x: Int }}"})


def test_directives_without_a_meaning_for_others_stay_out() -> None:
    text = """
        directive @mine(a: Int) on FIELD_DEFINITION
        type Query { x: Int @mine(a: 1) @tag(name: "t") @shareable y(i: I): Int }
        input I @oneOf { a: Int b: Int }
    """
    assert "mine" not in print_type(compose({"a": text}).schema.type_map["Query"])


def test_root_types_get_their_usual_names() -> None:
    whole = compose(
        {
            "a": "schema { query: Queries mutation: Doings } type Queries { x: Queries y: Int } "
            "type Doings { do: Int }",
            "b": "type Query { z: Int }",
        }
    )
    assert print_type(whole.schema.type_map["Query"]) == (
        "type Query {\n  x: Query\n  y: Int\n  z: Int\n}"
    )
    assert [owner.name for owner in whole.owners("Mutation", "do")] == ["a"]
    assert "Queries" not in whole.schema.type_map


@pytest.mark.parametrize(
    "text", ["type Query {", 'type Query { x: T @requires(fields: "i") } type T { i: ID }']
)
def test_an_optional_subgraph_that_does_not_fit_is_left_out(text: str) -> None:
    texts = {"a": "type Query { y: Int }", "b": text}
    whole = compose(texts, optional=["b"])
    assert [subgraph.name for subgraph in whole.subgraphs] == ["a"]
    (warning,) = whole.warnings
    assert warning.startswith("b is left out: ")
    # One that has to be there is not.
    with pytest.raises(GatewayError):
        compose(texts)


def test_an_argument_that_only_one_takes_is_left_out_or_refused() -> None:
    some = "type Query { x(a: Int, b: Int): Int }"
    whole = compose({"a": some, "b": "type Query { x(a: Int!): Int }"})
    assert print_type(whole.schema.type_map["Query"]) == "type Query {\n  x(a: Int!): Int\n}"
    with pytest.raises(GatewayError, match=r"Query\.x\.c is required in one"):
        compose({"a": some, "b": "type Query { x(c: Int!): Int }"})


def test_a_key_within_a_key_is_a_way_and_one_that_finds_nothing_is_none() -> None:
    here = 'type Query { t: T } type T @key(fields: "i o { i }") { i: ID o: O } type O { i: ID }'
    there = 'type T @key(fields: "i", resolvable: false) @key(fields: "o { i }") { f: Int o: O } type O { i: ID }'  # noqa: E501
    whole = compose({"here": here, "there": there})
    assert ways(whole, "T", whole.subgraphs[0]) == [["there by o { i }"]]


def test_an_external_field_is_anothers() -> None:
    here = 'type Query { t: T } type T @key(fields: "i") { i: ID @external f: Int @external }'
    there = 'type T @key(fields: "i") { i: ID f: Int }'
    whole = compose({"here": here, "there": there})
    mine, other = whole.subgraphs
    assert mine.resolves("T", "i")
    assert not mine.resolves("T", "f")
    assert other.resolves("T", "f")
    assert ways(whole, "T", mine) == [["there by i"]]


def ways(whole: Supergraph, type_name: str, here: Subgraph) -> list[list[str]]:
    """Each way to another subgraph, as text."""
    return [
        [f"{step.subgraph.name} by {key_text(step.key)}" for step in way]
        for way in whole.ways(type_name, here)
    ]
