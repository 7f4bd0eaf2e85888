"""A graph of objects whose every field follows from the object's name, for any schema.

The joined schema and each subgraph's own answer from it, so that both answers are equal if
the gateway asks the right subgraph for the right objects. Valid operations are made by chance.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_non_null_type,
)
from graphql_gateway.supergraph import Supergraph

_COMPOSITE = (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)
_ENTITIES = 4  # of each type


@dataclass(frozen=True)
class Thing:
    """An object: its type, and the name that all about it follows from."""

    kind: str
    name: str


@dataclass(kw_only=True)
class Graph:
    """The objects of one supergraph."""

    supergraph: Supergraph

    def __post_init__(self) -> None:
        self._keys: dict[str, set[str]] = {}
        for subgraph in self.supergraph.subgraphs:
            for kind, keys in subgraph.keys.items():
                names = {part.name for key in keys for part in key}
                self._keys.setdefault(kind, set()).update(names)

    def resolve(self, source: Thing | None, info: GraphQLResolveInfo, **given: Any) -> Any:
        """Return the value of a field."""
        parent, name = self._known(info), info.field_name
        if name == "_entities":
            return [self.entity(each) for each in given["representations"]]
        thing = source or Thing(parent, parent)
        if name in self._keys.get(parent, ()) and not isinstance(
            get_named_type(info.return_type), _COMPOSITE
        ):
            return thing.name
        words = json.dumps([thing.name, name, given], sort_keys=True, default=str)
        return self._value(self.supergraph.schema.type_map[parent].fields[name], words)  # type: ignore[attr-defined]

    def _known(self, info: GraphQLResolveInfo) -> str:
        """Return what the supergraph calls the type; a subgraph may have other names for roots."""
        joined = self.supergraph.schema
        roots = {
            info.schema.query_type: joined.query_type,
            info.schema.mutation_type: joined.mutation_type,
            info.schema.subscription_type: joined.subscription_type,
        }
        known = roots.get(info.parent_type)
        return known.name if known else info.parent_type.name

    def entity(self, representation: Mapping[str, Any]) -> Thing:
        """Return the object of a representation."""
        (name,) = {str(value) for key, value in representation.items() if key != "__typename"}
        return Thing(representation["__typename"], name)

    @staticmethod
    def kind_of(value: Thing, *_: object) -> str:
        """Return the type of an object."""
        return value.kind

    def _value(self, declared: GraphQLField, words: str) -> Any:
        return self._of(declared.type, words)

    def _of(self, kind: Any, words: str) -> Any:
        number = zlib.crc32(words.encode())
        if isinstance(kind, GraphQLNonNull):
            kind = kind.of_type
        elif number % 7 == 0:
            return None
        if isinstance(kind, GraphQLList):
            return [self._of(kind.of_type, f"{words}/{n}") for n in range(number % 3)]
        if isinstance(kind, _COMPOSITE):
            return self._thing(kind, number)
        if isinstance(kind, GraphQLEnumType):
            return sorted(kind.values)[number % len(kind.values)]
        plain = {"Int": number % 1000, "Float": number % 1000 / 4, "Boolean": number % 2 == 0}
        return plain.get(kind.name, f"v{number}")

    def _thing(self, kind: Any, number: int) -> Thing | None:
        name = kind.name
        if not isinstance(kind, GraphQLObjectType):
            # One that every subgraph has that knows the interface or union.
            known = [each.objects(name) for each in self.supergraph.subgraphs if each.knows(name)]
            shared = sorted(frozenset.intersection(*known)) if known else []
            if not shared:
                return None
            name = shared[number % len(shared)]
        if name in self._keys:
            return Thing(name, f"{name}:{number % _ENTITIES}")
        return Thing(name, f"{name}:{number}")


@dataclass(kw_only=True)
class Operations:
    """Makes valid operations by chance."""

    schema: GraphQLSchema
    chance: Random
    depth: int = 4
    variables: dict[str, Any] = field(default_factory=dict)
    _definitions: list[str] = field(default_factory=list)
    _fragments: list[str] = field(default_factory=list)
    _names: int = 0

    def query(self) -> str:
        """Return a query; its variables are in ``variables``."""
        root = self.schema.query_type
        assert root is not None
        body = self._selections(root, self.depth, most=3)
        head = f"query Q({', '.join(self._definitions)})" if self._definitions else "query Q"
        return "\n".join([f"{head} {body}", *self._fragments])

    def _selections(self, kind: Any, depth: int, most: int = 5) -> str:
        found = ["__typename"] if self.chance.random() < 0.3 else []
        fields = {} if isinstance(kind, GraphQLUnionType) else dict(kind.fields)
        if depth <= 0:
            fields = {
                name: each
                for name, each in fields.items()
                if not isinstance(get_named_type(each.type), _COMPOSITE)
            }
        names = self.chance.sample(sorted(fields), min(len(fields), self.chance.randint(1, most)))
        found += [word for name in names if (word := self._field(name, fields[name], depth))]
        if depth > 0 and self.chance.random() < 0.5:
            found.append(self._fragment(kind, depth))
        return "{ " + " ".join(found or ["__typename"]) + " }"

    def _field(self, name: str, declared: GraphQLField, depth: int) -> str:
        arguments = [
            f"{key}: {value}"
            for key, each in declared.args.items()
            if (value := self._argument(each)) is not None
        ]
        word = f"{name}({', '.join(arguments)})" if arguments else name
        # A name of its own for all with arguments: two may not differ under one name.
        if arguments or self.chance.random() < 0.2:
            self._names += 1
            word = f"n{self._names}: {word}"
        word += self._condition()
        below = get_named_type(declared.type)
        if isinstance(below, _COMPOSITE):
            word += " " + self._selections(below, depth - 1)
        return word

    def _condition(self) -> str:
        if self.chance.random() > 0.1:
            return ""
        name = self.chance.choice(["include", "skip"])
        if self.chance.random() < 0.5:
            return f" @{name}(if: {self.chance.choice(['true', 'false'])})"
        return f" @{name}(if: {self._variable('Boolean!', self.chance.random() < 0.5)})"

    def _fragment(self, kind: Any, depth: int) -> str:
        targets = [kind]
        if not isinstance(kind, GraphQLObjectType):
            possible = list(self.schema.get_possible_types(kind))
            targets += possible
            targets += [interface for each in possible for interface in each.interfaces]
        target = self.chance.choice(targets)
        body = self._selections(target, depth - 1)
        if self.chance.random() < 0.5:
            return f"... on {target.name}{self._condition()} {body}"
        name = f"F{len(self._fragments)}"
        self._fragments.append(f"fragment {name} on {target.name} {body}")
        return f"...{name} ...{name}"

    def _argument(self, declared: GraphQLArgument) -> str | None:
        is_needed = is_non_null_type(declared.type)
        if not is_needed and self.chance.random() < 0.7:
            return None
        value = self._input(declared.type, 3)
        if value is _NOTHING:
            return None
        if self.chance.random() < 0.4 and not _has_enum(declared.type):
            return self._variable(str(declared.type), value)
        return _literal(value)

    def _variable(self, kind: str, value: Any) -> str:
        name = f"v{len(self._definitions)}"
        self._definitions.append(f"${name}: {kind}")
        self.variables[name] = value
        return f"${name}"

    def _input(self, kind: GraphQLInputType, depth: int) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return self._input(kind.of_type, depth)
        if isinstance(kind, GraphQLList):
            return [self._input(kind.of_type, depth)]
        if isinstance(kind, GraphQLInputObjectType):
            found = {}
            for name, each in kind.fields.items():
                if is_non_null_type(each.type) or (depth > 0 and self.chance.random() < 0.2):
                    found[name] = self._input(each.type, depth - 1)
            return found
        if isinstance(kind, GraphQLEnumType):
            return _Word(self.chance.choice(sorted(kind.values)))
        assert isinstance(kind, GraphQLScalarType)
        number = self.chance.randint(0, 50)
        plain = {"Int": number, "Float": number / 4, "Boolean": number % 2 == 0}
        return plain.get(kind.name, f"s{number}")


_NOTHING = object()


class _Word(str):
    """The name of an enum's value, which has no quotes."""

    __slots__ = ()


def _has_enum(kind: Any) -> bool:
    named = get_named_type(kind)
    return isinstance(named, GraphQLEnumType | GraphQLInputObjectType)


def _literal(value: Any) -> str:
    if isinstance(value, _Word):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_literal(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value)
