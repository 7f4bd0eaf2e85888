"""Names in requests to subgraphs."""

from collections.abc import Iterator

from graphql import FieldNode, Node, VariableNode, Visitor, visit

TYPENAME = "__typename"


def response_key(node: FieldNode) -> str:
    """Return the name of a field in the response."""
    return node.alias.value if node.alias else node.name.value


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.append(node.name.value)


def variables_of(node: Node) -> Iterator[str]:
    """Yield the names of the variables below a node."""
    found = _Variables()
    visit(node, found)
    yield from found.names
