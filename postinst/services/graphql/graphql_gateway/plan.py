"""Plans an operation: the request for each subgraph. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    OverlappingFieldsCanBeMergedRule,
    SelectionNode,
    parse,
    specified_rules,
    validate,
)

from graphql_gateway.collect import ROOTS
from graphql_gateway.errors import Error, RequestError
from graphql_gateway.nodes import response_key, text_of
from graphql_gateway.split import Hop, Splitter
from graphql_gateway.supergraph import Subgraph, Supergraph

_MAX_TOKENS = 20_000  # the longest operation of the Web UI has under 2,000
_MAX_ROOT_FIELDS = 1_000
_INTROSPECTION = {"__schema", "__type"}
# The rule is quadratic, and each subgraph applies it itself before it resolves anything.
_RULES = tuple(rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule)


@dataclass(frozen=True, kw_only=True)
class Part:
    """The request to one subgraph."""

    subgraph: str
    query: str
    operation_name: str | None
    variables: frozenset[str]
    keys: tuple[str, ...]  # of its response
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The requests that answer an operation."""

    kind: OperationType
    document: DocumentNode
    operation: OperationDefinitionNode
    parts: tuple[Part, ...]
    # Whether the one part's response is the whole response, unchanged.
    is_plain: bool

    @property
    def name(self) -> str | None:
        """The operation's name."""
        return self.operation.name.value if self.operation.name else None


def plan_operation(
    supergraph: Supergraph, query: str, operation_name: str | None, *, introspection: bool
) -> Plan:
    """Plan one operation of ``query``; RequestError if it does not fit the schema."""
    document = _parse(query)
    operation = _operation(document, operation_name)
    errors = validate(supergraph.schema, document, _RULES)
    if errors:
        raise RequestError([_as_error(error, "GRAPHQL_VALIDATION_FAILED") for error in errors])
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    found = _root_fields(operation.selection_set.selections, fragments, ())
    # Stop at the limit: fragments that name others twice, again and again, would explode.
    fields = list(islice(found, _MAX_ROOT_FIELDS + 1))
    if len(fields) > _MAX_ROOT_FIELDS:
        raise RequestError.of("the query is too large")
    if not introspection:
        _refuse_introspection(fields)
    return _Planner(supergraph, query, document, operation, fragments).plan(fields)


def _parse(query: str) -> DocumentNode:
    try:
        return parse(query, max_tokens=_MAX_TOKENS)
    except GraphQLError as error:
        raise RequestError([_as_error(error, "GRAPHQL_PARSE_FAILED")]) from error
    except RecursionError as error:
        raise RequestError.of("the query is nested too deeply", "GRAPHQL_PARSE_FAILED") from error


def _as_error(error: GraphQLError, code: str) -> Error:
    formatted: Error = {**error.formatted}
    return {**formatted, "extensions": {**formatted.get("extensions", {}), "code": code}}


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = [
        definition
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    ]
    if name is not None:
        found = [
            definition for definition in found if definition.name and definition.name.value == name
        ]
    if len(found) != 1:
        what = f"no operation '{name}'" if name is not None else "not one operation, or no name"
        raise RequestError.of(f"the query has {what} to run", "OPERATION_RESOLUTION_FAILURE")
    return found[0]


# The directives of the fragments around a root field, from the outermost one.
_Under = tuple[tuple[DirectiveNode, ...], ...]


def _refuse_introspection(fields: Sequence[tuple[FieldNode, _Under]]) -> None:
    """Refuse what the manager itself refuses by default: its schema, and the type of anything."""
    for field, _ in fields:
        if field.name.value in _INTROSPECTION:
            raise RequestError.of(
                f"Cannot query '{field.name.value}': introspection is disabled.",
                "INTROSPECTION_DISABLED",
            )


def _root_fields(
    selections: Sequence[SelectionNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    under: _Under,
) -> Iterator[tuple[FieldNode, _Under]]:
    for node in selections:
        if isinstance(node, FieldNode):
            yield node, under
            continue
        if isinstance(node, FragmentSpreadNode):
            below = fragments[node.name.value].selection_set
        else:
            assert isinstance(node, InlineFragmentNode)
            below = node.selection_set
        wrap = (node.directives,) if node.directives else ()
        yield from _root_fields(below.selections, fragments, (*under, *wrap))


@dataclass(kw_only=True)
class _Group:
    """Root fields that go to one subgraph in one request."""

    subgraph: Subgraph
    fields: list[tuple[FieldNode, _Under]]


class _Planner:
    def __init__(
        self,
        supergraph: Supergraph,
        query: str,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> None:
        self._supergraph = supergraph
        self._query = query
        self._document = document
        self._operation = operation
        self._fragments = fragments

    def plan(self, listed: Sequence[tuple[FieldNode, _Under]]) -> Plan:
        kind = self._operation.operation
        root = ROOTS[kind]
        groups = self._groups(root, [entry for entry in listed if entry[0].name.value[:2] != "__"])
        has_own = any(field.name.value in _INTROSPECTION for field, _ in listed)
        if kind is OperationType.SUBSCRIPTION and len(groups) != 1:
            raise RequestError.of("a subscription has one field")
        parts, altered = [], has_own or len(groups) != 1
        for group in groups:
            splitter = Splitter(self._supergraph, self._fragments, self._operation, self._query)
            part = self._part(group, splitter, root)
            parts.append(part)
            altered |= splitter.altered or bool(part.hops)
        if not altered:
            parts = [self._plain(parts[0])]
        return Plan(
            kind=kind,
            document=self._document,
            operation=self._operation,
            parts=tuple(parts),
            is_plain=not altered,
        )

    def _groups(self, root: str, fields: Sequence[tuple[FieldNode, _Under]]) -> list[_Group]:
        """Group the fields by subgraph; in a mutation only neighbours, because order matters."""
        groups: list[_Group] = []
        for field, under in fields:
            owner = self._supergraph.owner(root, field.name.value)
            if owner is None:
                raise RequestError.of(f"no subgraph resolves {root}.{field.name.value}")
            is_ordered = self._operation.operation is OperationType.MUTATION
            candidates = groups[-1:] if is_ordered else groups
            found = next(
                (candidate for candidate in candidates if candidate.subgraph is owner), None
            )
            if found is None:
                found = _Group(subgraph=owner, fields=[])
                groups.append(found)
            found.fields.append((field, under))
        return groups

    def _part(self, group: _Group, splitter: Splitter, root: str) -> Part:
        selections: list[SelectionNode] = []
        for field, under in group.fields:
            selections += splitter.root_field(field, under, root, group.subgraph)
        hops = splitter.finish()
        query, variables = text_of(self._operation, selections)
        return Part(
            subgraph=group.subgraph.name,
            query=query,
            operation_name=self._operation.name.value if self._operation.name else None,
            variables=variables,
            keys=tuple(dict.fromkeys(response_key(field) for field, _ in group.fields)),
            hops=hops,
        )

    def _plain(self, part: Part) -> Part:
        """Return the client's own text if it is one operation, else that operation alone."""
        others = [
            definition
            for definition in self._document.definitions
            if isinstance(definition, OperationDefinitionNode) and definition is not self._operation
        ]
        if others:
            return part
        names = {
            variable.variable.name.value for variable in self._operation.variable_definitions or ()
        }
        return Part(
            subgraph=part.subgraph,
            query=self._query,
            operation_name=part.operation_name,
            variables=frozenset(names),
            keys=part.keys,
        )
