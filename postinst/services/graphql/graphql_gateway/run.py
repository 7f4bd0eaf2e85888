"""Runs a plan: queries the subgraphs, resolves the entities, and builds the response."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLResolveInfo, OperationType, execute

from graphql_gateway.errors import Error, SubgraphError
from graphql_gateway.nodes import TYPENAME
from graphql_gateway.plan import Plan
from graphql_gateway.requests import Hop, Part
from graphql_gateway.results import (
    Entity,
    Path,
    Place,
    apply_renames,
    entities,
    merge,
    moved,
)
from graphql_gateway.supergraph import Supergraph
from graphql_gateway.upstream import Reply, Upstream

# A response of this many bytes is completed in a thread: others would wait for it.
_LARGE = 20_000


@dataclass(kw_only=True)
class Run:
    """One operation of one client."""

    supergraph: Supergraph
    upstream: Upstream
    plan: Plan
    variables: Mapping[str, object]
    headers: Mapping[str, str]
    size: int = 0  # bytes of the responses

    async def answer(self) -> bytes:
        """Return the whole response, as JSON."""
        data: dict[str, Any] = {}
        errors: list[Error] = []
        parts = self.plan.parts
        if self.plan.is_plain:
            body = await self._plain(parts[0], errors)
            if body is not None:
                return body
        elif self.plan.kind is OperationType.MUTATION:
            for part in parts:
                self._add(data, await self._part(part, errors), part, errors)
        else:
            found = await asyncio.gather(*(self._part(part, errors) for part in parts))
            for part, reply in zip(parts, found, strict=True):
                self._add(data, reply, part, errors)
        return await self._complete(data, errors)

    async def answers(self) -> AsyncIterator[bytes]:
        """Yield the responses of a subscription."""
        (part,) = self.plan.parts
        try:
            async for reply in self.upstream.subscribe(
                part.subgraph, self._payload(part), self.headers
            ):
                data, errors = reply.data or {}, list(reply.errors)
                apply_renames(part.renames, [(data, [])])
                await self._follow(part.hops, [[(data, [])]], errors)
                yield await self._complete(data, errors)
        except SubgraphError as error:
            yield _json({"data": None, "errors": [error.as_error()]})

    async def _plain(self, part: Part, errors: list[Error]) -> bytes | None:
        """Return the response unchanged; None, with the errors, if there is none."""
        try:
            body = await self.upstream.ask_raw(part.subgraph, self._payload(part), self.headers)
            Reply.parse(body, part.subgraph)
        except SubgraphError as error:
            errors += [error.as_error([key]) for key in part.keys]
            return None
        return body

    def _payload(self, part: Part) -> dict[str, object]:
        payload: dict[str, object] = {
            "query": part.query,
            "variables": self._chosen(part.variables),
        }
        if part.operation_name:
            payload["operationName"] = part.operation_name
        return payload

    def _chosen(self, names: frozenset[str]) -> dict[str, object]:
        return {name: value for name, value in self.variables.items() if name in names}

    async def _part(self, part: Part, errors: list[Error]) -> dict[str, Any]:
        try:
            reply = await self._ask(part.subgraph, self._payload(part))
        except SubgraphError as error:
            errors += [error.as_error([key]) for key in part.keys]
            return {}
        errors += reply.errors
        found = reply.data or {}
        apply_renames(part.renames, [(found, [])])
        await self._follow(part.hops, [[(found, [])]], errors)
        return found

    def _add(
        self, data: dict[str, Any], more: Mapping[str, Any], part: Part, errors: list[Error]
    ) -> None:
        try:
            merge(data, more)
        except ValueError as error:
            problem = SubgraphError(part.subgraph, str(error))
            errors += [problem.as_error([key]) for key in part.keys]
            for key in part.keys:
                data[key] = None

    async def _ask(self, subgraph: str, payload: Mapping[str, object]) -> Reply:
        body = await self.upstream.ask_raw(subgraph, payload, self.headers)
        self.size += len(body)
        return Reply.parse(body, subgraph)

    async def _follow(
        self, hops: Sequence[Hop], starts: Sequence[Sequence[Place]], errors: list[Error]
    ) -> None:
        """Request what follows a response; ``starts`` are the objects of each of its entries."""
        await asyncio.gather(*(self._hop(hop, starts, errors) for hop in hops))

    async def _hop(self, hop: Hop, starts: Sequence[Sequence[Place]], errors: list[Error]) -> None:
        listed = [entities(entry, starts) for entry in hop.entries]
        if not any(listed):
            return
        taken: dict[str, object] = {
            entry.variable: [entity.representation for entity in found]
            for entry, found in zip(hop.entries, listed, strict=True)
        }
        payload = {"query": hop.query, "variables": {**self._chosen(hop.variables), **taken}}
        try:
            reply = await self._ask(hop.subgraph, payload)
        except SubgraphError as error:
            first = next(found for found in listed if found)
            errors.append(error.as_error(list(first[0].places[0][1])))
            return
        named = {entry.name: found for entry, found in zip(hop.entries, listed, strict=True)}
        errors += moved(reply.errors, named)
        data = reply.data or {}
        fresh = [
            _fresh(data.get(entry.name), found)
            for entry, found in zip(hop.entries, listed, strict=True)
        ]
        for entry, found_places in zip(hop.entries, fresh, strict=True):
            apply_renames(entry.renames, [(value, path) for _, value, path in found_places])
        await self._follow(
            hop.hops,
            [[(value, path) for _, value, path in found_places] for found_places in fresh],
            errors,
        )
        for place, value, path in (each for found_places in fresh for each in found_places):
            try:
                merge(place, value)
            except ValueError as error:
                errors.append(SubgraphError(hop.subgraph, str(error)).as_error(path))

    async def _complete(self, data: dict[str, Any], errors: list[Error]) -> bytes:
        """Return the requested part of all results; null where the schema requires it."""
        if self.size < _LARGE:
            return self._completed(data, errors)
        return await asyncio.get_running_loop().run_in_executor(
            self.upstream.worker, self._completed, data, errors
        )

    def _completed(self, data: dict[str, Any], errors: list[Error]) -> bytes:
        result = execute(
            self.supergraph.schema,
            self.plan.document,
            root_value=data,
            variable_values=dict(self.variables),
            operation_name=self.plan.name,
            field_resolver=_resolve,
            type_resolver=_type_of,
        )
        assert isinstance(result, ExecutionResult)
        reported = [*errors, *_unreported(result.errors or [], errors)]
        answer: dict[str, object] = {"data": result.data}
        return _json({**answer, "errors": reported} if reported else answer)


def _fresh(
    listed: object, found: Sequence[Entity]
) -> list[tuple[dict[str, Any], dict[str, Any], Path]]:
    """Return each place with the entity's fields, which are its own: those below may differ."""
    values = listed if isinstance(listed, list) else []
    return [
        (place, copy.deepcopy(value), path)
        for entity, value in zip(found, values, strict=False)
        if isinstance(value, dict)
        for place, path in entity.places
    ]


def _resolve(source: Any, info: GraphQLResolveInfo, **_: object) -> object:
    return source.get(info.path.key) if isinstance(source, dict) else None


def _type_of(value: Any, *_: object) -> str | None:
    return value.get(TYPENAME) if isinstance(value, dict) else None


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _unreported(found: Sequence[GraphQLError], reported: Sequence[Error]) -> Iterator[Error]:
    """Yield the errors about forbidden nulls whose cause is not reported already."""
    paths = [list(error.get("path") or []) for error in reported]
    for error in found:
        path = list(error.path or [])
        if not any(_begins(path, known) or _begins(known, path) for known in paths):
            yield dict(error.formatted)


def _begins(path: Path, with_: Path) -> bool:
    return path[: len(with_)] == with_
