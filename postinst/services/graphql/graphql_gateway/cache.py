"""Plans operations, and keeps their plans: the Web UI repeats its queries."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TypeVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)

from graphql_gateway import limits
from graphql_gateway.errors import RequestError, SubgraphError
from graphql_gateway.plan import Plan, Prepared, choose_operation, parse_query, prepare
from graphql_gateway.roots import ROOTS
from graphql_gateway.supergraph import Supergraph

_Same = tuple[str, str | None]
_Result = TypeVar("_Result")


class PlanCache:
    """The plans of one supergraph, made by one ``worker``: the event loop never waits for them."""

    def __init__(self, supergraph: Supergraph, worker: Executor, *, introspection: bool) -> None:
        self._supergraph = supergraph
        self._worker = worker
        self._introspection = introspection
        self._kept: OrderedDict[_Same, tuple[Prepared, int]] = OrderedDict()
        self._waiting = 0
        self.size = 0  # bytes of what is kept, about

    async def plan(
        self, query: str, name: str | None, variables: Mapping[str, object], *, is_open: bool
    ) -> Plan:
        """Return the plan of an operation; RequestError if there is none.

        ``is_open``: the client has no credentials, and gets what needs none.
        """
        same = (query, name)
        if is_open:
            # Short texts only, so that a stranger costs little.
            await self._in_worker(lambda: self._check_open(query, name))
        if same in self._kept:
            self._kept.move_to_end(same)
            prepared, _ = self._kept[same]
        else:
            prepared = await self._in_worker(
                lambda: prepare(self._supergraph, query, name, introspection=self._introspection)
            )
        values = prepared.coerce(variables)
        found = prepared.find(values)
        if found is None:
            found = await self._in_worker(lambda: prepared.plan(values))
        self._keep(same, prepared)
        return found

    async def _in_worker(self, work: Callable[[], _Result]) -> _Result:
        if self._waiting >= limits.MAX_PLANNED:
            raise RequestError.of("too many operations wait to be planned", "TOO_MANY_REQUESTS")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        finally:
            self._waiting -= 1

    def _keep(self, same: _Same, prepared: Prepared) -> None:
        if same in self._kept:
            self.size -= self._kept[same][1]
        size = prepared.size
        if size > limits.MAX_KEPT_BYTES // 8:
            self._kept.pop(same, None)
            return
        self._kept[same] = prepared, size
        self._kept.move_to_end(same)
        self.size += size
        while self.size > limits.MAX_KEPT_BYTES:
            _, (_, gone) = self._kept.popitem(last=False)
            self.size -= gone

    def _check_open(self, query: str, name: str | None) -> None:
        document = parse_query(query, limits.MAX_OPEN_BYTES, limits.MAX_OPEN_TOKENS)
        operation = choose_operation(document, name)
        root = ROOTS[operation.operation]
        for field_name in _root_names(operation.selection_set, document):
            owners = self._supergraph.owners(root, field_name)
            if field_name != "__typename" and not any(owner.is_open for owner in owners):
                problem = SubgraphError(
                    owners[0].name if owners else root,
                    "the operation needs a login",
                    {"status": 401, "statusText": "Unauthorized", "body": ""},
                )
                raise RequestError([problem.as_error()])


def _root_names(selections: SelectionSetNode, document: DocumentNode) -> set[str]:
    """Return the names of all root fields of an operation that is not validated yet."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    names, seen, left = set[str](), set[str](), [selections]
    while left:
        for node in left.pop().selections:
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                left.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                if node.name.value in fragments:
                    left.append(fragments[node.name.value].selection_set)
    return names
