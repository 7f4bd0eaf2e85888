"""Joins the definitions of one type in several subgraphs."""

from collections.abc import Iterable, Mapping, Sequence

from graphql import (
    ConstDirectiveNode,
    DefinitionNode,
    EnumTypeDefinitionNode,
    EnumValueDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    ListTypeNode,
    NamedTypeNode,
    NameNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    TypeNode,
    UnionTypeDefinitionNode,
    print_ast,
)

from graphql_gateway.collect import SubgraphParts, TypeParts
from graphql_gateway.errors import GatewayError

OBJECT = "object_type_definition"
INTERFACE = "interface_type_definition"
_KEPT_DIRECTIVES = {"deprecated", "specifiedBy"}


def merge_all(parts: Sequence[SubgraphParts]) -> Iterable[DefinitionNode]:
    """Yield the joined definition of every type; GatewayError if two do not fit together."""
    names = dict.fromkeys(name for part in parts for name in part.types)
    for name in names:
        found = [part.types[name] for part in parts if name in part.types]
        kinds = {definition.kind for definition in found}
        if len(kinds) > 1:
            raise GatewayError(f"{name} is not the same kind of type in all subgraphs")
        yield _merge(name, found)


def _merge(name: str, found: Sequence[TypeParts]) -> DefinitionNode:
    head = NameNode(value=name)
    about = next((definition.description for definition in found if definition.description), None)
    match found[0].kind:
        case "object_type_definition":
            return ObjectTypeDefinitionNode(
                name=head,
                description=about,
                directives=(),
                interfaces=_interfaces(found),
                fields=_fields(name, found),
            )
        case "interface_type_definition":
            return InterfaceTypeDefinitionNode(
                name=head,
                description=about,
                directives=(),
                interfaces=_interfaces(found),
                fields=_fields(name, found),
            )
        case "union_type_definition":
            members = {
                key: node for definition in found for key, node in definition.members.items()
            }
            return UnionTypeDefinitionNode(
                name=head, description=about, directives=(), types=tuple(members.values())
            )
        case "enum_type_definition":
            values = {
                key: _value(node) for definition in found for key, node in definition.values.items()
            }
            return EnumTypeDefinitionNode(
                name=head, description=about, directives=(), values=tuple(values.values())
            )
        case "input_object_type_definition":
            inputs = _shared_inputs(name, [definition.inputs for definition in found])
            return InputObjectTypeDefinitionNode(
                name=head, description=about, directives=(), fields=inputs
            )
        case _:
            return ScalarTypeDefinitionNode(name=head, description=about, directives=())


def _interfaces(found: Sequence[TypeParts]) -> tuple[NamedTypeNode, ...]:
    return tuple(
        {key: node for definition in found for key, node in definition.interfaces.items()}.values()
    )


def _fields(name: str, found: Sequence[TypeParts]) -> tuple[FieldDefinitionNode, ...]:
    merged: dict[str, list[FieldDefinitionNode]] = {}
    for definition in found:
        for key, node in definition.fields.items():
            merged.setdefault(key, []).append(node)
    return tuple(_field(f"{name}.{key}", nodes) for key, nodes in merged.items())


def _field(where: str, nodes: Sequence[FieldDefinitionNode]) -> FieldDefinitionNode:
    arguments = [{node.name.value: node for node in field.arguments or ()} for field in nodes]
    return FieldDefinitionNode(
        name=nodes[0].name,
        description=nodes[0].description,
        arguments=_shared_inputs(where, arguments),
        type=_joined(where, [node.type for node in nodes], strict=False),
        directives=next((kept for node in nodes if (kept := _kept(node.directives))), ()),
    )


def _shared_inputs(
    where: str, found: Sequence[Mapping[str, InputValueDefinitionNode]]
) -> tuple[InputValueDefinitionNode, ...]:
    """Return the arguments that all subgraphs take: another could not be sent to all."""
    shared = set.intersection(*(set(values) for values in found))
    for values in found:
        for name, node in values.items():
            needed = isinstance(node.type, NonNullTypeNode) and node.default_value is None
            if name not in shared and needed:
                raise GatewayError(f"{where}.{name} is required in one subgraph, and not in all")
    return tuple(
        _input(
            node,
            _joined(f"{where}.{name}", [values[name].type for values in found], strict=True),
        )
        for name, node in found[0].items()
        if name in shared
    )


def _joined(where: str, types: Sequence[TypeNode], *, strict: bool) -> TypeNode:
    """Return the type that holds for all: nullable if one is, or ``strict`` if one is not.

    GatewayError if they differ in more than that.
    """
    bare = [node.type if isinstance(node, NonNullTypeNode) else node for node in types]
    nulls = [not isinstance(node, NonNullTypeNode) for node in types]
    if all(isinstance(node, ListTypeNode) for node in bare):
        inner = [node.type for node in bare if isinstance(node, ListTypeNode)]
        joined: TypeNode = ListTypeNode(type=_joined(where, inner, strict=strict))
    elif len({print_ast(node) for node in bare}) > 1:
        shown = ", and ".join(dict.fromkeys(print_ast(node) for node in bare))
        raise GatewayError(f"{where} is of different types: {shown}")
    else:
        joined = bare[0]
    is_null = all(nulls) if strict else any(nulls)
    if is_null:
        return joined
    assert not isinstance(joined, NonNullTypeNode)
    return NonNullTypeNode(type=joined)


def _input(node: InputValueDefinitionNode, kind: TypeNode) -> InputValueDefinitionNode:
    return InputValueDefinitionNode(
        name=node.name,
        description=node.description,
        type=kind,
        default_value=node.default_value,
        directives=_kept(node.directives),
    )


def _value(node: EnumValueDefinitionNode) -> EnumValueDefinitionNode:
    return EnumValueDefinitionNode(
        name=node.name, description=node.description, directives=_kept(node.directives)
    )


def _kept(directives: Iterable[ConstDirectiveNode] | None) -> tuple[ConstDirectiveNode, ...]:
    """Return the directives of the language; federation's own are for the gateway only."""
    return tuple(
        directive for directive in directives or () if directive.name.value in _KEPT_DIRECTIVES
    )
