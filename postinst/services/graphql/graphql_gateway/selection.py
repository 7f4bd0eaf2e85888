"""The fields that an operation selects: fragments expanded, conditions applied, doubles joined.

https://spec.graphql.org/October2021/#CollectFields(), for all types of objects at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    NamedTypeNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    print_ast,
)

from graphql_gateway.errors import RequestError
from graphql_gateway.limits import MAX_FIELDS
from graphql_gateway.nodes import TYPENAME, response_key

COMPOSITE = (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)
CONDITIONS = {"skip": False, "include": True}


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """One field of the response: every node that selects it, and what all select below it."""

    key: str
    name: str
    arguments: str
    nodes: tuple[FieldNode, ...]
    below: "Selection | None"


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """The fields of an object, interface or union."""

    parent: GraphQLCompositeType
    fields: Mapping[str, Field]  # of every object
    typed: Mapping[str, Mapping[str, Field]]  # further ones, of the objects of one type

    def __bool__(self) -> bool:
        return bool(self.fields or self.typed)


@dataclass(kw_only=True)
class _Scope:
    """The nodes of one selection by key: of all its objects, and of those of one type."""

    parent: GraphQLCompositeType
    shared: dict[str, list[FieldNode]] = field(default_factory=dict)
    typed: dict[str, dict[str, list[FieldNode]]] = field(default_factory=dict)
    seen: set[tuple[str, frozenset[str] | None]] = field(default_factory=set)


class Collector:
    """Collects the selections of one operation; RequestError if they are too many."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, object] | None,
    ) -> None:
        """Without ``variables`` every condition is taken to be met."""
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._left = MAX_FIELDS
        self._known: dict[tuple[object, ...], Selection] = {}
        self._possible: dict[str, frozenset[str]] = {}
        # Every pair of types at a fragment: around it, and of its condition.
        self.conditions: set[tuple[str, str]] = set()
        # Whether a fragment is of no object here: what it has was not looked at.
        self.has_idle = False

    def collect(self, parent: GraphQLCompositeType, sets: Sequence[SelectionSetNode]) -> Selection:
        """Return what the selection sets select of ``parent``, taken together."""
        same = (parent.name, *map(id, sets))
        if same not in self._known:
            scope = _Scope(parent=parent)
            for selections in sets:
                self._walk(selections, scope, parent, None)
            self._known[same] = self._selection(scope)
        return self._known[same]

    def fields_of(self, selection: Selection, object_name: str) -> Mapping[str, Field]:
        """Return all fields that are selected of the objects of one type."""
        own = selection.typed.get(object_name, {})
        parent = self._schema.type_map[object_name]
        assert isinstance(parent, GraphQLObjectType)
        if selection.parent.name == object_name:
            return selection.fields
        found = dict[str, Field]()
        for key, shared in selection.fields.items():
            nodes = shared.nodes
            if key in own:
                _refuse_conflict(key, shared, own[key])
                nodes = (*nodes, *own[key].nodes)
            is_same = key not in own and _type_name(selection.parent, shared.name) == _type_name(
                parent, shared.name
            )
            found[key] = shared if is_same else self._field(parent, key, nodes)
        return {**own, **found}

    def possible(self, composite: GraphQLCompositeType) -> frozenset[str]:
        """Return the object types that a composite type has in the joined schema."""
        if composite.name not in self._possible:
            if isinstance(composite, GraphQLObjectType):
                names = {composite.name}
            else:
                names = {kind.name for kind in self._schema.get_possible_types(composite)}
            self._possible[composite.name] = frozenset(names)
        return self._possible[composite.name]

    def _walk(
        self,
        selections: SelectionSetNode,
        scope: _Scope,
        around: GraphQLCompositeType,
        among: frozenset[str] | None,
    ) -> None:
        """Add the fields of ``selections``, for the objects ``among`` those of the parent."""
        for node in selections.selections:
            self._spend()
            if isinstance(node, FieldNode):
                if self._is_met(node.directives):
                    self._add(node, scope, among)
                continue
            fragment: InlineFragmentNode | FragmentDefinitionNode
            if isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
            else:
                assert isinstance(node, InlineFragmentNode)
                fragment = node
            target = around
            condition: NamedTypeNode | None = fragment.type_condition
            if condition:
                target = self._type(condition.name.value)
                self.conditions.add((around.name, target.name))
            below = self._narrow(scope.parent, among, target)
            self.has_idle |= below is not None and not below
            if not self._is_met(node.directives) or (below is not None and not below):
                continue
            if isinstance(node, FragmentSpreadNode):
                if (node.name.value, below) in scope.seen:
                    continue
                scope.seen.add((node.name.value, below))
            self._walk(fragment.selection_set, scope, target, below)

    def _add(self, node: FieldNode, scope: _Scope, among: frozenset[str] | None) -> None:
        if among is None:
            scope.shared.setdefault(response_key(node), []).append(node)
            return
        for name in sorted(among):
            self._spend()
            nodes = scope.typed.setdefault(name, {})
            nodes.setdefault(response_key(node), []).append(node)

    def _narrow(
        self, parent: GraphQLCompositeType, among: frozenset[str] | None, to: GraphQLCompositeType
    ) -> frozenset[str] | None:
        """Return the objects ``among`` those of ``parent`` that are of the type ``to``."""
        if to.name == parent.name:
            return among
        these = self.possible(to)
        if among is not None:
            return among & these
        # Then the parent has every field of the target, too.
        interfaces = () if isinstance(parent, GraphQLUnionType) else parent.interfaces
        if any(interface.name == to.name for interface in interfaces):
            return None
        every = self.possible(parent)
        is_object = isinstance(parent, GraphQLObjectType)
        return None if is_object and every <= these else every & these

    def _selection(self, scope: _Scope) -> Selection:
        parent = scope.parent
        typed = dict[str, dict[str, Field]]()
        for name, nodes in scope.typed.items():
            own = self._type(name)
            typed[name] = {key: self._field(own, key, found) for key, found in nodes.items()}
        fields = {key: self._field(parent, key, found) for key, found in scope.shared.items()}
        selection = Selection(parent=parent, fields=fields, typed=typed)
        self._refuse_other_shapes(selection)
        return selection

    def _field(self, parent: GraphQLCompositeType, key: str, nodes: Sequence[FieldNode]) -> Field:
        first = nodes[0]
        if key == TYPENAME and first.name.value != TYPENAME:
            raise RequestError.of(f"the alias '{key}' is reserved", "GRAPHQL_VALIDATION_FAILED")
        arguments = _arguments(first)
        for node in nodes[1:]:
            if (node.name.value, _arguments(node)) != (first.name.value, arguments):
                raise _conflict(key, first.name.value, node.name.value)
        return Field(
            key=key,
            name=first.name.value,
            arguments=arguments,
            nodes=tuple(nodes),
            below=self._below(parent, nodes),
        )

    def _below(self, parent: GraphQLCompositeType, nodes: Sequence[FieldNode]) -> Selection | None:
        sets = [node.selection_set for node in nodes if node.selection_set]
        if not sets or nodes[0].name.value.startswith("__"):
            return None
        below = get_named_type(_output(parent, nodes[0].name.value))
        assert isinstance(below, COMPOSITE)
        return self.collect(below, list({id(found): found for found in sets}.values()))

    def _refuse_other_shapes(self, selection: Selection) -> None:
        """Refuse one name for values of different kinds, even if of different objects."""
        shapes: dict[str, tuple[str, str]] = {}
        for parent, fields in self._all(selection):
            for key, found in fields.items():
                shape = "String!"
                if found.name != TYPENAME:
                    shape = _shape(_output(parent, found.name))
                name, known = shapes.setdefault(key, (found.name, shape))
                if known != shape:
                    raise _conflict(key, name, found.name)

    def _all(
        self, selection: Selection
    ) -> Iterator[tuple[GraphQLCompositeType, Mapping[str, Field]]]:
        if not selection.typed:
            return
        yield selection.parent, selection.fields
        for name, fields in selection.typed.items():
            yield self._type(name), fields

    def _type(self, name: str) -> GraphQLCompositeType:
        found = self._schema.type_map[name]
        assert isinstance(found, COMPOSITE)
        return found

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise RequestError.of("the query is too large")

    def _is_met(self, directives: Sequence[DirectiveNode] | None) -> bool:
        if self._variables is None:
            return True
        return all(
            self._value(directive) is CONDITIONS[directive.name.value]
            for directive in directives or ()
            if directive.name.value in CONDITIONS
        )

    def _value(self, directive: DirectiveNode) -> bool:
        value = directive.arguments[0].value
        if isinstance(value, VariableNode):
            assert self._variables is not None
            return bool(self._variables.get(value.name.value))
        return bool(getattr(value, "value", False))


def _arguments(node: FieldNode) -> str:
    return ", ".join(sorted(print_ast(argument) for argument in node.arguments or ()))


def _output(parent: GraphQLCompositeType, name: str) -> GraphQLOutputType:
    assert not isinstance(parent, GraphQLUnionType)
    found: GraphQLOutputType = parent.fields[name].type
    return found


def _type_name(parent: GraphQLCompositeType, name: str) -> str:
    return "" if name.startswith("__") else get_named_type(_output(parent, name)).name


def _shape(output: GraphQLOutputType) -> str:
    """Return a type's text; all objects look the same."""
    named = get_named_type(output)
    return str(output).replace(named.name, "{}") if isinstance(named, COMPOSITE) else str(output)


def _refuse_conflict(key: str, first: Field, second: Field) -> None:
    if (first.name, first.arguments) != (second.name, second.arguments):
        raise _conflict(key, first.name, second.name)


def _conflict(key: str, first: str, second: str) -> RequestError:
    what = f"'{first}' and '{second}'" if first != second else f"'{first}' with different arguments"
    return RequestError.of(
        f"Fields '{key}' conflict: it is {what}. Use different aliases.",
        "GRAPHQL_VALIDATION_FAILED",
    )
