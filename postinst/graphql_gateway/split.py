"""Splits selections among subgraphs: what is asked here, and what of entities elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    NameNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    get_named_type,
    print_ast,
    visit,
)

from graphql_gateway.errors import RequestError
from graphql_gateway.supergraph import Subgraph, Supergraph

TYPENAME = "__typename"
_COMPOSITE = (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)
# Fragments are written out; one that names another twice, again and again, would explode.
_MAX_NODES = 20_000


@dataclass(frozen=True, kw_only=True)
class Hop:
    """Fields of entities that another subgraph has: who, by which key, and what to ask."""

    path: tuple[str, ...]  # to the entities, from the answer it begins at; lists are gone through
    type_name: str
    key: Mapping[str, str]  # field to how it is called in the answer
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


def response_key(node: FieldNode) -> str:
    """What a field is called in the answer."""
    return node.alias.value if node.alias else node.name.value


class Splitter:
    """Splits the fields of one part; ``altered`` tells whether it asks anything else."""

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
        # Of no name that the client uses.
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
        """A root field as ``here`` is asked for it, under the conditions it is under."""
        conditions = tuple(one for wrap in under for one in _printed(wrap))
        selection: SelectionNode = self._field(node, self._type(root), here, (), conditions)
        for wrap in reversed(under):
            selection = _fragment(None, wrap, [selection])
        return [selection]

    def finish(self) -> tuple[Hop, ...]:
        """What is to be asked elsewhere once the part has its answer."""
        drafts, self._drafts = list(self._drafts.values()), {}
        return tuple(self._finish(draft) for draft in drafts)

    def _finish(self, draft: _Draft) -> Hop:
        parent = self._type(draft.type_name)
        selections = self._selections(draft.nodes, parent, draft.subgraph, (), ())
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

    def _selections(
        self,
        nodes: Sequence[SelectionNode],
        parent: GraphQLCompositeType,
        here: Subgraph,
        path: tuple[str, ...],
        conditions: tuple[str, ...],
    ) -> list[SelectionNode]:
        found: list[SelectionNode] = []
        for node in nodes:
            self._left -= 1
            if self._left < 0:
                raise RequestError.of("the query is too large")
            if isinstance(node, FieldNode):
                found += self._any_field(node, parent, here, path, conditions)
            else:
                found += self._any_fragment(node, parent, here, path, conditions)
        return found

    def _any_field(
        self,
        node: FieldNode,
        parent: GraphQLCompositeType,
        here: Subgraph,
        path: tuple[str, ...],
        conditions: tuple[str, ...],
    ) -> list[SelectionNode]:
        name = node.name.value
        if name == TYPENAME:
            return [node]
        if isinstance(parent, GraphQLObjectType):
            if here.resolves(parent.name, name):
                return [self._field(node, parent, here, path, conditions)]
            return self._elsewhere(node, parent.name, here, path, conditions)
        types = sorted(here.possible.get(parent.name, ()))
        if here.resolves(parent.name, name) and all(here.resolves(one, name) for one in types):
            return [self._field(node, parent, here, path, conditions)]
        self.altered = True
        return [
            _fragment(
                one,
                (),
                self._selections([node], self._type(one), here, path, (*conditions, f"on {one}")),
            )
            for one in types
        ]

    def _field(
        self,
        node: FieldNode,
        parent: GraphQLCompositeType,
        here: Subgraph,
        path: tuple[str, ...],
        conditions: tuple[str, ...],
    ) -> FieldNode:
        """A field that ``here`` has, with what is below it."""
        if node.selection_set is None:
            return node
        assert not isinstance(parent, GraphQLUnionType)
        below = get_named_type(parent.fields[node.name.value].type)
        assert isinstance(below, _COMPOSITE)
        selections = self._selections(
            node.selection_set.selections,
            below,
            here,
            (*path, response_key(node)),
            (*conditions, *_printed(node.directives)),
        )
        # The answer is put together by what each object is; where nothing is left to
        # ask, whether it is there.
        if not (isinstance(below, GraphQLObjectType) and selections):
            selections.append(_name_field(TYPENAME))
        return FieldNode(
            alias=node.alias,
            name=node.name,
            arguments=node.arguments,
            directives=node.directives,
            selection_set=SelectionSetNode(selections=tuple(selections)),
        )

    def _elsewhere(
        self,
        node: FieldNode,
        type_name: str,
        here: Subgraph,
        path: tuple[str, ...],
        conditions: tuple[str, ...],
    ) -> list[SelectionNode]:
        """Another subgraph is asked for the field; here, for the key of the entity."""
        self.altered = True
        way = self._supergraph.way(type_name, node.name.value, here)
        if way is None:
            raise RequestError.of(
                f"no subgraph resolves {type_name}.{node.name.value} of what {here.name} finds"
            )
        there, key = way
        # The same entities under the same conditions are asked for at once, and here for
        # their key: the manager counts aliases.
        same = (path, type_name, key, there.name, conditions)
        if same in self._drafts:
            self._drafts[same].nodes.append(node)
            return []
        self._count += 1
        names = {name: f"{self._mark}_{self._count}_{name}" for name in key}
        self._drafts[same] = _Draft(
            path=path, type_name=type_name, key=names, subgraph=there, nodes=[node]
        )
        return [_name_field(name, alias) for name, alias in names.items()]

    def _any_fragment(
        self,
        node: SelectionNode,
        parent: GraphQLCompositeType,
        here: Subgraph,
        path: tuple[str, ...],
        conditions: tuple[str, ...],
    ) -> list[SelectionNode]:
        fragment: InlineFragmentNode | FragmentDefinitionNode
        if isinstance(node, FragmentSpreadNode):
            fragment = self._fragments[node.name.value]
        else:
            assert isinstance(node, InlineFragmentNode)
            fragment = node
        condition: NamedTypeNode | None = fragment.type_condition
        target = self._type(condition.name.value) if condition else parent
        conditions = (*conditions, *_printed(node.directives))
        found: list[SelectionNode] = []
        for one in self._known(target, parent, here):
            # What is below holds for these objects alone.
            among = conditions if one == parent.name else (*conditions, f"on {one}")
            below = self._selections(
                fragment.selection_set.selections, self._type(one), here, path, among
            )
            if below:
                found.append(_fragment(one, node.directives, below))
        return found

    def _known(
        self, target: GraphQLCompositeType, parent: GraphQLCompositeType, here: Subgraph
    ) -> list[str]:
        """The types of a fragment that objects of ``parent`` from ``here`` can be of."""
        if target.name == parent.name:
            return [target.name]
        these = _objects(parent, here)
        if here.knows(target.name) and these & _objects(target, here):
            return [target.name]
        self.altered = True
        if isinstance(target, GraphQLObjectType):
            return []
        every = {one.name for one in self._supergraph.schema.get_possible_types(target)}
        return sorted(these & every)


def _objects(composite: GraphQLCompositeType, here: Subgraph) -> frozenset[str]:
    if isinstance(composite, GraphQLObjectType):
        return frozenset([composite.name])
    return here.possible.get(composite.name, frozenset())


def _printed(directives: Sequence[DirectiveNode] | None) -> tuple[str, ...]:
    return tuple(print_ast(one) for one in directives or ())


def _name_field(name: str, alias: str | None = None) -> FieldNode:
    return FieldNode(
        alias=NameNode(value=alias) if alias else None,
        name=NameNode(value=name),
        arguments=(),
        directives=(),
        selection_set=None,
    )


def _fragment(
    type_name: str | None,
    directives: Sequence[DirectiveNode] | None,
    selections: Sequence[SelectionNode],
) -> InlineFragmentNode:
    condition = NamedTypeNode(name=NameNode(value=type_name)) if type_name else None
    return InlineFragmentNode(
        type_condition=condition,
        directives=tuple(directives or ()),
        selection_set=SelectionSetNode(selections=tuple(selections)),
    )


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)


def text_of(
    operation: OperationDefinitionNode,
    selections: Sequence[SelectionNode],
    entity: str | None = None,
) -> tuple[str, frozenset[str]]:
    """The text of an operation with these selections, and the variables it takes.

    With ``entity``, the selections are those of entities that are asked for by their keys.
    """
    body = SelectionSetNode(selections=tuple(selections))
    used = _Variables()
    visit(body, used)
    listed = [
        print_ast(one)
        for one in operation.variable_definitions or ()
        if one.variable.name.value in used.names
    ]
    if entity is None:
        kind = operation.operation.value
        name = f" {operation.name.value}" if operation.name else ""
        variables = f"({', '.join(listed)})" if listed else ""
        return f"{kind}{name}{variables} {print_ast(body)}", frozenset(used.names)
    taken = ", ".join(["$representations: [_Any!]!", *listed])
    inner = print_ast(_fragment(entity, (), selections))
    found = f"_entities(representations: $representations) {{ {inner} }}"
    return f"query({taken}) {{ {found} }}", frozenset(used.names)
