"""Writes the requests for a split operation: their texts, and how their results fit together.

All entities that one subgraph is asked for after one response are one request, wherever in
the response they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphql import OperationDefinitionNode, print_ast

from graphql_gateway.errors import RequestError
from graphql_gateway.keys import Key
from graphql_gateway.limits import MAX_PLAN_BYTES, MAX_REQUESTS
from graphql_gateway.nodes import TYPENAME, variables_of
from graphql_gateway.requests import Entry, Hop, Part, Path, Rename, Source
from graphql_gateway.split import Ask, Asks, Way
from graphql_gateway.supergraph import Subgraph


@dataclass(kw_only=True)
class _Draft:
    """Entities to request after a response."""

    entry: int
    path: Path
    type_name: str
    way: Way
    key: Mapping[str, str]
    asks: Asks


@dataclass(kw_only=True)
class _Text:
    """One request, as it is written."""

    here: Subgraph
    entry: int = 0
    variables: set[str] = field(default_factory=set)
    renames: list[Rename] = field(default_factory=list)
    drafts: dict[tuple[object, ...], _Draft] = field(default_factory=dict)


class Writer:
    """Writes the requests of one operation; RequestError if they are too many or too long."""

    def __init__(self, operation: OperationDefinitionNode, query: str) -> None:
        self._operation = operation
        self._left = MAX_PLAN_BYTES
        self._requests = MAX_REQUESTS
        # A prefix that no name of the client has.
        self._mark = "gw"
        while self._mark in query:
            self._mark += "w"
        self.altered = False

    def part(self, here: Subgraph, asks: Sequence[Ask], root: str) -> Part:
        """Return the request for root fields."""
        self._count()
        text = _Text(here=here)
        found = Asks(parent=root, is_object=True, fields={ask.field.key: ask for ask in asks})
        body = self._body(found, text, ())
        hops = self._hops(list(text.drafts.values()))
        name = self._operation.name.value if self._operation.name else None
        kind = self._operation.operation.value
        listed = ", ".join(self._definitions(text.variables))
        head = kind + (f" {name}" if name else "") + (f"({listed})" if listed else "")
        return Part(
            subgraph=here.name,
            query=f"{head} {{{body}}}",
            operation_name=name,
            variables=frozenset(text.variables),
            keys=tuple(found.fields),
            hops=hops,
            renames=tuple(text.renames),
        )

    def _hops(self, drafts: Sequence[_Draft]) -> tuple[Hop, ...]:
        by_subgraph: dict[str, list[_Draft]] = {}
        for draft in drafts:
            by_subgraph.setdefault(draft.way[0].subgraph.name, []).append(draft)
        return tuple(self._hop(found) for found in by_subgraph.values())

    def _hop(self, drafts: Sequence[_Draft]) -> Hop:
        """Return one request for the entities of all ``drafts``, which one subgraph has."""
        self._count()
        self.altered = True
        text = _Text(here=drafts[0].way[0].subgraph)
        entries = self._entries(drafts, text)
        is_single = len(entries) == 1
        fields = [
            f"{'' if is_single else f'{entry.name}: '}_entities(representations: "
            f"${entry.variable}) {{... on {entry.type_name} {{{body}}}}}"
            for body, entry in entries
        ]
        taken = [f"${entry.variable}: [_Any!]!" for _, entry in entries]
        taken += self._definitions(text.variables)
        self._spend(sum(map(len, (*fields, *taken))))
        return Hop(
            subgraph=text.here.name,
            query=f"query({', '.join(taken)}) {{{' '.join(fields)}}}",
            variables=frozenset(text.variables),
            entries=tuple(entry for _, entry in entries),
            hops=self._hops(list(text.drafts.values())),
        )

    def _entries(self, drafts: Sequence[_Draft], text: _Text) -> list[tuple[str, Entry]]:
        """Return the entities to request, with their selections; the same ones only once."""
        same: dict[tuple[object, ...], list[_Draft]] = {}
        for draft in drafts:
            self._spend(1)
            same.setdefault((draft.type_name, _signature(draft.asks)), []).append(draft)
        found = []
        for index, listed in enumerate(same.values()):
            text.entry, text.renames = index, []
            body = self._body(listed[0].asks, text, ())
            name = f"{self._mark}_{index}" if len(same) > 1 else ""
            entry = Entry(
                name=name or "_entities",
                variable=name or "representations",
                type_name=listed[0].type_name,
                sources=tuple(
                    Source(entry=draft.entry, path=draft.path, key=draft.key) for draft in listed
                ),
                renames=tuple(text.renames),
            )
            found.append((body, entry))
        return found

    def _body(self, asks: Asks, text: _Text, path: Path) -> str:
        """Return the selections for objects at ``path``, without their braces."""
        words = [] if asks.is_object else [TYPENAME]
        renamed = self._renamed(asks, text, path)
        words += [
            self._field(ask, text, path, None)
            for ask in asks.fields.values()
            if asks.is_object or ask.field.name != TYPENAME or ask.field.key != TYPENAME
        ]
        if asks.is_object:
            words += self._elsewhere(asks, asks.parent, text, path)
        else:
            for name in sorted({*asks.typed, *asks.elsewhere}):
                own = [
                    self._field(ask, text, path, name, renamed.get((name, ask.field.key)))
                    for ask in asks.typed.get(name, {}).values()
                ]
                own += self._elsewhere(asks, name, text, path)
                if own:
                    words.append(f"... on {name} {{{' '.join(own)}}}")
        # If no selection is left, this shows that the object exists.
        return " ".join(words or [TYPENAME])

    def _field(
        self, ask: Ask, text: _Text, path: Path, of: str | None, alias: str | None = None
    ) -> str:
        field_ = ask.field
        name = alias or field_.key
        shown = field_.name if name == field_.name else f"{name}: {field_.name}"
        if field_.arguments:
            shown += f"({field_.arguments})"
            for argument in field_.nodes[0].arguments or ():
                text.variables.update(variables_of(argument))
        self._spend(len(shown) + 4)
        if ask.below is None:
            return shown
        # Names are put right before anything below is looked at.
        return f"{shown} {{{self._body(ask.below, text, (*path, (field_.key, of)))}}}"

    def _elsewhere(self, asks: Asks, name: str, text: _Text, path: Path) -> Iterator[str]:
        """Note the entities to request, and yield the keys that they are requested by."""
        seen = set[str]()
        for way, ask in asks.elsewhere.get(name, ()):
            key = dict[str, str]()
            for part in way[0].key:
                alias, word = self._key_field(asks, name, part.name, key_body(part.below))
                key[part.name] = alias
                if word and word not in seen:
                    seen.add(word)
                    self._spend(len(word))
                    yield word
            same = (text.entry, path, name, way[0].subgraph.name)
            if same not in text.drafts:
                text.drafts[same] = _Draft(
                    entry=text.entry,
                    path=path,
                    type_name=name,
                    way=way,
                    key=key,
                    asks=Asks(parent=name, is_object=True),
                )
            self._add(text.drafts[same].asks, name, way, ask)

    def _add(self, asks: Asks, name: str, way: Way, ask: Ask) -> None:
        """Add a field to what the last subgraph of a way is asked for."""
        if len(way) > 1:
            asks.elsewhere.setdefault(name, []).append((way[1:], ask))
        else:
            asks.fields[ask.field.key] = ask

    def _key_field(self, asks: Asks, name: str, part: str, body: str) -> tuple[str, str]:
        """Return the name of a key's field in the response, and the selection if it needs one."""
        found = asks.typed.get(name, {}).get(part) or asks.fields.get(part)
        if found and not body and not found.field.arguments and found.field.name == part:
            return part, ""
        alias = f"{self._mark}_{part}" if asks.is_object else f"{self._mark}_{name}_{part}"
        return alias, f"{alias}: {part}{body}"

    def _renamed(self, asks: Asks, text: _Text, path: Path) -> dict[tuple[str, str], str]:
        """Return other names for fields that this subgraph could not return under one.

        Two objects of different types may have values of different types under one name: what
        is the same for the joined schema need not be for the subgraph's.
        """
        if asks.is_object:
            return {}
        found: dict[tuple[str, str], str] = {}
        known = {key: [(asks.parent, ask)] for key, ask in asks.fields.items()}
        for name, fields in sorted(asks.typed.items()):
            for key, ask in fields.items():
                others = known.setdefault(key, [])
                if all(self._alike(text.here, (name, ask), other) for other in others):
                    others.append((name, ask))
                    continue
                alias = found[name, key] = f"{self._mark}_{name}_as_{key}"
                text.renames.append(Rename(path=path, type_name=name, alias=alias, key=key))
                self.altered = True
        return found

    def _alike(self, here: Subgraph, first: tuple[str, Ask], second: tuple[str, Ask]) -> bool:
        """Whether a subgraph can return two fields under one name."""
        self._spend(1)
        if _type_of(here, *first) != _type_of(here, *second):
            return False
        below, other = first[1].below, second[1].below
        if below is None or other is None or below is other:
            return True
        by_key: dict[str, list[tuple[str, Ask]]] = {}
        for parent, ask in _every(other):
            by_key.setdefault(ask.field.key, []).append((parent, ask))
        return all(
            self._alike(here, (parent, ask), found)
            for parent, ask in _every(below)
            for found in by_key.get(ask.field.key, ())
        )

    def _definitions(self, names: set[str]) -> list[str]:
        return [
            print_ast(variable)
            for variable in self._operation.variable_definitions or ()
            if variable.variable.name.value in names
        ]

    def _count(self) -> None:
        self._requests -= 1
        if self._requests < 0:
            raise RequestError.of(f"the query needs more than {MAX_REQUESTS} requests")

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise RequestError.of("the query is too large")


def key_body(below: Key) -> str:
    """Return the selections below a field of a key."""
    if not below:
        return ""
    return f" {{{' '.join(part.name + key_body(part.below) for part in below)}}}"


def _type_of(here: Subgraph, parent: str, ask: Ask) -> str:
    if ask.field.name == TYPENAME:
        return "String!"
    return here.fields[parent][ask.field.name]


def _every(asks: Asks) -> Iterator[tuple[str, Ask]]:
    for ask in asks.fields.values():
        yield asks.parent, ask
    for name, fields in asks.typed.items():
        for ask in fields.values():
            yield name, ask


def _signature(asks: Asks | None) -> tuple[object, ...]:
    """Return what is the same for selections that ask for the same, here and elsewhere."""
    if asks is None:
        return ()
    return (
        asks.parent,
        tuple(_signature_of(ask) for ask in asks.fields.values()),
        tuple(
            (name, tuple(_signature_of(ask) for ask in fields.values()))
            for name, fields in asks.typed.items()
        ),
        tuple(
            (
                name,
                tuple(
                    (*(step.subgraph.name for step in way), _signature_of(ask))
                    for way, ask in listed
                ),
            )
            for name, listed in asks.elsewhere.items()
        ),
    )


def _signature_of(ask: Ask) -> tuple[object, ...]:
    return ask.field.key, ask.field.name, ask.field.arguments, _signature(ask.below)
