"""Splits selections among subgraphs: fields asked for here, and fields of entities elsewhere.

Each object of a response is found by a subgraph. A field that this one does not resolve is
asked of another, by a key of the object. An object without a key is asked for once more, from
the object around it; ``rest`` is what of a selection has to be found in this way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphql import GraphQLInterfaceType, GraphQLObjectType

from graphql_gateway.selection import Collector, Field, Selection
from graphql_gateway.supergraph import Step, Subgraph, Supergraph

Way = tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ask:
    """A field, and what is asked for below it."""

    field: Field
    below: "Asks | None"


@dataclass(kw_only=True, eq=False)
class Asks:
    """What one subgraph is asked for of its objects, and others after it."""

    parent: str
    is_object: bool
    fields: dict[str, Ask] = field(default_factory=dict)
    typed: dict[str, dict[str, Ask]] = field(default_factory=dict)
    elsewhere: dict[str, list[tuple[Way, Ask]]] = field(default_factory=dict)  # by object

    @property
    def has_any(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.fields or self.typed or self.elsewhere)


@dataclass(kw_only=True)
class _Route:
    """The places where one field of an object is resolved."""

    here: Ask | None = None
    elsewhere: list[tuple[Way, Ask]] = field(default_factory=list)
    rest: Field | None = None


_Split = tuple[Asks, Selection | None]


class Splitter:
    """Splits the selections of one operation."""

    def __init__(self, supergraph: Supergraph, collector: Collector) -> None:
        self._supergraph = supergraph
        self._collector = collector
        self._splits: dict[tuple[int, str], tuple[Selection, _Split]] = {}
        # Whether a request differs from what the client selects.
        self.altered = False
        # Fields that no subgraph resolves for the objects that one finds.
        self.lost: set[int] = set()

    def split(self, selection: Selection, here: Subgraph) -> _Split:
        """Return what of a selection can be asked for from ``here``, and the rest."""
        same = (id(selection), here.name)
        if same not in self._splits:
            is_object = isinstance(selection.parent, GraphQLObjectType)
            make = self._split_object if is_object else self._split_abstract
            # The selection is kept with the result: its id stays its own.
            self._splits[same] = selection, make(selection, here)
        return self._splits[same][1]

    def root(self, field_: Field, owners: Sequence[Subgraph]) -> "RootRoute":
        """Return the subgraphs to ask for a root field, and what none of them resolves."""
        found = RootRoute(rest=field_)
        for owner in owners:
            assert found.rest is not None
            ask, rest = self._try(found.rest, owner)
            if ask is not None:
                found.asks.append((owner, ask))
            found.rest = rest
            if rest is None:
                break
            self.altered = True
        return found

    def _split_object(self, selection: Selection, here: Subgraph) -> _Split:
        asks = Asks(parent=selection.parent.name, is_object=True)
        rest = dict[str, Field]()
        for key, field_ in selection.fields.items():
            route = self._route(selection.parent.name, field_, here)
            if route.here:
                asks.fields[key] = route.here
            if route.elsewhere:
                asks.elsewhere.setdefault(asks.parent, []).extend(route.elsewhere)
            if route.rest:
                rest[key] = route.rest
        left = Selection(parent=selection.parent, fields=rest, typed={})
        return asks, left or None

    def _split_abstract(self, selection: Selection, here: Subgraph) -> _Split:
        asks = Asks(parent=selection.parent.name, is_object=False)
        objects = sorted(here.objects(selection.parent.name))
        shared = self._shared(selection, here, objects)
        for key in shared:
            route = self._route(selection.parent.name, selection.fields[key], here)
            assert route.here is not None
            asks.fields[key] = route.here
        self.altered |= len(shared) < len(selection.fields)
        self.altered |= not set(selection.typed) <= set(objects)
        rest = dict[str, Mapping[str, Field]]()
        for name in objects:
            if len(shared) == len(selection.fields) and name not in selection.typed:
                continue
            typed = selection.typed.get(name, {})
            own = {
                key: field_
                for key, field_ in self._collector.fields_of(selection, name).items()
                if key not in shared or key in typed
            }
            left = self._split_typed(asks, name, own, here)
            if left:
                rest[name] = left
        left_over = Selection(parent=selection.parent, fields={}, typed=rest)
        return asks, left_over or None

    def _split_typed(
        self, asks: Asks, name: str, own: Mapping[str, Field], here: Subgraph
    ) -> dict[str, Field]:
        """Add the fields of the objects of one type; returns the rest of them."""
        rest = dict[str, Field]()
        for key, field_ in own.items():
            route = self._route(name, field_, here)
            if route.here:
                asks.typed.setdefault(name, {})[key] = route.here
            if route.elsewhere:
                asks.elsewhere.setdefault(name, []).extend(route.elsewhere)
            if route.rest:
                rest[key] = route.rest
        return rest

    def _shared(
        self, selection: Selection, here: Subgraph, objects: Sequence[str]
    ) -> dict[str, Field]:
        """Return the fields that can be asked for as the interface's own."""
        found = dict[str, Field]()
        for key, field_ in selection.fields.items():
            name = field_.name
            if not name.startswith("__"):
                if not here.resolves(selection.parent.name, name):
                    continue
                if not all(here.resolves(possible, name) for possible in objects):
                    continue
                if field_.below and self.split(field_.below, here)[1]:
                    continue
            found[key] = field_
        return found

    def _route(self, parent: str, field_: Field, here: Subgraph) -> _Route:
        """Return where a field of the objects that ``here`` finds is resolved."""
        if field_.name.startswith("__"):
            return _Route(here=Ask(field=field_, below=None))
        found = _Route(rest=field_)
        if here.resolves(parent, field_.name):
            found.here, found.rest = self._try(field_, here)
            if found.rest is None:
                return found
        self.altered = True
        if isinstance(self._supergraph.schema.type_map[parent], GraphQLInterfaceType):
            return found
        for way in self._supergraph.ways(parent, here):
            there = way[-1].subgraph
            if not there.resolves(parent, field_.name):
                continue
            assert found.rest is not None
            ask, found.rest = self._try(found.rest, there)
            if ask is not None:
                found.elsewhere.append((way, ask))
            if found.rest is None:
                break
        if found.rest is field_:
            self.lost.add(id(field_))
        return found

    def _try(self, field_: Field, there: Subgraph) -> tuple[Ask | None, Field | None]:
        """Return what of a field ``there`` resolves, and the rest of it."""
        if field_.below is None:
            return Ask(field=field_, below=None), None
        asks, rest = self.split(field_.below, there)
        if rest is None:
            return Ask(field=field_, below=asks), None
        left = Field(
            key=field_.key,
            name=field_.name,
            arguments=field_.arguments,
            nodes=field_.nodes,
            below=rest,
        )
        return (Ask(field=field_, below=asks) if asks.has_any else None), left


@dataclass(kw_only=True)
class RootRoute:
    """The subgraphs that answer one root field, and what none of them resolves."""

    asks: list[tuple[Subgraph, Ask]] = field(default_factory=list)
    rest: Field | None = None
