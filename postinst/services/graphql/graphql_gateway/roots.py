"""The root types of a subgraph: whatever it calls them, the joined schema has the usual names."""

from collections.abc import Mapping

from graphql import (
    DocumentNode,
    NamedTypeNode,
    NameNode,
    Node,
    OperationType,
    SchemaDefinitionNode,
    SchemaExtensionNode,
    TypeDefinitionNode,
    TypeExtensionNode,
    Visitor,
    visit,
)

from graphql_gateway.errors import GatewayError

ROOTS: Mapping[OperationType, str] = {
    OperationType.QUERY: "Query",
    OperationType.MUTATION: "Mutation",
    OperationType.SUBSCRIPTION: "Subscription",
}


def with_usual_roots(subgraph: str, document: DocumentNode) -> DocumentNode:
    """Return the document with the usual names of root types; GatewayError if one is taken."""
    given = {
        root.type.name.value: ROOTS[root.operation]
        for definition in document.definitions
        if isinstance(definition, SchemaDefinitionNode | SchemaExtensionNode)
        for root in definition.operation_types or ()
    }
    names = {old: new for old, new in given.items() if old != new}
    if not names:
        return document
    taken = {
        definition.name.value
        for definition in document.definitions
        if isinstance(definition, TypeDefinitionNode | TypeExtensionNode)
    }
    for old, new in names.items():
        if new in taken:
            raise GatewayError(
                f"{subgraph} calls its {new.lower()} type {old}, and has another type {new}"
            )
    renamed = visit(document, _Rename(names))
    assert isinstance(renamed, DocumentNode)
    return renamed


class _Rename(Visitor):
    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self._names = names

    def enter(self, node: Node, *_: object) -> Node | None:
        """Return a type's definition or reference under its new name."""
        if not isinstance(node, NamedTypeNode | TypeDefinitionNode | TypeExtensionNode):
            return None
        name = node.name.value
        if name not in self._names:
            return None
        fields = {key: getattr(node, key) for key in node.keys if key != "loc"}
        return type(node)(**{**fields, "name": NameNode(value=self._names[name])})
