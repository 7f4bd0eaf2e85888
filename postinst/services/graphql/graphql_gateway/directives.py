"""The directives of federation that a subgraph may use, and what each means here.

https://specs.apollo.dev/federation/v2.7. A directive that changes who resolves a field, or
who may see it, and is not implemented here is an error: without it the answers would be wrong.
"""

from collections.abc import Iterable, Iterator, Mapping

from graphql import (
    ConstDirectiveNode,
    DirectiveDefinitionNode,
    DocumentNode,
    ListValueNode,
    ObjectValueNode,
    SchemaDefinitionNode,
    SchemaExtensionNode,
    StringValueNode,
    ValueNode,
)

from graphql_gateway.errors import GatewayError

_FEDERATION = "specs.apollo.dev/federation/"
_LINK = "specs.apollo.dev/link/"
_LANGUAGE = {"deprecated", "specifiedBy", "oneOf", "link", "core"}
# These are implemented, or change nothing of an answer.
_SUPPORTED = {"key", "shareable", "external", "override", "extends", "tag", "link"}
_UNSUPPORTED = {
    "requires", "provides", "inaccessible", "interfaceObject", "authenticated",
    "requiresScopes", "policy", "context", "fromContext", "composeDirective",
    "cost", "listSize", "cacheTag",
}  # fmt: skip


class Names:
    """The names of federation's directives in one subgraph, which an import may change."""

    def __init__(self, subgraph: str, document: DocumentNode) -> None:
        self._subgraph = subgraph
        self._names: dict[str, str] = {}
        self._namespaces = {"federation"}
        links = [link for link in _links(document) if link.name.value == "link"]
        for link in links:
            self._read_link(link)
        self._own = {
            definition.name.value
            for definition in document.definitions
            if isinstance(definition, DirectiveDefinitionNode)
        }

    def _read_link(self, link: ConstDirectiveNode) -> None:
        values = {argument.name.value: argument.value for argument in link.arguments or ()}
        url = text_of_value(values.get("url"))
        if _FEDERATION in url:
            if not url.partition(_FEDERATION)[2].startswith("v2."):
                raise GatewayError(f"{self._subgraph}: {url} is not supported")
            namespace = text_of_value(values.get("as"))
            if namespace:
                self._namespaces.add(namespace)
            self._names |= dict(_imports(values.get("import")))
        elif _LINK not in url and "for" in values:
            raise GatewayError(f"{self._subgraph}: {url} is needed, and not supported")

    def meaning(self, directive: ConstDirectiveNode, where: str) -> str:
        """Return federation's name of a directive; GatewayError if it is not supported."""
        name = directive.name.value
        if name in _LANGUAGE:
            return name
        namespace, _, rest = name.partition("__")
        is_named = bool(rest) and namespace in self._namespaces
        found = rest if is_named else self._names.get(name, name)
        if found in _SUPPORTED:
            return found
        # A directive of the subgraph's own has no meaning for others.
        if name in self._own and name not in self._names and found not in _UNSUPPORTED:
            return ""
        raise GatewayError(
            f"{self._subgraph}: {where} has @{found}, which this gateway does not support"
        )


def argument_of(directive: ConstDirectiveNode, name: str) -> ValueNode | None:
    """Return the value of an argument, if it is given."""
    for argument in directive.arguments or ():
        if argument.name.value == name:
            return argument.value
    return None


def text_of_value(value: ValueNode | None) -> str:
    """Return the text of a string; empty for anything else."""
    return value.value if isinstance(value, StringValueNode) else ""


def _links(document: DocumentNode) -> Iterator[ConstDirectiveNode]:
    for definition in document.definitions:
        if isinstance(definition, SchemaDefinitionNode | SchemaExtensionNode):
            yield from definition.directives or ()


def _imports(value: ValueNode | None) -> Iterable[tuple[str, str]]:
    """Yield the local name and federation's name of each imported directive."""
    for item in value.values if isinstance(value, ListValueNode) else ():
        if isinstance(item, ObjectValueNode):
            fields: Mapping[str, str] = {
                field.name.value: text_of_value(field.value) for field in item.fields
            }
            name = fields.get("name", "")
            local = fields.get("as") or name
        else:
            name = local = text_of_value(item)
        if name.startswith("@"):
            yield local.removeprefix("@"), name.removeprefix("@")
