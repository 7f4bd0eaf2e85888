"""The one schema that is made of the subgraphs' own, and who of them resolves what."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphql import (
    ConstDirectiveNode,
    DefinitionNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    EnumValueDefinitionNode,
    FieldDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    NamedTypeNode,
    NameNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    UnionTypeDefinitionNode,
    build_ast_schema,
    print_ast,
)

from graphql_gateway.collect import ROOTS, SubgraphParts, TypeParts, collect
from graphql_gateway.errors import GatewayError

_OBJECT = "object_type_definition"
_KEPT_DIRECTIVES = {"deprecated", "specifiedBy"}


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """What one subgraph resolves."""

    name: str
    fields: Mapping[str, frozenset[str]]  # of each object and interface
    possible: Mapping[str, frozenset[str]]  # object types of each interface and union
    keys: Mapping[str, tuple[tuple[str, ...], ...]]  # of each entity

    def resolves(self, type_name: str, field: str) -> bool:
        """Whether it can be asked for this field of an object that it has found."""
        return field in self.fields.get(type_name, ())

    def knows(self, type_name: str) -> bool:
        """Whether an object, interface or union is in its schema."""
        return type_name in self.fields or type_name in self.possible


@dataclass(frozen=True, kw_only=True)
class Supergraph:
    """The schema of all, and its parts in the order in which they are asked."""

    schema: GraphQLSchema
    subgraphs: tuple[Subgraph, ...]
    warnings: tuple[str, ...] = ()

    def owner(self, type_name: str, field: str) -> Subgraph | None:
        """The first that resolves a field."""
        return next((one for one in self.subgraphs if one.resolves(type_name, field)), None)

    def way(
        self, type_name: str, field: str, here: Subgraph
    ) -> tuple[Subgraph, tuple[str, ...]] | None:
        """Who else resolves a field of an entity, and the key from ``here`` by which."""
        for one in self.subgraphs:
            if one.resolves(type_name, field):
                for key in one.keys.get(type_name, ()):
                    if all(here.resolves(type_name, name) for name in key):
                        return one, key
        return None


def compose(texts: Mapping[str, str]) -> Supergraph:
    """Make one schema of each subgraph's text; GatewayError where they do not fit."""
    parts = [collect(name, text) for name, text in texts.items()]
    gone = {
        (of, at[0], at[1]) for one in parts for at, of in one.overrides.items() if of != one.name
    }
    try:
        schema = build_ast_schema(
            DocumentNode(definitions=tuple(_merge_all(parts))),
            assume_valid=True,
            assume_valid_sdl=True,
        )
    except (GraphQLError, TypeError, KeyError) as error:
        raise GatewayError(f"the schemas do not fit together: {error}") from error
    warnings = [line for one in parts for line in one.warnings]
    return Supergraph(
        schema=schema,
        subgraphs=tuple(_resolvers(one, gone) for one in parts),
        warnings=tuple(warnings),
    )


def _resolvers(parts: SubgraphParts, gone: set[tuple[str, str, str]]) -> Subgraph:
    possible: dict[str, set[str]] = {}
    for one in parts.types.values():
        if one.kind == _OBJECT:
            for interface in one.interfaces:
                possible.setdefault(interface, set()).add(one.name)
        if one.members:
            possible.setdefault(one.name, set()).update(one.members)
    return Subgraph(
        name=parts.name,
        fields={
            name: frozenset(
                field
                for field in one.fields
                if (parts.name, name, field) not in gone and _is_own(one, field)
            )
            for name, one in parts.types.items()
            if one.fields
        },
        possible={name: frozenset(types) for name, types in possible.items()},
        keys={name: tuple(one.keys) for name, one in parts.types.items() if one.keys},
    )


def _is_own(parts: TypeParts, field: str) -> bool:
    """An external field is another's, except where it is a key that comes with the entity."""
    return field not in parts.external or any(field in key for key in parts.keys)


def _merge_all(parts: Sequence[SubgraphParts]) -> Iterable[DefinitionNode]:
    names = dict.fromkeys(name for one in parts for name in one.types)
    for name in names:
        found = [one.types[name] for one in parts if name in one.types]
        kinds = {one.kind for one in found}
        if len(kinds) > 1:
            raise GatewayError(f"{name} is not the same kind of type in all subgraphs")
        yield _merge(name, found)


def _merge(name: str, found: Sequence[TypeParts]) -> DefinitionNode:
    head = NameNode(value=name)
    about = next((one.description for one in found if one.description), None)
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
            members = {key: node for one in found for key, node in one.members.items()}
            return UnionTypeDefinitionNode(
                name=head, description=about, directives=(), types=tuple(members.values())
            )
        case "enum_type_definition":
            values = {key: _value(node) for one in found for key, node in one.values.items()}
            return EnumTypeDefinitionNode(
                name=head, description=about, directives=(), values=tuple(values.values())
            )
        case "input_object_type_definition":
            # What one of them does not know could not be sent to all.
            shared = set.intersection(*(set(one.inputs) for one in found))
            inputs = [_input(node) for key, node in found[0].inputs.items() if key in shared]
            return InputObjectTypeDefinitionNode(
                name=head, description=about, directives=(), fields=tuple(inputs)
            )
        case _:
            return ScalarTypeDefinitionNode(name=head, description=about, directives=())


def _interfaces(found: Sequence[TypeParts]) -> tuple[NamedTypeNode, ...]:
    return tuple({key: node for one in found for key, node in one.interfaces.items()}.values())


def _fields(name: str, found: Sequence[TypeParts]) -> tuple[FieldDefinitionNode, ...]:
    merged: dict[str, FieldDefinitionNode] = {}
    for one in found:
        for key, node in one.fields.items():
            merged[key] = _weaker(f"{name}.{key}", merged[key], node) if key in merged else node
    return tuple(_field(node) for node in merged.values())


def _weaker(
    where: str, first: FieldDefinitionNode, second: FieldDefinitionNode
) -> FieldDefinitionNode:
    """Of two with the same type, the one that may be null."""
    types = [
        print_ast(one.type.type if isinstance(one.type, NonNullTypeNode) else one.type)
        for one in (first, second)
    ]
    if types[0] != types[1]:
        raise GatewayError(f"{where} is {types[0]} in one subgraph, and {types[1]} in another")
    return second if isinstance(first.type, NonNullTypeNode) else first


def _field(node: FieldDefinitionNode) -> FieldDefinitionNode:
    return FieldDefinitionNode(
        name=node.name,
        description=node.description,
        arguments=tuple(_input(one) for one in node.arguments or ()),
        type=node.type,
        directives=_kept(node.directives),
    )


def _input(node: InputValueDefinitionNode) -> InputValueDefinitionNode:
    return InputValueDefinitionNode(
        name=node.name,
        description=node.description,
        type=node.type,
        default_value=node.default_value,
        directives=_kept(node.directives),
    )


def _value(node: EnumValueDefinitionNode) -> EnumValueDefinitionNode:
    return EnumValueDefinitionNode(
        name=node.name, description=node.description, directives=_kept(node.directives)
    )


def _kept(directives: Iterable[ConstDirectiveNode] | None) -> tuple[ConstDirectiveNode, ...]:
    """Federation's own are for the gateway; those of the language stay."""
    return tuple(one for one in directives or () if one.name.value in _KEPT_DIRECTIVES)


__all__ = ["ROOTS", "Subgraph", "Supergraph", "compose"]
