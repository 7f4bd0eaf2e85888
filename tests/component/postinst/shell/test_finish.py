"""The end of a transaction: what was installed is seeded and started, once and together."""

from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import run

# What the including script has beside these functions; each notes its call.
_AROUND = """
set -eu
warn() { echo "warning: $*" >>"$log"; }
may_start() { [ ! -e "$root/denied" ]; }
has_systemd() { true; }
outside() {
    shift
    echo "tool $*" >>"$log"
    [ "$*" != "seed stores" ] || [ ! -e "$root/away" ]
}
is_at_work() { [ -e "$root/at-work/$1" ]; }
systemctl() {
    echo "systemctl $*" >>"$log"
    rm -f "$root/at-work/$2"
    case "$2" in
        backendai-seed.service) rm -f "$root/lib/seed/waiting/manager" ;;
    esac
}
# A run starts the services that wait: an agent only after the manager has started.
run_static() {
    echo "run $*" >>"$log"
    [ -z "${2:-}" ] || return 0
    for note in "$root"/lib/seed/waiting/*; do
        [ -e "$note" ] || continue
        if [ "${note##*/}" = agent ] && ! [ -e "$root/manager-runs" ]; then
            continue
        fi
        rm "$note"
        touch "$root/at-work/backendai-${note##*/}.service"
    done
    touch "$root/manager-runs"
}
"""
_SEED = "backendai-seed.service"


class Transaction:
    """A host's folders, with the services that wait, and the end of their transaction."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("lib/seed/waiting", "at-work", "recipes"):
            (root / folder).mkdir(parents=True)
        for service in ("manager", "agent", "webserver"):
            (root / f"recipes/{service}.toml").touch()

    def wait(self, *services: str) -> None:
        for service in services:
            (self.root / "lib/seed/waiting" / service).touch()

    def end(self) -> list[str]:
        """Return the calls that the end of the transaction makes."""
        text = (PROJECT / "postinst/shell/finish.sh").read_text(encoding="utf-8")
        text = text.replace("/var/lib/backendai", f"{self.root}/lib")
        text = text.replace("/usr/lib/backendai/recipes", f"{self.root}/recipes")
        log = self.root / "log"
        log.touch()
        head = f"root='{self.root}'\nlog='{log}'\n"
        run(["sh", "-c", head + _AROUND + text + "\nstart_waiting\n"])
        return log.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def transaction(tmp_path: Path) -> Transaction:
    """A transaction in which nothing waits."""
    return Transaction(tmp_path)


def test_nothing_is_asked_where_nothing_waits(transaction: Transaction) -> None:
    assert transaction.end() == []


def test_all_start_by_one_run_and_are_awaited(transaction: Transaction) -> None:
    transaction.wait("manager", "webserver")
    assert transaction.end() == [
        "tool seed stores",
        f"run {_SEED}",
        "systemctl start backendai-manager.service",
        "systemctl start backendai-webserver.service",
    ]


def test_what_waits_for_another_starts_by_a_second_run(transaction: Transaction) -> None:
    transaction.wait("manager", "agent")
    assert transaction.end() == [
        "tool seed stores",
        f"run {_SEED}",
        "systemctl start backendai-manager.service",
        "tool seed stores",
        f"run {_SEED}",
        "systemctl start backendai-agent.service",
    ]


def test_a_run_that_has_begun_is_joined_and_not_repeated(transaction: Transaction) -> None:
    transaction.wait("manager")
    (transaction.root / "at-work" / _SEED).touch()
    assert transaction.end() == ["tool seed stores", f"systemctl start {_SEED}"]


def test_the_package_manager_does_not_wait_for_a_store(transaction: Transaction) -> None:
    transaction.wait("manager", "webserver")
    (transaction.root / "away").touch()
    assert transaction.end() == ["tool seed stores", f"run {_SEED} --no-block"]


def test_nothing_starts_where_the_host_forbids_it(transaction: Transaction) -> None:
    transaction.wait("manager")
    (transaction.root / "denied").touch()
    assert transaction.end() == []
