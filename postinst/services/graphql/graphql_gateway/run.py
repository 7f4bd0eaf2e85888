"""Runs a plan: queries the subgraphs, resolves the entities, and builds the response."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLResolveInfo, OperationType, execute

from graphql_gateway.errors import Error, SubgraphError
from graphql_gateway.nodes import TYPENAME
from graphql_gateway.plan import Part, Plan
from graphql_gateway.split import Hop
from graphql_gateway.supergraph import Supergraph
from graphql_gateway.upstream import Reply, Upstream

Path = list[str | int]
Place = tuple[dict[str, Any], Path]


@dataclass(kw_only=True)
class _Entity:
    """An entity by its key, and every place in the response where it occurs."""

    representation: dict[str, object]
    places: list[Place] = field(default_factory=list)


@dataclass(kw_only=True)
class Run:
    """One operation of one client."""

    supergraph: Supergraph
    upstream: Upstream
    plan: Plan
    variables: Mapping[str, object]
    headers: Mapping[str, str]

    async def answer(self) -> bytes:
        """Return the whole response, as JSON."""
        if self.plan.is_plain:
            return await self._plain(self.plan.parts[0])
        data: dict[str, Any] = {}
        errors: list[Error] = []
        if self.plan.kind is OperationType.MUTATION:
            for part in self.plan.parts:
                await self._part(part, data, errors)
        else:
            await asyncio.gather(*(self._part(part, data, errors) for part in self.plan.parts))
        return self._complete(data, errors)

    async def answers(self) -> AsyncIterator[bytes]:
        """Yield the responses of a subscription."""
        (part,) = self.plan.parts
        try:
            async for reply in self.upstream.subscribe(
                part.subgraph, self._payload(part), self.headers
            ):
                data, errors = reply.data or {}, list(reply.errors)
                await self._follow(part.hops, [(data, [])], errors)
                yield self._complete(data, errors)
        except SubgraphError as error:
            yield _json({"data": None, "errors": [error.as_error()]})

    async def _plain(self, part: Part) -> bytes:
        try:
            return await self.upstream.ask_raw(part.subgraph, self._payload(part), self.headers)
        except SubgraphError as error:
            return _json({"data": None, "errors": [error.as_error()]})

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

    async def _part(self, part: Part, data: dict[str, Any], errors: list[Error]) -> None:
        try:
            reply = await self.upstream.ask(part.subgraph, self._payload(part), self.headers)
        except SubgraphError as error:
            errors += [error.as_error([key]) for key in part.keys]
            return
        errors += reply.errors
        found = reply.data or {}
        await self._follow(part.hops, [(found, [])], errors)
        _merge(data, found)

    async def _follow(
        self,
        hops: Sequence[Hop],
        places: Sequence[Place],
        errors: list[Error],
    ) -> None:
        await asyncio.gather(*(self._hop(hop, places, errors) for hop in hops))

    async def _hop(
        self,
        hop: Hop,
        places: Sequence[Place],
        errors: list[Error],
    ) -> None:
        entities = _entities(hop, places)
        if not entities:
            return
        payload: dict[str, object] = {
            "query": hop.query,
            "variables": {
                **self._chosen(hop.variables),
                "representations": [entity.representation for entity in entities],
            },
        }
        try:
            reply = await self.upstream.ask(hop.subgraph, payload, self.headers)
        except SubgraphError as error:
            errors.append(error.as_error(list(entities[0].places[0][1])))
            return
        found = (reply.data or {}).get("_entities")
        listed = found if isinstance(found, list) else []
        errors += _moved(reply, entities)
        # Each place gets its own copy, because the results below it may differ.
        fresh = [
            (place, copy.deepcopy(value), path)
            for entity, value in zip(entities, listed, strict=False)
            if isinstance(value, dict)
            for place, path in entity.places
        ]
        await self._follow(hop.hops, [(value, path) for _, value, path in fresh], errors)
        for place, value, _ in fresh:
            _merge(place, value)

    def _complete(self, data: dict[str, Any], errors: list[Error]) -> bytes:
        """Return the requested part of all results; null where the schema requires it."""
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


def _resolve(source: Any, info: GraphQLResolveInfo, **_: object) -> object:
    return source.get(info.path.key) if isinstance(source, dict) else None


def _type_of(value: Any, *_: object) -> str | None:
    return value.get(TYPENAME) if isinstance(value, dict) else None


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _places(value: object, keys: Sequence[str], path: Path) -> Iterator[Place]:
    """Yield every object that the keys lead to, through any lists."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, keys, [*path, index])
    elif isinstance(value, dict):
        if not keys:
            yield value, path
        elif keys[0] in value:
            yield from _places(value[keys[0]], keys[1:], [*path, keys[0]])


def _entities(hop: Hop, places: Sequence[Place]) -> list[_Entity]:
    """Return the entities with the key of this hop: others have other types, or were skipped."""
    found: dict[str, _Entity] = {}
    for start, path in places:
        for place, at in _places(start, hop.path, path):
            key = {name: place.get(alias) for name, alias in hop.key.items()}
            if any(value is None for value in key.values()):
                continue
            entity = found.setdefault(
                json.dumps(key, sort_keys=True),
                _Entity(representation={TYPENAME: hop.type_name, **key}),
            )
            entity.places.append((place, at))
    return list(found.values())


def _moved(reply: Reply, entities: Sequence[_Entity]) -> Iterator[Error]:
    """Yield a subgraph's errors, at the places that the client knows."""
    for error in reply.errors:
        path = error.get("path") or []
        rest = path[2:]
        index = path[1] if len(path) > 1 and isinstance(path[1], int) else None
        if index is None or index >= len(entities):
            yield {**error, "path": list(entities[0].places[0][1])}
            continue
        for _, place in entities[index].places:
            yield {**error, "path": [*place, *rest]}


def _merge(target: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        known = target.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        elif isinstance(known, list) and isinstance(value, list) and len(known) == len(value):
            target[key] = [_merged(*pair) for pair in zip(known, value, strict=True)]
        else:
            target[key] = value


def _merged(known: Any, value: Any) -> Any:
    if isinstance(known, dict) and isinstance(value, dict):
        _merge(known, value)
        return known
    if isinstance(known, list) and isinstance(value, list) and len(known) == len(value):
        return [_merged(*pair) for pair in zip(known, value, strict=True)]
    return value


def _unreported(found: Sequence[GraphQLError], reported: Sequence[Error]) -> Iterator[Error]:
    """Yield the errors about forbidden nulls whose cause is not reported already."""
    paths = [list(error.get("path") or []) for error in reported]
    for error in found:
        path = list(error.path or [])
        if not any(_begins(path, known) or _begins(known, path) for known in paths):
            yield dict(error.formatted)


def _begins(path: Path, with_: Path) -> bool:
    return path[: len(with_)] == with_
