"""The requests of a plan, and how their results fit together."""

from collections.abc import Mapping
from dataclasses import dataclass

# A key of a response, and the type of the objects that have it (None: all).
Path = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, kw_only=True)
class Rename:
    """A field that a subgraph returns under a name of the gateway's."""

    path: Path  # to the objects
    type_name: str
    alias: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """Objects of a response whose entities are requested."""

    entry: int  # of the request that has them
    path: Path
    key: Mapping[str, str]  # field of the key to its name in the response


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Entities of one type, with the same selections."""

    name: str  # in the response
    variable: str
    type_name: str
    sources: tuple[Source, ...]
    renames: tuple[Rename, ...]


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A request for entities, and those that follow its response."""

    subgraph: str
    query: str
    variables: frozenset[str]
    entries: tuple[Entry, ...]
    hops: tuple["Hop", ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The request for root fields of one subgraph."""

    subgraph: str
    query: str
    operation_name: str | None
    variables: frozenset[str]
    keys: tuple[str, ...]  # of its response
    hops: tuple[Hop, ...] = ()
    renames: tuple[Rename, ...] = ()
