"""Splits selections among subgraphs: fields requested here, and fields of entities elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    InlineFragmentNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
)

from graphql_gateway.errors import RequestError
from graphql_gateway.nodes import (
    TYPENAME,
    inline_fragment,
    name_field,
    printed,
    response_key,
    text_of,
)
from graphql_gateway.supergraph import Subgraph, Supergraph

_COMPOSITE = (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)
# Fragments are expanded; one that names another twice, again and again, would explode.
_MAX_NODES = 20_000


@dataclass(frozen=True, kw_only=True)
class Hop:
    """Fields of entities that another subgraph has: the subgraph, the key, and the selections."""

    path: tuple[str, ...]  # to the entities, from the response where it begins, through lists
    type_name: str
    key: Mapping[str, str]  # field to its name in the response
    subgraph: str
    query: str
    variables: frozenset[str]
    hops: tuple["Hop", ...]


@dataclass(kw_only=True)
class _Draft:
    path: tuple[str, ...]
    type_name: str
    key: dict[str, str]
    subgraph: Subgraph
    nodes: list[SelectionNode] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Scope:
    """The subgraph and the objects that selections are for."""

    here: Subgraph
    parent: GraphQLCompositeType
    path: tuple[str, ...] = ()  # to the objects, from the response where it begins
    conditions: tuple[str, ...] = ()  # directives and types that limit them, from the outermost one

    def under(self, directives: Sequence[DirectiveNode] | None) -> "_Scope":
        """Return the scope of the same objects under the conditions in ``directives``."""
        return replace(self, conditions=(*self.conditions, *printed(directives)))

    def among(self, kind: GraphQLCompositeType) -> "_Scope":
        """Return the scope of the objects of this type only."""
        if kind.name == self.parent.name:
            return self
        return replace(self, parent=kind, conditions=(*self.conditions, f"on {kind.name}"))

    def below(self, node: FieldNode, kind: GraphQLCompositeType) -> "_Scope":
        """Return the scope of the objects of this type that a field leads to."""
        path = (*self.path, response_key(node))
        return replace(self.under(node.directives), parent=kind, path=path)


class Splitter:
    """Splits the fields of one part; ``altered`` is whether its request differs from them."""

    def __init__(
        self,
        supergraph: Supergraph,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        query: str,
    ) -> None:
        self._supergraph = supergraph
        self._fragments = fragments
        self._operation = operation
        self._left = _MAX_NODES
        self._drafts: dict[tuple[object, ...], _Draft] = {}
        # A prefix that no name of the client has.
        self._mark = "gw"
        while f"{self._mark}_" in query:
            self._mark += "w"
        self._count = 0
        self.altered = False

    def root_field(
        self,
        node: FieldNode,
        under: Sequence[Sequence[DirectiveNode]],
        root: str,
        here: Subgraph,
    ) -> list[SelectionNode]:
        """Return the request to ``here`` for a root field, under the conditions around it."""
        scope = _Scope(here=here, parent=self._type(root))
        for wrap in under:
            scope = scope.under(wrap)
        selection: SelectionNode = self._field(node, scope)
        for wrap in reversed(under):
            selection = inline_fragment(None, wrap, [selection])
        return [selection]

    def finish(self) -> tuple[Hop, ...]:
        """Return the requests to other subgraphs that follow the part's response."""
        drafts, self._drafts = list(self._drafts.values()), {}
        return tuple(self._finish(draft) for draft in drafts)

    def _finish(self, draft: _Draft) -> Hop:
        scope = _Scope(here=draft.subgraph, parent=self._type(draft.type_name))
        selections = self._selections(draft.nodes, scope)
        hops = self.finish()
        query, variables = text_of(self._operation, selections, entity=draft.type_name)
        return Hop(
            path=draft.path,
            type_name=draft.type_name,
            key=draft.key,
            subgraph=draft.subgraph.name,
            query=query,
            variables=variables,
            hops=hops,
        )

    def _type(self, name: str) -> GraphQLCompositeType:
        found = self._supergraph.schema.type_map[name]
        assert isinstance(found, _COMPOSITE)
        return found

    def _selections(self, nodes: Sequence[SelectionNode], scope: _Scope) -> list[SelectionNode]:
        found: list[SelectionNode] = []
        for node in nodes:
            self._left -= 1
            if self._left < 0:
                raise RequestError.of("the query is too large")
            if isinstance(node, FieldNode):
                found += self._any_field(node, scope)
            else:
                found += self._any_fragment(node, scope)
        return found

    def _any_field(self, node: FieldNode, scope: _Scope) -> list[SelectionNode]:
        name, here, parent = node.name.value, scope.here, scope.parent
        if name == TYPENAME:
            return [node]
        if isinstance(parent, GraphQLObjectType):
            if here.resolves(parent.name, name):
                return [self._field(node, scope)]
            return self._elsewhere(node, scope)
        types = sorted(here.possible.get(parent.name, ()))
        if here.resolves(parent.name, name) and all(
            here.resolves(possible, name) for possible in types
        ):
            return [self._field(node, scope)]
        self.altered = True
        return [
            inline_fragment(
                possible, (), self._selections([node], scope.among(self._type(possible)))
            )
            for possible in types
        ]

    def _field(self, node: FieldNode, scope: _Scope) -> FieldNode:
        """Return a field that ``scope.here`` has, with its selections."""
        if node.selection_set is None:
            return node
        assert not isinstance(scope.parent, GraphQLUnionType)
        below = get_named_type(scope.parent.fields[node.name.value].type)
        assert isinstance(below, _COMPOSITE)
        selections = self._selections(node.selection_set.selections, scope.below(node, below))
        # Each object's type is needed to build the response; if no selection is left, it shows
        # that the object exists.
        if not (isinstance(below, GraphQLObjectType) and selections):
            selections.append(name_field(TYPENAME))
        return FieldNode(
            alias=node.alias,
            name=node.name,
            arguments=node.arguments,
            directives=node.directives,
            selection_set=SelectionSetNode(selections=tuple(selections)),
        )

    def _elsewhere(self, node: FieldNode, scope: _Scope) -> list[SelectionNode]:
        """Request the field from another subgraph, and the key of the entity from this one."""
        self.altered = True
        type_name, here = scope.parent.name, scope.here
        way = self._supergraph.way(type_name, node.name.value, here)
        if way is None:
            raise RequestError.of(
                f"no subgraph resolves {type_name}.{node.name.value} of what {here.name} finds"
            )
        there, key = way
        # The same entities under the same conditions are requested together, and their key only
        # once here: the manager counts aliases.
        same = (scope.path, type_name, key, there.name, scope.conditions)
        if same in self._drafts:
            self._drafts[same].nodes.append(node)
            return []
        self._count += 1
        names = {name: f"{self._mark}_{self._count}_{name}" for name in key}
        self._drafts[same] = _Draft(
            path=scope.path, type_name=type_name, key=names, subgraph=there, nodes=[node]
        )
        return [name_field(name, alias) for name, alias in names.items()]

    def _any_fragment(self, node: SelectionNode, scope: _Scope) -> list[SelectionNode]:
        fragment: InlineFragmentNode | FragmentDefinitionNode
        if isinstance(node, FragmentSpreadNode):
            fragment = self._fragments[node.name.value]
        else:
            assert isinstance(node, InlineFragmentNode)
            fragment = node
        condition: NamedTypeNode | None = fragment.type_condition
        target = self._type(condition.name.value) if condition else scope.parent
        scope = scope.under(node.directives)
        found: list[SelectionNode] = []
        for possible in self._known(target, scope):
            # The selections below hold for these objects only.
            among = scope.among(self._type(possible))
            below = self._selections(fragment.selection_set.selections, among)
            if below:
                found.append(inline_fragment(possible, node.directives, below))
        return found

    def _known(self, target: GraphQLCompositeType, scope: _Scope) -> list[str]:
        """Return the types of a fragment that objects of ``scope`` can have."""
        if target.name == scope.parent.name:
            return [target.name]
        these = _objects(scope.parent, scope.here)
        if scope.here.knows(target.name) and these & _objects(target, scope.here):
            return [target.name]
        self.altered = True
        if isinstance(target, GraphQLObjectType):
            return []
        every = {name.name for name in self._supergraph.schema.get_possible_types(target)}
        return sorted(these & every)


def _objects(composite: GraphQLCompositeType, here: Subgraph) -> frozenset[str]:
    if isinstance(composite, GraphQLObjectType):
        return frozenset([composite.name])
    return here.possible.get(composite.name, frozenset())
