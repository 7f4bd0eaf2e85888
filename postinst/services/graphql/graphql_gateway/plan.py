"""Plans an operation: the request for each subgraph. Pure."""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    OverlappingFieldsCanBeMergedRule,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.execution.values import get_variable_values

from graphql_gateway.emit import Writer
from graphql_gateway.errors import Error, RequestError
from graphql_gateway.limits import MAX_QUERY_BYTES, MAX_ROOT_FIELDS, MAX_TOKENS
from graphql_gateway.requests import Part
from graphql_gateway.roots import ROOTS
from graphql_gateway.selection import CONDITIONS, Collector, Field, Selection
from graphql_gateway.split import Ask, Splitter
from graphql_gateway.supergraph import Subgraph, Supergraph

_INTROSPECTION = {"__schema", "__type"}
# The rule is quadratic; conflicts are found while the selections are collected.
_RULES = tuple(rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule)
_SUGGESTION = re.compile(r"\s*Did you mean [^?]*\?")
# A plan uses some fifty times as many bytes as the text it was parsed from.
_PARSED = 50


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

    @property
    def size(self) -> int:
        """The bytes of its texts."""
        hops = [hop for part in self.parts for hop in part.hops]
        size = sum(len(part.query) for part in self.parts)
        while hops:
            hop = hops.pop()
            size += len(hop.query) + 500
            hops += hop.hops
        return size


@dataclass(kw_only=True)
class Prepared:
    """An operation that fits the schema, and its plans by the values of its conditions."""

    supergraph: Supergraph
    query: str
    document: DocumentNode
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    introspection: bool
    conditions: tuple[str, ...]  # the variables of @skip and @include
    has_conditions: bool
    plans: dict[tuple[object, ...], Plan] = field(default_factory=dict)
    whole: Plan | None = None  # if it holds whatever the conditions are

    @property
    def size(self) -> int:
        """Some bytes more than it uses."""
        plans = [*self.plans.values(), *([self.whole] if self.whole else [])]
        return _PARSED * len(self.query) + sum(2 * plan.size for plan in plans)

    def coerce(self, variables: Mapping[str, object]) -> Mapping[str, object]:
        """Return the values of all variables; RequestError if one does not fit its type."""
        found = get_variable_values(
            self.supergraph.schema,
            self.operation.variable_definitions or (),
            dict(variables),
            max_errors=10,
        )
        if isinstance(found, list):
            raise RequestError([self._error(error, "BAD_USER_INPUT") for error in found])
        return found

    def same(self, values: Mapping[str, object]) -> tuple[object, ...]:
        """Return what tells the plans of this operation apart."""
        return tuple(bool(values.get(name)) for name in self.conditions)

    def find(self, values: Mapping[str, object]) -> Plan | None:
        """Return the plan for these values if it was made before."""
        return self.whole or self.plans.get(self.same(values))

    def plan(self, values: Mapping[str, object]) -> Plan:
        """Return the plan for these values of the variables."""
        found = self.find(values)
        if found is None:
            found = self.plans[self.same(values)] = _Planner(self, values).plan()
        return found

    def _error(self, error: GraphQLError, code: str) -> Error:
        return _as_error(error, code, introspection=self.introspection)


def prepare(
    supergraph: Supergraph, query: str, operation_name: str | None, *, introspection: bool
) -> Prepared:
    """Check one operation of ``query``; RequestError if it does not fit the schema."""
    document = parse_query(query)
    operation = choose_operation(document, operation_name)
    errors = validate(supergraph.schema, document, _RULES, max_errors=20)
    if errors:
        raise RequestError(
            [
                _as_error(error, "GRAPHQL_VALIDATION_FAILED", introspection=introspection)
                for error in errors
            ]
        )
    found = _Conditions()
    visit(document, found)
    prepared = Prepared(
        supergraph=supergraph,
        query=query,
        document=document,
        operation=operation,
        fragments={
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        },
        introspection=introspection,
        conditions=tuple(sorted(found.names)),
        has_conditions=found.has_any,
    )
    # Checks conflicts between fields, too, whatever the conditions are.
    whole = _Planner(prepared, None).plan()
    if whole.is_plain or not found.has_any:
        prepared.whole = whole
    return prepared


def plan_operation(
    supergraph: Supergraph,
    query: str,
    operation_name: str | None,
    variables: Mapping[str, object] | None = None,
    *,
    introspection: bool = False,
) -> Plan:
    """Plan one operation; RequestError if it, or a variable, does not fit the schema."""
    prepared = prepare(supergraph, query, operation_name, introspection=introspection)
    return prepared.plan(prepared.coerce(variables or {}))


def parse_query(
    query: str, max_bytes: int = MAX_QUERY_BYTES, max_tokens: int = MAX_TOKENS
) -> DocumentNode:
    """Parse a request's text; RequestError if it is too long, or not valid."""
    if len(query) > max_bytes or len(query.encode(errors="replace")) > max_bytes:
        raise RequestError.of(f"a query may have {max_bytes} bytes", "PAYLOAD_TOO_LARGE")
    try:
        return parse(query, max_tokens=max_tokens)
    except GraphQLError as error:
        raise RequestError(
            [_as_error(error, "GRAPHQL_PARSE_FAILED", introspection=True)]
        ) from error
    except RecursionError as error:
        raise RequestError.of("the query is nested too deeply", "GRAPHQL_PARSE_FAILED") from error


def choose_operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """Return the operation to run; RequestError if there is not one."""
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


def _as_error(error: GraphQLError, code: str, *, introspection: bool) -> Error:
    formatted: Error = {**error.formatted}
    if not introspection:
        # A suggestion shows names of the schema.
        formatted["message"] = _SUGGESTION.sub("", formatted["message"])
    return {**formatted, "extensions": {**formatted.get("extensions", {}), "code": code}}


class _Conditions(Visitor):
    """Finds the variables of all @skip and @include."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.has_any = False

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        if node.name.value in CONDITIONS:
            self.has_any = True
            value = node.arguments[0].value
            if isinstance(value, VariableNode):
                self.names.add(value.name.value)


@dataclass(kw_only=True)
class _Group:
    """Root fields that go to one subgraph in one request."""

    subgraph: Subgraph
    asks: list[Ask]


class _Planner:
    """Plans an operation for one set of values; without values, as if all conditions hold."""

    def __init__(self, prepared: Prepared, values: Mapping[str, object] | None) -> None:
        self._prepared = prepared
        self._values = values
        self._supergraph = prepared.supergraph
        self._operation = prepared.operation
        self._collector = Collector(prepared.supergraph.schema, prepared.fragments, values)
        self._splitter = Splitter(prepared.supergraph, self._collector)

    def plan(self) -> Plan:
        """Return the plan; RequestError if there is none."""
        kind = self._operation.operation
        root = self._supergraph.schema.type_map[ROOTS[kind]]
        assert isinstance(root, GraphQLObjectType)
        selection = self._collector.collect(root, [self._operation.selection_set])
        if len(selection.fields) > MAX_ROOT_FIELDS:
            raise RequestError.of("the query is too large")
        listed = list(selection.fields.values())
        if not self._prepared.introspection:
            _refuse_introspection(listed)
        fields = [field_ for field_ in listed if not field_.name.startswith("__")]
        if kind is OperationType.SUBSCRIPTION and len(fields) != 1:
            raise RequestError.of("a subscription has one field")
        groups = self._groups(root.name, fields)
        writer = Writer(self._operation, self._prepared.query)
        parts = [writer.part(group.subgraph, group.asks, root.name) for group in groups]
        own = any(field_.name in _INTROSPECTION for field_ in listed)
        # Where a condition is not met, the client's text has more than this subgraph may know.
        own |= self._values is not None and self._prepared.has_conditions
        is_plain = not (
            own or len(parts) != 1 or self._splitter.altered or writer.altered
        ) and self._fits(groups[0].subgraph)
        if is_plain:
            parts = [self._plain(parts[0])]
        return Plan(
            kind=kind,
            document=self._prepared.document,
            operation=self._operation,
            parts=tuple(parts),
            is_plain=is_plain,
        )

    def _fits(self, here: Subgraph) -> bool:
        """Whether the subgraph knows every fragment as the joined schema does."""
        return not self._collector.has_idle and all(
            here.knows(target)
            and here.knows(around)
            and bool(here.objects(around) & here.objects(target))
            for around, target in self._collector.conditions
        )

    def _groups(self, root: str, fields: Sequence[Field]) -> list[_Group]:
        """Group the fields by subgraph; in a mutation only neighbours, because order matters."""
        groups: list[_Group] = []
        is_query = self._operation.operation is OperationType.QUERY
        for field_ in fields:
            owners = self._supergraph.owners(root, field_.name)
            # What is done twice would be done wrongly.
            route = self._splitter.root(field_, owners if is_query else owners[:1])
            if route.rest is not None:
                name = missing(root, route.rest, self._splitter.lost)
                raise RequestError.of(f"no subgraph resolves {name}")
            for subgraph, ask in route.asks:
                candidates = groups if is_query else groups[-1:]
                found = next((group for group in candidates if group.subgraph is subgraph), None)
                if found is None:
                    found = _Group(subgraph=subgraph, asks=[])
                    groups.append(found)
                found.asks.append(ask)
        return groups

    def _plain(self, part: Part) -> Part:
        """Return the client's own text if it is one operation, else that operation alone."""
        others = [
            definition
            for definition in self._prepared.document.definitions
            if isinstance(definition, OperationDefinitionNode) and definition is not self._operation
        ]
        if others:
            return part
        names = {
            variable.variable.name.value for variable in self._operation.variable_definitions or ()
        }
        return Part(
            subgraph=part.subgraph,
            query=self._prepared.query,
            operation_name=part.operation_name,
            variables=frozenset(names),
            keys=part.keys,
        )


def missing(parent: str, found: Field, lost: Container[int]) -> str:
    """Return the type and name of the first field that is not resolved."""
    below: Selection | None = found.below
    if below is None or id(found) in lost:
        return f"{parent}.{found.name}"
    if below.fields:
        return missing(below.parent.name, next(iter(below.fields.values())), lost)
    name, fields = next(iter(below.typed.items()))
    return missing(name, next(iter(fields.values())), lost)


def _refuse_introspection(fields: Sequence[Field]) -> None:
    """Refuse what the manager itself refuses by default: its schema, and the type of anything."""
    for found in fields:
        if found.name in _INTROSPECTION:
            raise RequestError.of(
                f"Cannot query '{found.name}': introspection is disabled.",
                "INTROSPECTION_DISABLED",
            )
