"""Who has which role in a manager's database, as its superuser reads it."""

import json
from collections.abc import Mapping
from typing import Any

from builder.verify.hosts import Host
from tests.integration.stores import run_sql

_DATABASE = "backend"
Row = Mapping[str, Any]
# The scope whose members every user may read.
PUBLIC = """
SELECT node.id FROM virtual_entities node JOIN global_entities named ON named.id = node.entity_id
 WHERE named.name = 'public'
"""
# The runtime variants that every user can read, and all there are.
VARIANTS = f"""
SELECT count(*) FROM runtime_variants variant JOIN virtual_entities node
    ON node.entity_type = 'runtime_variant' AND node.entity_id = variant.id
  JOIN entity_memberships member ON member.member_entity_id = node.id
  JOIN scope_bindings bound ON bound.virtual_entity_id = node.id
 WHERE member.virtual_entity_id IN ({PUBLIC}) AND bound.scope_entity_id IN ({PUBLIC});
SELECT count(*) FROM runtime_variants;
"""
_HELD = """
SELECT named.username, count(given.role_id) FROM users named
  LEFT JOIN user_roles given ON given.user_id = named.uuid GROUP BY 1
"""


def roles_held(host: Host) -> dict[str, int]:
    """How many roles each account has."""
    lines = run_sql(host, _HELD, database=_DATABASE).splitlines()
    return {name: int(count) for name, _, count in (line.partition("|") for line in lines)}


def read_rows(host: Host, table: str) -> dict[str, Row]:
    """Every row of a table, by its id."""
    lines = run_sql(host, f"SELECT to_jsonb(each) FROM {table} each", database=_DATABASE)
    rows = [json.loads(line) for line in lines.splitlines()]
    return {row["id"]: row for row in rows}
