"""Reads one subgraph's schema text: its types, and its federation directives.

https://specs.apollo.dev/federation/v2.7
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphql import (
    ConstDirectiveNode,
    DefinitionNode,
    DocumentNode,
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
    ListValueNode,
    NamedTypeNode,
    ObjectTypeDefinitionNode,
    ObjectTypeExtensionNode,
    OperationType,
    ScalarTypeDefinitionNode,
    SchemaDefinitionNode,
    SchemaExtensionNode,
    StringValueNode,
    UnionTypeDefinitionNode,
    UnionTypeExtensionNode,
    parse,
)

from graphql_gateway.errors import GatewayError

ROOTS: Mapping[OperationType, str] = {
    OperationType.QUERY: "Query",
    OperationType.MUTATION: "Mutation",
    OperationType.SUBSCRIPTION: "Subscription",
}
# Definitions that federation adds to a subgraph, which no client sees.
_MACHINERY_FIELDS = {"_entities", "_service"}
_MACHINERY_TYPES = {"_Any", "_Entity", "_Service", "_FieldSet", "FieldSet", "federation__FieldSet"}
# These change who resolves a field, or who may see it, in ways not implemented here.
_UNSUPPORTED = {
    "requires", "provides", "inaccessible", "interfaceObject", "authenticated",
    "requiresScopes", "policy", "fromContext",
}  # fmt: skip

_OBJECT = (ObjectTypeDefinitionNode, ObjectTypeExtensionNode)
_INTERFACE = (InterfaceTypeDefinitionNode, InterfaceTypeExtensionNode)
_UNION = (UnionTypeDefinitionNode, UnionTypeExtensionNode)
_ENUM = (EnumTypeDefinitionNode, EnumTypeExtensionNode)
_INPUT = (InputObjectTypeDefinitionNode, InputObjectTypeExtensionNode)


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
    keys: list[tuple[str, ...]] = field(default_factory=list)
    external: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class SubgraphParts:
    """All types of one subgraph."""

    name: str
    types: dict[str, TypeParts]
    # Root fields that it overrides: field to the subgraph that had it.
    overrides: dict[tuple[str, str], str]
    warnings: list[str]


def collect(name: str, text: str) -> SubgraphParts:
    """Parse the schema text of the subgraph ``name``; GatewayError if it is not valid."""
    try:
        document = parse(text, no_location=True)
    except GraphQLError as error:
        raise GatewayError(f"the schema of {name} cannot be read: {error.message}") from error
    _check_roots(name, document)
    parts = SubgraphParts(name=name, types={}, overrides={}, warnings=[])
    for definition in document.definitions:
        _add(parts, definition)
    return parts


def _check_roots(name: str, document: DocumentNode) -> None:
    for definition in document.definitions:
        if isinstance(definition, SchemaDefinitionNode | SchemaExtensionNode):
            for root in definition.operation_types or ():
                if root.type.name.value != ROOTS[root.operation]:
                    raise GatewayError(
                        f"{name} calls its {root.operation.value} type {root.type.name.value}"
                    )


def _add(parts: SubgraphParts, node: DefinitionNode) -> None:
    kinds = (*_OBJECT, *_INTERFACE, *_UNION, *_ENUM, *_INPUT, ScalarTypeDefinitionNode)
    if not isinstance(node, kinds):
        return  # the schema itself, and definitions of directives
    name = node.name.value
    if name in _MACHINERY_TYPES or name.startswith("link__"):
        return
    kind = node.kind.replace("_extension", "_definition")
    found = parts.types.setdefault(name, TypeParts(name=name, kind=kind))
    if found.kind != kind:
        raise GatewayError(f"{parts.name} has {name} as two kinds of types")
    found.description = found.description or getattr(node, "description", None)
    found.keys += _keys(node.directives or ())
    _warn(parts, name, node.directives or ())
    if isinstance(node, _OBJECT + _INTERFACE):
        found.interfaces |= {interface.name.value: interface for interface in node.interfaces or ()}
        for field in node.fields or ():
            _add_field(parts, found, field)
    elif isinstance(node, _UNION):
        found.members |= {member.name.value: member for member in node.types or ()}
    elif isinstance(node, _ENUM):
        found.values |= {value.name.value: value for value in node.values or ()}
    elif isinstance(node, _INPUT):
        found.inputs |= {field.name.value: field for field in node.fields or ()}


def _add_field(parts: SubgraphParts, found: TypeParts, node: FieldDefinitionNode) -> None:
    name = node.name.value
    if found.name == ROOTS[OperationType.QUERY] and name in _MACHINERY_FIELDS:
        return
    found.fields[name] = node
    _warn(parts, f"{found.name}.{name}", node.directives or ())
    for directive in node.directives or ():
        if _plain(directive) == "external":
            found.external.add(name)
        if _plain(directive) == "override":
            parts.overrides[found.name, name] = _argument(directive, "from")


def _keys(directives: Iterable[ConstDirectiveNode]) -> list[tuple[str, ...]]:
    """Return the keys by which the subgraph finds an entity, without nested ones."""
    found = []
    for directive in directives:
        if _plain(directive) == "key" and _argument(directive, "resolvable") != "false":
            fields = _argument(directive, "fields")
            if fields and "{" not in fields:
                found.append(tuple(fields.replace(",", " ").split()))
    return found


def _plain(directive: ConstDirectiveNode) -> str:
    """Return its name without the namespace of an import."""
    return directive.name.value.removeprefix("federation__")


def _argument(directive: ConstDirectiveNode, name: str) -> str:
    for argument in directive.arguments or ():
        if argument.name.value == name and not isinstance(argument.value, ListValueNode):
            return str(getattr(argument.value, "value", "")).replace("False", "false")
    return ""


def _warn(parts: SubgraphParts, where: str, directives: Iterable[ConstDirectiveNode]) -> None:
    parts.warnings += [
        f"{parts.name}: {where} has @{_plain(directive)}, which this gateway does not support"
        for directive in directives
        if _plain(directive) in _UNSUPPORTED
    ]
