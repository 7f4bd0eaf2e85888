"""The schema that joins those of the subgraphs, and the subgraphs that resolve each field."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_ast_schema,
    get_named_type,
    print_ast,
)

from graphql_gateway.collect import SubgraphParts, TypeParts, collect
from graphql_gateway.errors import GatewayError
from graphql_gateway.keys import Key
from graphql_gateway.merge import INTERFACE, OBJECT, merge_all


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """The types and fields that one subgraph resolves."""

    name: str
    fields: Mapping[str, Mapping[str, str]]  # of each object and interface, with their types
    possible: Mapping[str, frozenset[str]]  # object types of each interface and union
    keys: Mapping[str, tuple[Key, ...]]  # of each entity
    is_open: bool = False  # it answers without credentials

    def resolves(self, type_name: str, field: str) -> bool:
        """Whether it can resolve this field of an object that it has found."""
        return field in self.fields.get(type_name, ())

    def knows(self, type_name: str) -> bool:
        """Whether an object, interface or union is in its schema."""
        return type_name in self.fields or type_name in self.possible

    def objects(self, type_name: str) -> frozenset[str]:
        """Return the object types that a composite type has in this subgraph."""
        if type_name in self.possible:
            return self.possible[type_name]
        return frozenset([type_name]) if type_name in self.fields else frozenset()


@dataclass(frozen=True, kw_only=True)
class Step:
    """A request for entities: the subgraph, and the key by which it finds them."""

    subgraph: Subgraph
    key: Key


@dataclass(frozen=True, kw_only=True)
class Supergraph:
    """The joined schema, and the subgraphs in the order of precedence."""

    schema: GraphQLSchema
    subgraphs: tuple[Subgraph, ...]
    warnings: tuple[str, ...] = ()
    _ways: dict[tuple[str, str], tuple[tuple[Step, ...], ...]] = field(default_factory=dict)

    def owners(self, type_name: str, name: str) -> tuple[Subgraph, ...]:
        """Return the subgraphs that resolve a field, the first one first."""
        return tuple(subgraph for subgraph in self.subgraphs if subgraph.resolves(type_name, name))

    def ways(self, type_name: str, here: Subgraph) -> tuple[tuple[Step, ...], ...]:
        """Return the shortest way to each other subgraph that finds an entity of ``here``."""
        same = (type_name, here.name)
        if same not in self._ways:
            self._ways[same] = tuple(self._find_ways(type_name, here))
        return self._ways[same]

    def _find_ways(self, type_name: str, here: Subgraph) -> Iterator[tuple[Step, ...]]:
        seen = {here.name}
        border: list[tuple[tuple[Step, ...], Subgraph]] = [((), here)]
        while border:
            further: list[tuple[tuple[Step, ...], Subgraph]] = []
            for way, at in border:
                for subgraph in self.subgraphs:
                    key = self._key(type_name, at, subgraph)
                    if key is None or subgraph.name in seen:
                        continue
                    seen.add(subgraph.name)
                    further.append(((*way, Step(subgraph=subgraph, key=key)), subgraph))
            yield from (way for way, _ in further)
            border = further

    def _key(self, type_name: str, here: Subgraph, there: Subgraph) -> Key | None:
        """Return the first key of ``there`` whose fields ``here`` resolves."""
        keys = there.keys.get(type_name, ())
        return next((key for key in keys if self._has(type_name, key, here)), None)

    def _has(self, type_name: str, key: Key, here: Subgraph) -> bool:
        composite = self.schema.type_map.get(type_name)
        if not isinstance(composite, GraphQLObjectType | GraphQLInterfaceType):
            return False
        for part in key:
            if part.name not in composite.fields or not here.resolves(type_name, part.name):
                return False
            below = get_named_type(composite.fields[part.name].type)
            if part.below and not self._has(below.name, part.below, here):
                return False
        return True


def compose(
    texts: Mapping[str, str], optional: Iterable[str] = (), open_: Iterable[str] = ()
) -> Supergraph:
    """Join the schemas of the subgraphs' texts; GatewayError if they do not fit together.

    An ``optional`` subgraph that does not fit is left out, with a warning; ``open_`` are
    those that answer without credentials.
    """
    left = [name for name in texts if name in set(optional)]
    chosen, warnings = dict(texts), list[str]()
    while True:
        try:
            return _join(chosen, warnings, frozenset(open_))
        except GatewayError as error:
            if not left:
                raise
            name = left.pop()
            del chosen[name]
            # Without it the same error may come: then it was not the reason, and is raised.
            warnings.append(f"{name} is left out: {error}")


def _join(texts: Mapping[str, str], warnings: Sequence[str], open_: frozenset[str]) -> Supergraph:
    parts = [collect(name, text) for name, text in texts.items()]
    gone = {
        (of, at[0], at[1]) for part in parts for at, of in part.overrides.items() if of != part.name
    }
    try:
        schema = build_ast_schema(
            DocumentNode(definitions=tuple(merge_all(parts))),
            assume_valid=True,
            assume_valid_sdl=True,
        )
    except (GraphQLError, TypeError, KeyError) as error:
        raise GatewayError(f"the schemas do not fit together: {error}") from error
    return Supergraph(
        schema=schema,
        subgraphs=tuple(
            replace(_resolvers(part, gone), is_open=part.name in open_) for part in parts
        ),
        warnings=tuple(warnings),
    )


def _resolvers(parts: SubgraphParts, gone: set[tuple[str, str, str]]) -> Subgraph:
    possible: dict[str, set[str]] = {}
    for definition in parts.types.values():
        if definition.kind == INTERFACE:
            possible.setdefault(definition.name, set())
        if definition.kind == OBJECT:
            for interface in definition.interfaces:
                possible.setdefault(interface, set()).add(definition.name)
        if definition.members:
            possible.setdefault(definition.name, set()).update(definition.members)
    return Subgraph(
        name=parts.name,
        fields={
            name: {
                field: print_ast(node.type)
                for field, node in definition.fields.items()
                if (parts.name, name, field) not in gone and _is_own(definition, field)
            }
            for name, definition in parts.types.items()
            if definition.kind in (OBJECT, INTERFACE)
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
    return field not in parts.external or any(
        part.name == field for key in parts.keys for part in key
    )
