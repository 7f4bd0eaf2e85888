"""Reads one subgraph's schema text: its types, and its federation directives.

https://specs.apollo.dev/federation/v2.7
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from graphql import (
    BooleanValueNode,
    ConstDirectiveNode,
    DefinitionNode,
    EnumTypeDefinitionNode,
    EnumTypeExtensionNode,
    EnumValueDefinitionNode,
    FieldDefinitionNode,
    GraphQLError,
    InputObjectTypeDefinitionNode,
    InputObjectTypeExtensionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    InterfaceTypeExtensionNode,
    NamedTypeNode,
    ObjectTypeDefinitionNode,
    ObjectTypeExtensionNode,
    OperationType,
    ScalarTypeDefinitionNode,
    ScalarTypeExtensionNode,
    StringValueNode,
    UnionTypeDefinitionNode,
    UnionTypeExtensionNode,
    parse,
)

from graphql_gateway.directives import Names, argument_of, text_of_value
from graphql_gateway.errors import GatewayError
from graphql_gateway.keys import Key, parse_key
from graphql_gateway.roots import ROOTS, with_usual_roots

# Definitions that federation adds to a subgraph, which no client sees.
_MACHINERY_FIELDS = {"_entities", "_service"}
_MACHINERY_TYPES = {"_Any", "_Entity", "_Service", "_FieldSet", "FieldSet"}
_MACHINERY_PREFIXES = ("link__", "federation__", "core__")
_OBJECT = (ObjectTypeDefinitionNode, ObjectTypeExtensionNode)
_INTERFACE = (InterfaceTypeDefinitionNode, InterfaceTypeExtensionNode)
_UNION = (UnionTypeDefinitionNode, UnionTypeExtensionNode)
_ENUM = (EnumTypeDefinitionNode, EnumTypeExtensionNode)
_INPUT = (InputObjectTypeDefinitionNode, InputObjectTypeExtensionNode)
_SCALAR = (ScalarTypeDefinitionNode, ScalarTypeExtensionNode)


@dataclass(kw_only=True)
class TypeParts:
    """One type of a subgraph, from its definition and all extensions."""

    name: str
    kind: str  # of the definition's node
    description: StringValueNode | None = None
    interfaces: dict[str, NamedTypeNode] = field(default_factory=dict)
    fields: dict[str, FieldDefinitionNode] = field(default_factory=dict)
    inputs: dict[str, InputValueDefinitionNode] = field(default_factory=dict)
    values: dict[str, EnumValueDefinitionNode] = field(default_factory=dict)
    members: dict[str, NamedTypeNode] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    external: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class SubgraphParts:
    """All types of one subgraph."""

    name: str
    types: dict[str, TypeParts]
    # Fields that it overrides: field to the subgraph that had it.
    overrides: dict[tuple[str, str], str]
    names: Names


def collect(name: str, text: str) -> SubgraphParts:
    """Parse the schema text of the subgraph ``name``; GatewayError if it is not supported."""
    try:
        document = parse(text, no_location=True)
    except GraphQLError as error:
        raise GatewayError(f"the schema of {name} cannot be read: {error.message}") from error
    document = with_usual_roots(name, document)
    parts = SubgraphParts(name=name, types={}, overrides={}, names=Names(name, document))
    for definition in document.definitions:
        _add(parts, definition)
    return parts


def _add(parts: SubgraphParts, node: DefinitionNode) -> None:
    kinds = (*_OBJECT, *_INTERFACE, *_UNION, *_ENUM, *_INPUT, *_SCALAR)
    if not isinstance(node, kinds):
        return  # the schema itself, and definitions of directives
    name = node.name.value
    if name in _MACHINERY_TYPES or name.startswith(_MACHINERY_PREFIXES):
        return
    kind = node.kind.replace("_extension", "_definition")
    found = parts.types.setdefault(name, TypeParts(name=name, kind=kind))
    if found.kind != kind:
        raise GatewayError(f"{parts.name} has {name} as two kinds of types")
    found.description = found.description or getattr(node, "description", None)
    found.keys += _keys(parts, name, node.directives or ())
    if isinstance(node, _OBJECT + _INTERFACE):
        found.interfaces |= {interface.name.value: interface for interface in node.interfaces or ()}
        for field_node in node.fields or ():
            _add_field(parts, found, field_node)
    elif isinstance(node, _UNION):
        found.members |= {member.name.value: member for member in node.types or ()}
    elif isinstance(node, _ENUM):
        found.values |= {value.name.value: value for value in node.values or ()}
        _check(parts, name, node.values or ())
    elif isinstance(node, _INPUT):
        found.inputs |= {value.name.value: value for value in node.fields or ()}
        _check(parts, name, node.fields or ())


def _add_field(parts: SubgraphParts, found: TypeParts, node: FieldDefinitionNode) -> None:
    name = node.name.value
    if found.name == ROOTS[OperationType.QUERY] and name in _MACHINERY_FIELDS:
        return
    found.fields[name] = node
    where = f"{found.name}.{name}"
    _check(parts, where, node.arguments or ())
    for directive in node.directives or ():
        meaning = parts.names.meaning(directive, where)
        if meaning == "external":
            found.external.add(name)
        if meaning == "override":
            if argument_of(directive, "label") is not None:
                raise GatewayError(
                    f"{parts.name}: {where} has a progressive @override, which this gateway "
                    "does not support"
                )
            parts.overrides[found.name, name] = text_of_value(argument_of(directive, "from"))


def _check(
    parts: SubgraphParts,
    where: str,
    nodes: Iterable[InputValueDefinitionNode | EnumValueDefinitionNode],
) -> None:
    """Check the directives of arguments, of values, or of an input's fields."""
    for node in nodes:
        for directive in node.directives or ():
            parts.names.meaning(directive, f"{where}.{node.name.value}")


def _keys(
    parts: SubgraphParts, name: str, directives: Iterable[ConstDirectiveNode]
) -> Iterator[Key]:
    """Yield the keys by which the subgraph finds an entity."""
    for directive in directives:
        if parts.names.meaning(directive, name) != "key":
            continue
        resolvable = argument_of(directive, "resolvable")
        if isinstance(resolvable, BooleanValueNode) and not resolvable.value:
            continue
        text = text_of_value(argument_of(directive, "fields"))
        yield parse_key(f"{parts.name}: {name}", text)
