"""Walks over every state that a request can reach, and finds fields that no plan resolves."""

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import GraphQLObjectType, get_named_type

from graphql_gateway.roots import ROOTS
from graphql_gateway.selection import COMPOSITE
from graphql_gateway.supergraph import Subgraph, Supergraph


@dataclass(frozen=True, kw_only=True)
class _State:
    """Objects of a type, found by a subgraph; others find the same from the object around."""

    type_name: str
    here: str
    others: frozenset[str]


def find_gaps(supergraph: Supergraph) -> tuple[list[str], int]:
    """Return the fields that cannot be planned, and how many fields cross subgraphs."""
    walk = _Walk(supergraph)
    return walk.run(), len(walk.crossing)


class _Walk:
    def __init__(self, supergraph: Supergraph) -> None:
        self._supergraph = supergraph
        self._subgraphs = {subgraph.name: subgraph for subgraph in supergraph.subgraphs}
        self.crossing: set[tuple[str, str, str]] = set()

    def run(self) -> list[str]:
        left = list(self._roots())
        seen, gaps = set(left), dict[str, None]()
        while left:
            state = left.pop()
            composite = self._supergraph.schema.type_map[state.type_name]
            assert isinstance(composite, GraphQLObjectType)
            for name in composite.fields:
                finders = self._finders(state, name)
                if not finders:
                    gaps[f"{state.type_name}.{name} of what {state.here} finds"] = None
                    continue
                if finders[0] != state.here:
                    self.crossing.add((state.type_name, name, state.here))
                for following in self._below(composite, name, finders):
                    if following not in seen:
                        seen.add(following)
                        left.append(following)
        return list(gaps)

    def _roots(self) -> Iterator[_State]:
        for operation, root in ROOTS.items():
            composite = self._supergraph.schema.type_map.get(root)
            if not isinstance(composite, GraphQLObjectType):
                continue
            for name in composite.fields:
                owners = self._supergraph.owners(root, name)
                if operation.value != "query":
                    owners = owners[:1]
                yield from self._below(composite, name, [owner.name for owner in owners])

    def _finders(self, state: _State, name: str) -> list[str]:
        """Return the subgraphs that resolve a field of the state's objects, the first one first."""
        here = self._subgraphs[state.here]
        listed = [here, *(way[-1].subgraph for way in self._supergraph.ways(state.type_name, here))]
        for other in sorted(state.others):
            at = self._subgraphs[other]
            listed += [
                at,
                *(way[-1].subgraph for way in self._supergraph.ways(state.type_name, at)),
            ]
        names = [found.name for found in listed if found.resolves(state.type_name, name)]
        return list(dict.fromkeys(names))

    def _below(
        self, composite: GraphQLObjectType, name: str, finders: list[str]
    ) -> Iterator[_State]:
        below = get_named_type(composite.fields[name].type)
        if not isinstance(below, COMPOSITE) or not finders:
            return
        for object_name in sorted(self._objects(below.name, self._subgraphs[finders[0]])):
            yield _State(type_name=object_name, here=finders[0], others=frozenset(finders[1:]))

    @staticmethod
    def _objects(name: str, here: Subgraph) -> frozenset[str]:
        return here.objects(name)
