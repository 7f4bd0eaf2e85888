"""The keys and values that etcd must hold."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from backendai_ctl.answers.resolve import Answers, resolve_tree
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.toml import shipped_table


def leaves(tree: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key below ``above`` with its value; the empty name is a key's own value.

    Names are quoted as the services do it; a value of None is left out.
    """
    for name, value in tree.items():
        path = "/".join(part for part in (above, quote(name, safe="")) if part)
        if isinstance(value, Mapping):
            yield from leaves(value, path)
        elif isinstance(value, bool):
            yield path, str(value).lower()
        elif value is not None:
            yield path, str(value)


def addon_trees(layout: Layout, answers: Answers) -> dict[str, dict[str, object]]:
    """Return the keys that each installed add-on needs in etcd, by the add-on's name."""
    found = {}
    for path in layout.addon_files():
        with shipped_table(path, "the add-on's package") as table:
            tree = table.get("etcd", {})
        if tree:
            found[path.stem] = resolve_tree(answers, tree)
    return found
