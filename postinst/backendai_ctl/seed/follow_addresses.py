"""Follows changed addresses of this node where seeding wrote the former ones: etcd, databases.

Only values that this tool itself would have written are replaced: an admin's stay.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from backendai_ctl.answers.resolve import Answers, resolve_tree
from backendai_ctl.answers.site import own_values
from backendai_ctl.seed.session import SeededDatabase, Session
from backendai_ctl.seed.tree import leaves
from backendai_ctl.stores.etcd import Etcd


@dataclass(frozen=True, kw_only=True)
class AddressFollower:
    """Writes the present answers in ``names`` over former ones of this node."""

    answers: Answers
    names: Collection[str]

    def follow(self, session: Session) -> list[str]:
        """Replace what differs in every store of ``session``; return what was changed."""
        changed: list[str] = []
        if session.etcd is not None:
            trees = [recipe.etcd for recipe in session.recipes.values()]
            changed += self.follow_etcd(session.etcd, trees)
        with session.open_databases() as databases:
            for database in databases:
                database.connection.connect()
                changed += self.follow_groups(database)
        return changed

    def follow_etcd(self, etcd: Etcd, trees: Collection[Mapping[str, object]]) -> list[str]:
        """Replace keys of etcd that hold a former address; return them."""
        changed: list[str] = []
        for tree in trees:
            wanted = dict(leaves(resolve_tree(self.answers, tree)))
            for former in self._former():
                for key, value in leaves(resolve_tree(former, tree)):
                    if wanted.get(key, value) != value and etcd.get(key) == value:
                        etcd.put(key, wanted[key])
                        changed.append(f"etcd: {key} = {wanted[key]}")
        return changed

    def follow_groups(self, database: SeededDatabase) -> list[str]:
        """Replace a former address of the app proxy in resource groups; return the table."""
        proxied = database.profile.proxied
        if proxied is None or not database.connection.has_table(proxied.table):
            return []
        wanted = str(self.answers.resolve(proxied.to))
        former = {str(answers.resolve(proxied.to)) for answers in self._former()} - {wanted}
        # Names come from the shipped data, never from an admin.
        condition = f"{proxied.address} = ANY($1::text[])"
        query = f"SELECT count(*) FROM {proxied.table} WHERE {condition}"
        if not database.connection.value(query, sorted(former)):
            return []
        statement = (
            f"UPDATE {proxied.table} SET {proxied.address} = $2 WHERE {condition}",
            (sorted(former), wanted),
        )
        database.connection.execute(statement)
        return [f"{proxied.table}: {proxied.address} = {wanted}"]

    def _former(self) -> Iterator[Answers]:
        """Yield the answers with each other value that one of the names can have had here."""
        for name in self.names:
            for value in own_values(self.answers.site, name):
                yield replace(self.answers, overrides={**self.answers.overrides, name: value})
