"""Finds, names and joins the objects of responses."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql_gateway.errors import Error
from graphql_gateway.nodes import TYPENAME
from graphql_gateway.requests import Entry, Rename

Path = list[str | int]
Place = tuple[dict[str, Any], Path]


@dataclass(kw_only=True)
class Entity:
    """An entity by its key, and every place in the response where it occurs."""

    representation: dict[str, object]
    places: list[Place] = field(default_factory=list)


def places(value: object, keys: Sequence[tuple[str, str | None]], path: Path) -> Iterator[Place]:
    """Yield every object that the keys lead to, through any lists."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, keys, [*path, index])
    elif isinstance(value, dict):
        if not keys:
            yield value, path
            return
        (key, type_name), rest = keys[0], keys[1:]
        if key in value and type_name in (None, value.get(TYPENAME)):
            yield from places(value[key], rest, [*path, key])


def entities(entry: Entry, starts: Sequence[Sequence[Place]]) -> list[Entity]:
    """Return the entities that have their key; others have other types, or are absent."""
    found: dict[str, Entity] = {}
    for source in entry.sources:
        for start, path in starts[source.entry]:
            for place, at in places(start, source.path, path):
                if place.get(TYPENAME, entry.type_name) != entry.type_name:
                    continue
                key = {name: place.get(alias) for name, alias in source.key.items()}
                if any(value is None for value in key.values()):
                    continue
                entity = found.setdefault(
                    json.dumps(key, sort_keys=True),
                    Entity(representation={TYPENAME: entry.type_name, **key}),
                )
                entity.places.append((place, at))
    return list(found.values())


def apply_renames(renames: Sequence[Rename], starts: Sequence[Place]) -> None:
    """Give fields back the names that the client gave them."""
    for rename in renames:
        for start, path in starts:
            for place, _ in places(start, rename.path, path):
                if place.get(TYPENAME) == rename.type_name and rename.alias in place:
                    merge(place, {rename.key: place.pop(rename.alias)})


def moved(errors: Sequence[Error], entries: Mapping[str, Sequence[Entity]]) -> Iterator[Error]:
    """Yield a subgraph's errors, at the places that the client knows."""
    for error in errors:
        path = error.get("path") or []
        found = entries.get(str(path[0]), ()) if path else ()
        index = path[1] if len(path) > 1 and isinstance(path[1], int) else None
        if index is None or index >= len(found):
            listed = next((each for each in (found, *entries.values()) if each), None)
            at = list(listed[0].places[0][1]) if listed else []
            yield {**error, "path": at}
            continue
        for _, place in found[index].places:
            yield {**error, "path": [*place, *path[2:]]}


def merge(target: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add what another response has of the same object."""
    for key, value in more.items():
        target[key] = merged(target[key], value) if key in target else value


def merged(known: Any, value: Any) -> Any:
    """Return both values of one field as one; ValueError if they contradict each other."""
    if isinstance(known, dict) and isinstance(value, dict):
        kinds = {each[TYPENAME] for each in (known, value) if TYPENAME in each}
        if len(kinds) > 1:
            raise ValueError("two subgraphs return different objects")
        merge(known, value)
        return known
    if isinstance(known, list) and isinstance(value, list):
        if len(known) != len(value):
            raise ValueError("two subgraphs return lists of different lengths")
        return [merged(*pair) for pair in zip(known, value, strict=True)]
    return value if known is None else known
