"""Builds the nodes and the text of requests to subgraphs."""

from collections.abc import Sequence

from graphql import (
    DirectiveNode,
    FieldNode,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    print_ast,
    visit,
)

TYPENAME = "__typename"


def response_key(node: FieldNode) -> str:
    """Return the name of a field in the response."""
    return node.alias.value if node.alias else node.name.value


def printed(directives: Sequence[DirectiveNode] | None) -> tuple[str, ...]:
    """Return the text of each directive."""
    return tuple(print_ast(directive) for directive in directives or ())


def name_field(name: str, alias: str | None = None) -> FieldNode:
    """Return a field without arguments and selections."""
    return FieldNode(
        alias=NameNode(value=alias) if alias else None,
        name=NameNode(value=name),
        arguments=(),
        directives=(),
        selection_set=None,
    )


def inline_fragment(
    type_name: str | None,
    directives: Sequence[DirectiveNode] | None,
    selections: Sequence[SelectionNode],
) -> InlineFragmentNode:
    """Return a fragment for objects of one type, or of any type if none is named."""
    condition = NamedTypeNode(name=NameNode(value=type_name)) if type_name else None
    return InlineFragmentNode(
        type_condition=condition,
        directives=tuple(directives or ()),
        selection_set=SelectionSetNode(selections=tuple(selections)),
    )


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)


def text_of(
    operation: OperationDefinitionNode,
    selections: Sequence[SelectionNode],
    entity: str | None = None,
) -> tuple[str, frozenset[str]]:
    """Return the text of an operation with these selections, and the variables that it uses.

    With ``entity``, the selections are those of entities that are requested by their keys.
    """
    body = SelectionSetNode(selections=tuple(selections))
    used = _Variables()
    visit(body, used)
    listed = [
        print_ast(variable)
        for variable in operation.variable_definitions or ()
        if variable.variable.name.value in used.names
    ]
    if entity is None:
        kind = operation.operation.value
        name = f" {operation.name.value}" if operation.name else ""
        variables = f"({', '.join(listed)})" if listed else ""
        return f"{kind}{name}{variables} {print_ast(body)}", frozenset(used.names)
    taken = ", ".join(["$representations: [_Any!]!", *listed])
    inner = print_ast(inline_fragment(entity, (), selections))
    found = f"_entities(representations: $representations) {{ {inner} }}"
    return f"query({taken}) {{ {found} }}", frozenset(used.names)
