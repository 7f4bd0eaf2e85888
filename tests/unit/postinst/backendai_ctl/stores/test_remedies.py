"""Each fault that a store names has the remedy of this fault, and of no other."""

import string

import pytest
from backendai_ctl.stores.remedies import TABLE, Names, StoreKind, find_remedy

NAMES = Names(address="db:5432", database="backend", role="manager", service="manager")
PG, ETCD, REDIS = StoreKind


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("42501", "permission denied for schema public", "GRANT ALL ON SCHEMA public TO manager"),
        ("42501", "permission denied for schema public", "ALTER DATABASE backend OWNER TO manager"),
        ("42501", "permission denied for database backend", "GRANT ALL ON DATABASE backend"),
        ("42501", "permission denied for table users", "REASSIGN OWNED"),
        ("42501", "must be owner of table users", "REASSIGN OWNED"),
        ("42501", "permission denied for function x", "own database 'backend'"),
        ("25006", "is in recovery: the server is a standby", "name the primary"),
        ("25006", "cannot execute CREATE TABLE in a read-only transaction", "RESET default_tr"),
        ("28P01", 'password authentication failed for user "x"', "backendai-ctl sql manager"),
        ("28000", 'no pg_hba.conf entry for host "10.0.0.1"', "pg_reload_conf"),
        ("28000", 'role "manager" does not exist', "make the role"),
        ("3D000", 'database "backend" does not exist', "make the database"),
        ("3F000", "no schema has been selected to create in", "CREATE SCHEMA public"),
        ("53100", "could not extend file: No space left on device", "room on the server's disk"),
        ("53300", "sorry, too many clients already", "max_connections"),
        ("53400", "configuration limit exceeded", "out of something"),
        ("57P03", "the database system is starting up", "wait until the server"),
        ("57P01", "terminating connection due to administrator command", "being stopped"),
        ("57014", "canceling statement due to statement timeout", "statement_timeout"),
        ("55000", "database is not currently accepting connections", "ALLOW_CONNECTIONS"),
        ("XX001", "invalid page in block 0", "damaged"),
        ("XX000", "cache lookup failed", "fault inside the server"),
        ("58030", "could not write to file", "its own files"),
        ("08006", "connection failure", "broke off"),
        ("40001", "could not serialize access", "try it again"),
    ],
)
def test_postgresql(code: str, message: str, expected: str) -> None:
    remedy = find_remedy(PG, code=code, message=message, names=NAMES)
    assert remedy is not None
    assert expected in remedy


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("etcdserver: mvcc: database space exceeded", "alarm disarm"),
        ("NOSPACE", "--quota-backend-bytes"),
        ("etcdserver: corrupt cluster", "hashkv"),
        ("CORRUPT", "hashkv"),
        ("etcdserver: user name is empty", "[etcd] in site.toml"),
        ("etcdserver: authentication failed, invalid user ID or password", "[etcd] in site"),
        ("etcdserver: permission denied", "grant-permission"),
        ("etcdserver: authentication is not enabled", "auth enable"),
        ("etcdserver: no leader", "endpoint status"),
        ("etcdserver: request timed out", "endpoint status"),
        ("etcdserver: rpc not supported for learner", "voting member"),
        ("etcdserver: too many requests", "overloaded"),
    ],
)
def test_etcd(message: str, expected: str) -> None:
    assert expected in str(find_remedy(ETCD, message=message, names=NAMES))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("NOAUTH Authentication required.", "config/redis/password"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "correct the password"),
        ("ERR AUTH <password> called without any password configured", "has no password"),
        ("NOPERM this user has no permissions to run the 'xadd' command", "ACL SETUSER"),
        ("READONLY You can't write against a read only replica.", "REPLICAOF NO ONE"),
        ("MISCONF Redis is configured to save RDB snapshots", "its snapshot"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"),
        ("LOADING Redis is loading the dataset in memory", "wait until"),
        ("MASTERDOWN Link with MASTER is down", "start the primary"),
        ("CLUSTERDOWN Hash slot not served", "one server"),
        ("MOVED 3999 127.0.0.1:6381", "one server"),
        ("ERR max number of clients reached", "maxclients"),
        ("DENIED Redis is running in protected mode", "'bind'"),
        ("ERR unknown command 'XADD'", "renamed or switched off"),
    ],
)
def test_redis(message: str, expected: str) -> None:
    assert expected in str(find_remedy(REDIS, message=message, names=NAMES))


def test_what_the_table_does_not_have_gets_no_remedy() -> None:
    assert find_remedy(PG, code="42601", message="syntax error") is None
    assert find_remedy(PG, code="", message="permission denied for schema public") is None
    assert find_remedy(ETCD, message="etcdserver: something new") is None
    assert find_remedy(REDIS, message="ERR something new, not READONLY") is None


def test_names_are_quoted_where_sql_needs_it() -> None:
    names = Names(database="backend-ai", role="Ann")
    remedy = find_remedy(PG, code="42501", message="permission denied for schema x", names=names)
    assert 'GRANT ALL ON SCHEMA public TO "Ann"' in str(remedy)
    assert 'ALTER DATABASE "backend-ai" OWNER TO "Ann"' in str(remedy)


def test_every_row_can_be_reached_and_shown() -> None:
    for place, row in enumerate(TABLE):
        names = {name for _, name, _, _ in string.Formatter().parse(row.remedy) if name}
        assert names <= {"address", "database", "role", "service"}, row
        earlier = [other for other in TABLE[:place] if other.store is row.store and not other.words]
        assert not any(row.code.startswith(other.code) for other in earlier if other.code), row
        assert row.code or row.words, row
