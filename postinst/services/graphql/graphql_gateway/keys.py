"""Keys of entities: the fields by which a subgraph finds an object of another."""

from dataclasses import dataclass

from graphql import FieldNode, GraphQLError, OperationDefinitionNode, SelectionSetNode, parse

from graphql_gateway.errors import GatewayError


@dataclass(frozen=True, kw_only=True)
class KeyField:
    """One field of a key, and the fields of the object below it."""

    name: str
    below: tuple["KeyField", ...] = ()


Key = tuple[KeyField, ...]


def parse_key(where: str, text: str) -> Key:
    """Parse a field set such as ``id owner { id }``; GatewayError if it is not valid."""
    try:
        (definition,) = parse(f"{{ {text} }}", no_location=True).definitions
    except (GraphQLError, ValueError) as error:
        raise GatewayError(f"{where}: the key '{text}' cannot be read") from error
    assert isinstance(definition, OperationDefinitionNode)
    return _fields(where, definition.selection_set)


def _fields(where: str, selections: SelectionSetNode) -> Key:
    found = []
    for node in selections.selections:
        if not isinstance(node, FieldNode) or node.alias or node.arguments or node.directives:
            raise GatewayError(f"{where}: the key has more than names of fields")
        below = _fields(where, node.selection_set) if node.selection_set else ()
        found.append(KeyField(name=node.name.value, below=below))
    return tuple(found)


def key_text(key: Key) -> str:
    """Return the field set of a key, as messages show it."""
    return " ".join(
        f"{field.name} {{ {key_text(field.below)} }}" if field.below else field.name
        for field in key
    )
