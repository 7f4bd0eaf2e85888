"""Detects other nodes that use a database: their release may not know its next schema."""

from backendai_ctl.stores.postgresql import Database

# A role sees the addresses of its own connections, without being the server's superuser.
# https://www.postgresql.org/docs/current/monitoring-stats.html
_OTHERS = """
SELECT DISTINCT host(client_addr) FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user
   AND client_addr <> coalesce(inet_client_addr(), '127.0.0.1')
   AND application_name <> 'backendai-ctl'
 ORDER BY 1
"""


def other_nodes(database: Database) -> list[str]:
    """Return the addresses of other hosts whose service is connected."""
    return [str(row[0]) for row in database.rows(_OTHERS)]
