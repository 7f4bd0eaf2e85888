"""The meaning and the remedy of a store's refusal: one table for all three stores.

PostgreSQL identifies a fault by its SQLSTATE (class and code), etcd and Redis by words. The
first row that fits counts, so a row for a code stands before the one for its class.
"""

import re
from dataclasses import dataclass

from backendai_ctl.base.words import Word


class StoreKind(Word):
    """The kinds of stores."""

    POSTGRESQL = "PostgreSQL"
    ETCD = "etcd"
    REDIS = "Redis"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault. ``code`` is a SQLSTATE or its class, ``words`` a pattern of the message."""

    store: StoreKind
    code: str = ""
    words: str = ""
    remedy: str

    def fits(self, store: StoreKind, code: str, message: str) -> bool:
        """Whether a refusal is of this kind."""
        return (
            store is self.store
            and bool(code or self.words)
            and code.startswith(self.code)
            and re.search(self.words, message, re.IGNORECASE) is not None
        )


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names in a remedy, as its reader would type them."""

    address: str = "HOST:PORT"
    database: str = "DATABASE"
    role: str = "ROLE"
    service: str = "SERVICE"


_AS_POSTGRES = "sudo -u postgres psql"
_BY_HAND = "sudo backendai-ctl sql {service} | sudo -u postgres psql -v ON_ERROR_STOP=1"
_LOG = "the server's log has the reason"
_DAMAGED = f"the database may be damaged; {_LOG}. Backups: backendai-ctl backup list"


def _postgresql(code: str, remedy: str, words: str = "") -> Row:
    return Row(store=StoreKind.POSTGRESQL, code=code, words=words, remedy=remedy)


def _etcd(words: str, remedy: str) -> Row:
    return Row(store=StoreKind.ETCD, words=words, remedy=remedy)


def _redis(words: str, remedy: str) -> Row:
    return Row(store=StoreKind.REDIS, words=words, remedy=remedy)


_SPACE = (
    "compact and defragment it (etcdctl compact REVISION, etcdctl defrag), raise"
    " --quota-backend-bytes if it is needed, then: etcdctl alarm disarm"
)

TABLE: tuple[Row, ...] = (
    _postgresql(
        "28P01",
        f"give the role this host's password: {_BY_HAND}; or, where this host's is wrong, correct"
        " it in site.toml and in the service's own configuration",
    ),
    _postgresql(
        "28",
        "let the role in from this host: a line in pg_hba.conf on the server, then:"
        f' {_AS_POSTGRES} -c "SELECT pg_reload_conf()"',
        "pg_hba",
    ),
    _postgresql("28", f"make the role: {_BY_HAND}"),
    _postgresql("3D000", f"make the database: {_BY_HAND}"),
    _postgresql(
        "3F000", f"{_AS_POSTGRES} -d {{database}} -c 'CREATE SCHEMA public AUTHORIZATION {{role}}'"
    ),
    # From PostgreSQL 15 on, only the database's owner creates in the schema public; a grant on
    # the database does not include that.
    _postgresql(
        "42501",
        f"{_AS_POSTGRES} -d {{database}} -c 'GRANT ALL ON SCHEMA public TO {{role}}';"
        " or make the role the owner:"
        f" {_AS_POSTGRES} -c 'ALTER DATABASE {{database}} OWNER TO {{role}}'",
        "schema",
    ),
    _postgresql(
        "42501",
        f"{_AS_POSTGRES} -c 'GRANT ALL ON DATABASE {{database}} TO {{role}}'",
        "for database",
    ),
    _postgresql(
        "42501",
        f"make the role the owner of the tables: {_AS_POSTGRES} -d {{database}} -c"
        " 'REASSIGN OWNED BY FORMER_OWNER TO {role}'",
        "table|relation|sequence|view|owner",
    ),
    _postgresql("42501", "let the role do it: it needs to own database '{database}'"),
    _postgresql(
        "25006",
        "the server is a standby: name the primary in site.toml: [database] address, or every"
        " server: [database] members, and in the service's own configuration; if the primary is"
        " lost, promote a standby: pg_ctlcluster VERSION main promote",
        "recovery|standby",
    ),
    _postgresql(
        "25006",
        f"{_AS_POSTGRES} -c 'ALTER DATABASE {{database}} RESET default_transaction_read_only',"
        " and the same of ALTER ROLE {role}, or of ALTER SYSTEM with SELECT pg_reload_conf()",
    ),
    _postgresql("53100", "make room on the server's disk"),
    _postgresql("53200", "give the server more memory, or lower its shared_buffers and work_mem"),
    _postgresql(
        "53300",
        "raise max_connections in postgresql.conf, or the limit of role or database"
        " (CONNECTION LIMIT), or end idle clients",
    ),
    _postgresql("53", f"the server is out of something; {_LOG}"),
    _postgresql(
        "57P03",
        f"wait until the server has started or caught up; if it stays so, {_LOG}",
    ),
    _postgresql("57P", f"the server is being stopped or has crashed; {_LOG}"),
    _postgresql(
        "57014",
        "a statement took longer than statement_timeout allows, or was cancelled; raise it for"
        " the role: ALTER ROLE {role} RESET statement_timeout",
    ),
    _postgresql(
        "55000",
        f"{_AS_POSTGRES} -c 'ALTER DATABASE {{database}} ALLOW_CONNECTIONS true'",
        "accepting connections",
    ),
    _postgresql("55P03", "another session holds the lock; see pg_stat_activity on the server"),
    _postgresql("40", "another session was faster; try it again"),
    _postgresql("08", "the connection broke off; check the network and the server's log"),
    _postgresql("58", f"the server cannot read or write its own files; {_LOG}"),
    _postgresql("XX001", _DAMAGED),
    _postgresql("XX002", _DAMAGED),
    _postgresql("XX", f"a fault inside the server; {_LOG}"),
    _etcd("space exceeded|NOSPACE", _SPACE),
    _etcd(
        "corrupt",
        "a member's data differs from the others': find it with etcdctl endpoint hashkv"
        " --cluster, remove and add it again empty, then: etcdctl alarm disarm",
    ),
    _etcd(
        "user name is empty|invalid user|authentication failed|invalid auth token",
        "set user and password under [etcd] in site.toml, and in the service's configuration",
    ),
    _etcd(
        "permission denied",
        "give the user's role read and write on the prefix /sorna/: etcdctl role"
        " grant-permission ROLE --prefix=true readwrite /sorna/",
    ),
    _etcd(
        "authentication is not enabled",
        "etcd knows no users: etcdctl auth enable, or remove user and password under [etcd]",
    ),
    _etcd(
        "no leader|leader changed|timed out|raft",
        "most of the members have to run: etcdctl endpoint status --cluster",
    ),
    _etcd("learner", "{address} is a learner: name a voting member in site.toml: [etcd] addresses"),
    _etcd("too many requests|resource exhausted", "etcd is overloaded: look at its disk and load"),
    _redis(
        "^NOAUTH",
        "set the password: [redis] password in site.toml, and for the cluster:"
        " backend.ai mgr etcd put config/redis/password PASSWORD",
    ),
    _redis(
        "without any password",
        "the server has no password: remove [redis] password, or set it there",
    ),
    _redis("^WRONGPASS|invalid password", "correct the password: [redis] password in site.toml"),
    _redis(
        "^NOPERM",
        "let the user use all commands, keys and channels: ACL SETUSER USER +@all ~* &*",
    ),
    _redis(
        "^READONLY",
        "{address} is a replica: name the primary in site.toml: [redis] address, or the"
        " Sentinels; or make it the primary: REPLICAOF NO ONE",
    ),
    _redis(
        "^MISCONF",
        "the server cannot write its snapshot: make room or correct 'dir' in its configuration;"
        " its log has the reason",
    ),
    _redis(
        "^OOM",
        "raise maxmemory in the server's configuration, or free memory; do not let it evict keys",
    ),
    _redis("^LOADING", "wait until the server has read its data"),
    _redis("^MASTERDOWN", "{address} is a replica without its primary: start the primary"),
    _redis("^CLUSTERDOWN|^MOVED|^ASK", "a cluster of Redis is not supported: use one server"),
    _redis("^NOREPLICAS", "the server wants replicas that are away: start them"),
    _redis("^BUSY", "a script blocks the server: SCRIPT KILL"),
    _redis("max number of clients", "raise maxclients in the server's configuration"),
    _redis(
        "^DENIED|protected mode",
        "the server takes no connections of other hosts: set 'bind' and a password there",
    ),
    _redis("unknown command", "a command is renamed or switched off in the server's configuration"),
)


def find_remedy(
    store: StoreKind, *, code: str = "", message: str = "", names: Names | None = None
) -> str | None:
    """Return the remedy for a store's fault; None if the table does not have it."""
    shown = names or Names()
    for row in TABLE:
        if row.fits(store, code, message):
            return row.remedy.format(
                address=shown.address,
                database=_identifier(shown.database),
                role=_identifier(shown.role),
                service=shown.service,
            )
    return None


def _identifier(name: str) -> str:
    """Return a name as SQL writes it, in double quotes if it needs them."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*|DATABASE|ROLE", name):
        return name
    return '"' + name.replace('"', '""') + '"'
