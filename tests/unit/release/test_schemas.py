"""The fields of GraphQL schemas, compared with what graphql-core reads."""

from collections.abc import Iterator

from graphql import parse
from graphql.language import ast, print_ast

from builder.release.schemas import fields_of, read_fields

TEXT = '''
schema @link(url: "https://specs.example/federation/v2", import: ["@key", "@shareable"]) {
  query: Query
}
"""Of the node, and type Wrong { no: Int }"""
type Query implements Node & Other @key(fields: "id { x }") @shareable {
  "a short text: with { braces"
  node(id: ID!, "why" first: Int = 10, filter: [FilterInput!] = [{name: "a, b: c"}]): Node
  "type" plain: [String!]! @deprecated(reason: "use (this): that") # type Wrong2 { no: Int }
}
extend type Query { more(at: DateTime = null, word: String! = "a = b"): [[Int]!] }
interface Node { id: ID! }
type Empty
type AfterEmpty { a: Int }
enum Colour { "the first" RED GREEN @deprecated }
input FilterInput {
  hash: String = "no # comment"
  name: String = "with \\" and } in it"
  colours: [Colour!]! = [RED]
  deep: FilterInput = {name: "x", deep: {name: "y"}}
  rest: Boolean! = true
  low: Int = -1
}
union Either = Query | AfterEmpty
scalar DateTime
directive @key(fields: String!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE
'''
_WITH_FIELDS = (
    ast.ObjectTypeDefinitionNode,
    ast.ObjectTypeExtensionNode,
    ast.InterfaceTypeDefinitionNode,
    ast.InputObjectTypeDefinitionNode,
)


def expected(text: str) -> Iterator[str]:
    """The fields, by graphql-core."""
    for found in parse(text).definitions:
        if isinstance(found, ast.EnumTypeDefinitionNode):
            yield from (f"{found.name.value}.{value.name.value}" for value in found.values or ())
        elif isinstance(found, _WITH_FIELDS):
            for field in found.fields or ():
                given = getattr(field, "arguments", ())
                listed = ", ".join(
                    f"{argument.name.value}: {print_ast(argument.type)}" for argument in given
                )
                arguments = f"({listed})" if listed else ""
                yield f"{found.name.value}.{field.name.value}{arguments}: {print_ast(field.type)}"


def test_fields_are_those_that_graphql_core_reads() -> None:
    found = list(fields_of(TEXT))
    assert sorted(found) == sorted(expected(TEXT))
    assert "Query.more(at: DateTime, word: String!): [[Int]!]" in found
    assert "Colour.GREEN" in found


def test_each_schema_has_its_fields() -> None:
    texts = {"graphene": "type A { b: C }", "public": ""}
    assert read_fields(texts) == {"graphene": frozenset({"A.b: C"}), "public": frozenset()}
