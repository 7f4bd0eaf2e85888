"""The check of a release before it is packed: its schemas, and the operations of its Web UI.

Called by the build with the texts that ``dump`` printed, and the webserver's wheel.
"""

import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    Node,
    ObjectTypeDefinitionNode,
    ObjectTypeExtensionNode,
    StringValueNode,
    TypeDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    build_ast_schema,
    build_schema,
    parse,
    print_ast,
    print_schema,
    validate,
    validate_schema,
    visit,
)
from graphql.language import REMOVE

from graphql_gateway.config import SUBGRAPHS, load_release
from graphql_gateway.errors import GatewayError, RequestError
from graphql_gateway.plan import Plan, prepare
from graphql_gateway.requests import Hop
from graphql_gateway.supergraph import Supergraph, compose
from graphql_gateway.texts import read_schemas
from graphql_gateway.walk import find_gaps

# An operation in a compiled artifact of Relay: a property `text`, as a JavaScript string.
_STRING = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`"
_TEXT = re.compile(rf"\btext:({_STRING})")
_KINDS = ("query", "mutation", "subscription", "fragment")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
# The Web UI's own directives, which it applies before it sends an operation.
_SINCE, _UNTIL, _SKIP = "since", "deprecatedSince", "skipOnClient"
_OWN = {_SINCE, f"{_SINCE}Multiple", _UNTIL, f"{_UNTIL}Multiple", _SKIP}
_FEWEST = 1  # of operations: none means that their form has changed


def gate(release: str, schemas: Path, wheels: Sequence[Path]) -> int:
    """Check; print each problem, or a line of JSON with what was checked."""
    try:
        problems, counts = check(release, SUBGRAPHS, schemas, wheels)
    except GatewayError as error:
        problems, counts = [str(error)], {}
    sys.stdout.write("".join(f"{problem}\n" for problem in problems) or json.dumps(counts) + "\n")
    return 1 if problems else 0


def check(
    release: str, subgraphs: Path, schemas: Path, wheels: Sequence[Path]
) -> tuple[list[str], Mapping[str, int]]:
    """Return every problem, and counts of what was checked; GatewayError if nothing fits."""
    spec = load_release(subgraphs)
    texts = read_schemas(schemas.read_text(encoding="utf-8"), str(schemas)).described
    # No subgraph is optional here: what the release has has to fit.
    supergraph = compose(texts)
    absent = [
        f"the release has no schema '{subgraph.name}'"
        for subgraph in spec.subgraphs
        if subgraph.name not in texts and not subgraph.optional
    ]
    invalid = [
        f"the joined schema is not valid: {error.message}"
        for error in validate_schema(build_schema(print_schema(supergraph.schema)))
    ]
    gaps, crossing = find_gaps(supergraph)
    operations = {text: name for wheel in wheels for name, text in read_operations(wheel)}
    schemas_of = {name: executable(text) for name, text in texts.items()}
    refused = [
        f"{name}: {problem}"
        for text, name in operations.items()
        for problem in check_operation(supergraph, schemas_of, text, release)
    ]
    if wheels and len(operations) < _FEWEST:
        refused.append("the Web UI has no operation where they are expected")
    counts = {
        "types": len(supergraph.schema.type_map),
        "crossing": crossing,
        "operations": len(operations),
    }
    return [*absent, *invalid, *(f"cannot be planned: {gap}" for gap in gaps), *refused], counts


def read_operations(wheel: Path) -> Iterator[tuple[str, str]]:
    """Yield the file and text of each operation in the scripts of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".js") and "/static/" in name:
                script = archive.read(name).decode(errors="replace")
                for text in find_operations(script):
                    yield name.rpartition("/")[2], text


def find_operations(script: str) -> Iterator[str]:
    """Yield the text of each operation in a script."""
    for match in _TEXT.finditer(script):
        text = _ESCAPE.sub(_unescape, match[1][1:-1]).strip()
        if text.startswith(_KINDS) and "{" in text:
            yield text


def _unescape(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else _ESCAPES.get(match[3], match[3])


def executable(text: str) -> GraphQLSchema:
    """Return a subgraph's own schema, by which it checks what it is asked."""
    document = parse(text, no_location=True)
    defined = {
        node.name.value for node in document.definitions if isinstance(node, TypeDefinitionNode)
    }
    nodes = [
        ObjectTypeDefinitionNode(**{key: getattr(node, key) for key in node.keys if key != "loc"})
        if isinstance(node, ObjectTypeExtensionNode) and node.name.value not in defined
        else node
        for node in document.definitions
    ]
    return build_ast_schema(
        DocumentNode(definitions=tuple(nodes)), assume_valid=True, assume_valid_sdl=True
    )


def check_operation(
    supergraph: Supergraph, schemas: Mapping[str, GraphQLSchema], text: str, release: str
) -> list[str]:
    """Return why an operation of the release's Web UI would be refused; nothing if it is not."""
    try:
        sent = as_sent(text, release)
        prepared = prepare(supergraph, sent, None, introspection=True)
        # Every plan that the values of its conditions can ask for.
        plans = [
            prepared.plan(
                {name: bool(number >> bit & 1) for bit, name in enumerate(prepared.conditions)}
            )
            for number in range(2 ** min(len(prepared.conditions), 6))
        ]
    except GraphQLError as error:
        return [error.message]
    except RequestError as error:
        return [str(problem["message"]) for problem in error.errors]
    sent_on = {request for plan in plans for request in _requests(plan)}
    return [
        f"{subgraph} would refuse: {error.message}"
        for subgraph, query in sorted(sent_on)
        for error in validate(schemas[subgraph], parse(query))
    ]


def _requests(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield subgraph and text of every request of a plan."""
    hops: list[Hop] = []
    for part in plan.parts:
        yield part.subgraph, part.query
        hops += part.hops
    while hops:
        hop = hops.pop()
        yield hop.subgraph, hop.query
        hops += hop.hops


def as_sent(text: str, release: str) -> str:
    """Return an operation as the Web UI sends it to a manager of this release."""
    if not any(f"@{name}" in text for name in _OWN):
        return text
    document = visit(parse(text, no_location=True), _Applied(_order(release)))
    while True:
        used = _Used()
        visit(document, used)
        pruned = visit(document, _Pruned(used, _empty(document)))
        if pruned == document:
            return print_ast(document)
        document = pruned


def _empty(document: DocumentNode) -> set[str]:
    return {
        definition.name.value
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
        and not definition.selection_set.selections
    }


class _Applied(Visitor):
    """Applies the Web UI's own directives, as for a manager that has all it asks for."""

    def __init__(self, release: tuple[object, ...]) -> None:
        super().__init__()
        self._release = release

    def enter_field(self, node: FieldNode, *_: object) -> object:
        """Remove a field that this release has not yet, or has no longer."""
        return REMOVE if any(self._hides(each) for each in node.directives or ()) else None

    def enter_directive(self, node: DirectiveNode, *_: object) -> object:
        """Remove the directive itself."""
        return REMOVE if node.name.value in _OWN else None

    def _hides(self, node: DirectiveNode) -> bool:
        name = node.name.value
        if name not in (_SINCE, _UNTIL):
            return False
        value = node.arguments[0].value
        if not isinstance(value, StringValueNode):
            return False
        is_there = _order(value.value) <= self._release
        return is_there if name == _UNTIL else not is_there


class _Used(Visitor):
    """Finds the variables and fragments that are used."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: set[str] = set()
        self.fragments: set[str] = set()

    def enter_variable_definition(self, _node: VariableDefinitionNode, *_: object) -> object:
        """Skip a definition: it is no use."""
        return False

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        """Note a use."""
        self.variables.add(node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        """Note a use."""
        self.fragments.add(node.name.value)


class _Pruned(Visitor):
    """Removes what nothing uses any more."""

    def __init__(self, used: _Used, empty: set[str]) -> None:
        super().__init__()
        self._used = used
        self._empty = empty

    def enter(self, node: Node, *_: object) -> object:
        """Remove a definition without a use, and a use without a definition."""
        match node:
            case VariableDefinitionNode() if node.variable.name.value not in self._used.variables:
                return REMOVE
            case FragmentDefinitionNode() if (
                node.name.value not in self._used.fragments or node.name.value in self._empty
            ):
                return REMOVE
            case FragmentSpreadNode() if node.name.value in self._empty:
                return REMOVE
            case FieldNode() if node.selection_set and not node.selection_set.selections:
                return REMOVE
            case _:
                return None


def _order(version: str) -> tuple[object, ...]:
    """Return a value by which versions sort, a pre-release before its release."""
    match = re.match(r"(\d+(?:\.\d+)*)(?:\.?([a-z]+)(\d*))?", version)
    if match is None:
        return ((), "", 0)
    numbers = tuple(int(part) for part in match[1].split("."))
    return (numbers, match[2] or "~", int(match[3] or 0))
