"""The guide on high availability: its commands, and what a user notices when a part fails."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import httpx
import pytest

from builder.verify.hosts import Host
from tests.e2e.ha import NODES, HaSet, open_set
from tests.e2e.nodes import Login, World, evidence_folder
from tests.e2e.outage import Outage, User
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full]

_RECOVERY_TIMEOUT_S = 400
_CASE = "high-availability"


@dataclass(kw_only=True)
class Trial:
    """One user who is logged in, one who logs in all the time, and what they notice."""

    ha: HaSet
    user: User
    session: httpx.Client
    steps: Steps
    noticed: dict[str, Outage] = field(default_factory=dict)

    @contextmanager
    def fault(self, title: str) -> Iterator[None]:
        """Something fails in the block; afterwards all works again, without repair."""
        since = time.monotonic()
        yield
        outage = self.user.notice(since, timeout=_RECOVERY_TIMEOUT_S)
        self.noticed[title] = outage
        self.steps.say(f"{title}: {outage}")
        self.check_session()

    def check_session(self) -> None:
        """The login of before all faults is one still, and its requests are answered."""
        answer = self.session.post("/server/login-check", json={})
        assert answer.json()["authenticated"] is True, answer.text
        answer = self.session.post("/func/admin/gql", json={"query": "{ domains { name } }"})
        assert {"name": "default"} in answer.json()["data"]["domains"], answer.text

    def whole_again(self) -> None:
        """Nothing is amiss before the next fault."""
        ha = self.ha
        ha.until("both replicas follow", lambda: ha.replicas("n1") == len(NODES) - 1)
        ha.until("the doctor is content", lambda: not any(map(ha.members, NODES)))
        for name in NODES:
            ha.nodes[name].wait_for("manager", "webserver", "graphql")

    def keep(self) -> None:
        """Write what was measured where evidence is."""
        folder = evidence_folder(_CASE, "measured")
        folder.mkdir(parents=True, exist_ok=True)
        found = {title: asdict(outage) for title, outage in self.noticed.items()}
        (folder / "outages.json").write_text(json.dumps(found, indent=2) + "\n")


@contextmanager
def open_trial(ha: HaSet, login: Login, steps: Steps) -> Iterator[Trial]:
    """Users of the set, before anything fails."""
    user = User(url=ha.url, email=login.email, password=login.password)
    with user, httpx.Client(base_url=ha.url, trust_env=False, timeout=60) as session:
        assert user.log_in(session) == ""
        trial = Trial(ha=ha, user=user, session=session, steps=steps)
        trial.check_session()
        with trial.fault("nothing"):
            pass
        assert not trial.noticed["nothing"].failed
        try:
            yield trial
        finally:
            trial.keep()


def kill(host: Host, unit: str) -> None:
    """It dies, and stays away."""
    host.run(f"systemctl kill --signal=KILL {unit}; systemctl stop {unit}")


def lose_a_manager(trial: Trial) -> None:
    """A manager dies and stays away; the proxy has the others."""
    host = trial.ha.nodes["n2"].host
    with trial.fault("a manager"):
        kill(host, "backendai-manager")
    host.run(["systemctl", "start", "backendai-manager"], timeout=400)
    trial.whole_again()


def lose_valkey(trial: Trial) -> None:
    """The server that takes writes dies; the Sentinels make another one that."""
    ha = trial.ha
    lost = ha.valkey_master("n1")
    left = next(name for name in NODES if name != lost)
    with trial.fault("Valkey's master"):
        kill(ha.nodes[lost].host, "valkey-server")
    assert ha.valkey_master(left) != lost
    ha.nodes[lost].host.run(["systemctl", "start", "valkey-server"])
    trial.whole_again()


def lose_etcd(trial: Trial) -> None:
    """The leader dies; the others elect one."""
    ha = trial.ha
    lost = ha.etcd_leader("n1")
    left = next(name for name in NODES if name != lost)
    with trial.fault("etcd's leader"):
        kill(ha.nodes[lost].host, "etcd")
    assert ha.etcd_leader(left) not in ("", lost)
    assert "2 of 3 members of etcd answer" in ha.members(left)
    ha.nodes[lost].host.run(["systemctl", "start", "etcd"])
    trial.whole_again()


def lose_postgresql(trial: Trial) -> None:
    """The primary dies; the standby becomes one by the guide's command, and the roles change."""
    ha = trial.ha
    with trial.fault("PostgreSQL's primary"):
        ha.run("n1", "pg_ctlcluster 17 main stop --mode immediate || true")
        ha.do("n2", "on n2: the standby becomes the primary")
    assert "does not answer" in ha.members("n3")
    assert ha.nodes["n3"].host.run(["backendai-ctl", "seed", "status"]).status == 0
    ha.do("n1", "on n1: the former primary becomes the standby")
    trial.whole_again()


def lose_a_node(trial: Trial) -> None:
    """A whole node is cut off: its manager, webserver, etcd, Valkey and Sentinel at once."""
    host = trial.ha.nodes["n3"].host
    with trial.fault("a whole node"):
        host.run("ip route show default >/root/route && ip link set eth0 down")
    assert "does not answer" in trial.ha.members("n1")
    host.run("ip link set eth0 up && ip route add $(cat /root/route)")
    trial.whole_again()


def test_high_availability_as_documented(world: World, steps: Steps) -> None:
    with open_set(world, steps) as ha:
        (login,) = {ha.nodes[name].login() for name in NODES}
        with open_trial(ha, login, steps) as trial:
            for lose in (lose_a_manager, lose_valkey, lose_etcd, lose_postgresql, lose_a_node):
                with steps(str(lose.__doc__).partition(";")[0]):
                    lose(trial)
        for node in ha.nodes.values():
            assert not node.host.failed_units()
