"""The distribution's own PostgreSQL, Redis or Valkey, and etcd, on one host."""

from dataclasses import dataclass

from builder.base import log
from builder.verify.hosts import Host
from tests.integration.images import Suite

_START_TIMEOUT_S = 90
_SQL_FILE = "/root/statements.sql"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the stores of a host listen."""

    database: str = "127.0.0.1:5432"
    redis: str = "127.0.0.1:6379"
    etcd: str = "127.0.0.1:2379"


def start_stores(host: Host, suite: Suite) -> Addresses:
    """Enable and start the stores of a ``stores`` image, and wait until each answers."""
    addresses = Addresses()
    host.run(["systemctl", "enable", "--now", *suite.store_units], timeout=_START_TIMEOUT_S)
    client = {Suite.BOOKWORM: "redis-cli", Suite.TRIXIE: "valkey-cli"}[suite]
    questions = {
        "postgresql": (["pg_isready", "--quiet", "--host=127.0.0.1"], ""),
        client: ([client, "ping"], "PONG"),
        "etcd": (["etcdctl", f"--endpoints=http://{addresses.etcd}", "get", "/", "--limit=1"], ""),
    }
    for name, (command, answer) in questions.items():

        def answers(command: list[str] = command, answer: str = answer) -> bool:
            result = host.run(command, check=False, timeout=10)
            return result.status == 0 and answer in result.stdout

        took = host.wait_until(f"{name} answers", answers, timeout=_START_TIMEOUT_S)
        log.detail(f"{host.name}: {name} answered after {took:.1f} s")
    return addresses


def run_sql(host: Host, statements: str, *, database: str = "postgres") -> str:
    """Run statements as the database's superuser; what they print, unaligned.

    They travel in a file: they may hold a password, and arguments are seen by all.
    """
    host.write(_SQL_FILE, statements, mode=0o600)
    try:
        script = (
            "runuser -u postgres -- psql --quiet --no-psqlrc --tuples-only --no-align "
            f'--set=ON_ERROR_STOP=1 --dbname="$0" <{_SQL_FILE}'
        )
        return host.run(["sh", "-c", script, database]).stdout
    finally:
        host.run(["rm", "-f", _SQL_FILE])
