"""Two small schemas that belong together, as the manager's do: texts, and what they answer."""

from collections.abc import Mapping
from typing import Any

LEGACY = """
extend schema @link(url: "https://specs.apollo.dev/federation/v2.7", import: ["@key", "@shareable"])

type PageInfo @shareable { hasNextPage: Boolean! }
interface Node { id: ID! }
type Agent implements Node @key(fields: "id") {
  id: ID!
  host: String!
  load(unit: Unit): Int
  region: String
  peers: [Agent!]!
}
enum Unit { PERCENT MILLE }
input Filter { host: String, nested: Filter }
scalar JSON
scalar _Any
union _Entity = Agent
type _Service { sdl: String }

type Query {
  _entities(representations: [_Any!]!): [_Entity]!
  _service: _Service!
  node(id: ID!): Node
  agents(filter: Filter): [Agent!]!
  hello(name: String = "you"): String
  info: JSON
}
type Mutation { log(text: String!): String! }
"""

MODERN = """
schema @link(url: "https://specs.apollo.dev/federation/v2.7", import: ["@key", "@override", "@shareable"]) {
  query: Query
  mutation: Mutation
  subscription: Subscription
}

type PageInfo @shareable { hasNextPage: Boolean! }
interface Node { id: ID! }
extend type Agent implements Node @key(fields: "id") { id: ID! }
type Role implements Node @key(fields: "id") { id: ID! name: String! holder: Agent page: PageInfo! }
union Found = Agent | Role
scalar _Any
union _Entity = Agent | Role
type _Service { sdl: String! }

type Query {
  _entities(representations: [_Any!]!): [_Entity]!
  _service: _Service!
  node(id: ID!): Node @override(from: "legacy")
  roles(first: Int): [Role!]!
  role: Role!
  found: [Found]!
}
type Mutation { note(text: String!): String! rename(name: String!): Role }
type Subscription { changes(id: ID!): Role }
"""  # noqa: E501 - as releases write it

OPEN = "type Query { motto: String! }"

TEXTS: Mapping[str, str] = {"legacy": LEGACY, "modern": MODERN, "open": OPEN}
PATHS: Mapping[str, str] = {"legacy": "/gql", "modern": "/gql/new", "open": "/gql/new/open"}

AGENTS: Mapping[str, dict[str, Any]] = {
    f"a{number}": {
        "__typename": "Agent",
        "id": f"a{number}",
        "host": f"host{number}",
        "load": lambda _info, unit="PERCENT", load=number: load * (10 if unit == "MILLE" else 1),
        "region": None,
        "peers": [],
    }
    for number in (1, 2)
}
AGENTS["a1"]["peers"] = [AGENTS["a2"]]


def _role(number: int, holder: str | None) -> dict[str, Any]:
    return {
        "__typename": "Role",
        "id": f"r{number}",
        "name": f"role{number}",
        "holder": {"__typename": "Agent", "id": holder} if holder else None,
        "page": {"hasNextPage": False},
    }


ROLES = [_role(1, "a1"), _role(2, "a2"), _role(3, "a1"), _role(4, None)]


def _entity(representation: Mapping[str, Any]) -> dict[str, Any]:
    if representation["id"] == "gone":
        raise ValueError("no such agent")
    return AGENTS[str(representation["id"])]


def _no_agent(**_: object) -> None:
    raise ValueError("agents are away")


def _node(_info: object, id: str) -> dict[str, Any] | None:  # noqa: A002 - the schema's name
    if id.startswith("a") or id == "gone":
        return {"__typename": "Agent", "id": id}
    return next((role for role in ROLES if role["id"] == id), None)


def roots(done: list[str]) -> Mapping[str, Mapping[str, Any]]:
    """What each schema answers; mutations leave a line in ``done``."""

    def write(_info: object, text: str) -> str:
        if text == "fail":
            raise ValueError("not written")
        done.append(text)
        return text

    return {
        "legacy": {
            "_entities": lambda _info, representations: [
                _entity(representation) for representation in representations
            ],
            "agents": lambda _info, filter=None: [  # noqa: A006 - the schema's name
                agent
                for agent in AGENTS.values()
                if not filter or agent["host"] == filter.get("host")
            ],
            "hello": lambda _info, name: f"hello, {name}",
            "info": {"any": [1, {"thing": None}]},
            "log": write,
        },
        "modern": {
            "node": _node,
            "roles": lambda _info, first=None: ROLES[:first],
            "role": ROLES[0],
            "found": [{"__typename": "Agent", "id": "a2"}, ROLES[1], None],
            "note": write,
            "rename": lambda _info, name: {**ROLES[0], "name": name},
            "changes": ROLES[0],
        },
        "open": {"motto": "ask"},
    }
