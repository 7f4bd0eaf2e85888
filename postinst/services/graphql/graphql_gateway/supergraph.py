"""The schema that joins those of the subgraphs, and the subgraph that resolves each field."""

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
    """The types and fields that one subgraph resolves."""

    name: str
    fields: Mapping[str, frozenset[str]]  # of each object and interface
    possible: Mapping[str, frozenset[str]]  # object types of each interface and union
    keys: Mapping[str, tuple[tuple[str, ...], ...]]  # of each entity

    def resolves(self, type_name: str, field: str) -> bool:
        """Whether it can resolve this field of an object that it has found."""
        return field in self.fields.get(type_name, ())

    def knows(self, type_name: str) -> bool:
        """Whether an object, interface or union is in its schema."""
        return type_name in self.fields or type_name in self.possible


@dataclass(frozen=True, kw_only=True)
class Supergraph:
    """The joined schema, and the subgraphs in the order of precedence."""

    schema: GraphQLSchema
    subgraphs: tuple[Subgraph, ...]
    warnings: tuple[str, ...] = ()

    def owner(self, type_name: str, field: str) -> Subgraph | None:
        """Return the first subgraph that resolves a field."""
        return next(
            (subgraph for subgraph in self.subgraphs if subgraph.resolves(type_name, field)), None
        )

    def way(
        self, type_name: str, field: str, here: Subgraph
    ) -> tuple[Subgraph, tuple[str, ...]] | None:
        """Return the subgraph that resolves a field of an entity, and its key from ``here``."""
        for subgraph in self.subgraphs:
            if subgraph.resolves(type_name, field):
                for key in subgraph.keys.get(type_name, ()):
                    if all(here.resolves(type_name, name) for name in key):
                        return subgraph, key
        return None


def compose(texts: Mapping[str, str]) -> Supergraph:
    """Join the schemas of the subgraphs' texts; GatewayError if they do not fit together."""
    parts = [collect(name, text) for name, text in texts.items()]
    gone = {
        (of, at[0], at[1]) for part in parts for at, of in part.overrides.items() if of != part.name
    }
    try:
        schema = build_ast_schema(
            DocumentNode(definitions=tuple(_merge_all(parts))),
            assume_valid=True,
            assume_valid_sdl=True,
        )
    except (GraphQLError, TypeError, KeyError) as error:
        raise GatewayError(f"the schemas do not fit together: {error}") from error
    warnings = [line for part in parts for line in part.warnings]
    return Supergraph(
        schema=schema,
        subgraphs=tuple(_resolvers(part, gone) for part in parts),
        warnings=tuple(warnings),
    )


def _resolvers(parts: SubgraphParts, gone: set[tuple[str, str, str]]) -> Subgraph:
    possible: dict[str, set[str]] = {}
    for definition in parts.types.values():
        if definition.kind == _OBJECT:
            for interface in definition.interfaces:
                possible.setdefault(interface, set()).add(definition.name)
        if definition.members:
            possible.setdefault(definition.name, set()).update(definition.members)
    return Subgraph(
        name=parts.name,
        fields={
            name: frozenset(
                field
                for field in definition.fields
                if (parts.name, name, field) not in gone and _is_own(definition, field)
            )
            for name, definition in parts.types.items()
            if definition.fields
        },
        possible={name: frozenset(types) for name, types in possible.items()},
        keys={
            name: tuple(definition.keys)
            for name, definition in parts.types.items()
            if definition.keys
        },
    )


def _is_own(parts: TypeParts, field: str) -> bool:
    """Whether the field is the subgraph's own; an external one is, if it is in a key."""
    return field not in parts.external or any(field in key for key in parts.keys)


def _merge_all(parts: Sequence[SubgraphParts]) -> Iterable[DefinitionNode]:
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
            # A field that a subgraph lacks could not be sent to all.
            shared = set.intersection(*(set(definition.inputs) for definition in found))
            inputs = [_input(node) for key, node in found[0].inputs.items() if key in shared]
            return InputObjectTypeDefinitionNode(
                name=head, description=about, directives=(), fields=tuple(inputs)
            )
        case _:
            return ScalarTypeDefinitionNode(name=head, description=about, directives=())


def _interfaces(found: Sequence[TypeParts]) -> tuple[NamedTypeNode, ...]:
    return tuple(
        {key: node for definition in found for key, node in definition.interfaces.items()}.values()
    )


def _fields(name: str, found: Sequence[TypeParts]) -> tuple[FieldDefinitionNode, ...]:
    merged: dict[str, FieldDefinitionNode] = {}
    for definition in found:
        for key, node in definition.fields.items():
            merged[key] = _weaker(f"{name}.{key}", merged[key], node) if key in merged else node
    return tuple(_field(node) for node in merged.values())


def _weaker(
    where: str, first: FieldDefinitionNode, second: FieldDefinitionNode
) -> FieldDefinitionNode:
    """Return the nullable definition of two that have the same type otherwise."""
    types = [
        print_ast(field.type.type if isinstance(field.type, NonNullTypeNode) else field.type)
        for field in (first, second)
    ]
    if types[0] != types[1]:
        raise GatewayError(f"{where} is {types[0]} in one subgraph, and {types[1]} in another")
    return second if isinstance(first.type, NonNullTypeNode) else first


def _field(node: FieldDefinitionNode) -> FieldDefinitionNode:
    return FieldDefinitionNode(
        name=node.name,
        description=node.description,
        arguments=tuple(_input(argument) for argument in node.arguments or ()),
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
    """Return the directives of the language; federation's own are for the gateway only."""
    return tuple(
        directive for directive in directives or () if directive.name.value in _KEPT_DIRECTIVES
    )


__all__ = ["ROOTS", "Subgraph", "Supergraph", "compose"]
