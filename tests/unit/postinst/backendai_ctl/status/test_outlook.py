"""What becomes of a service: judged from its unit, the notes and the run that fills the stores."""

import socket
from collections.abc import Callable, Iterator, Mapping

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.model import Finding, State, StepResult
from backendai_ctl.seed.state import Report, save_report
from backendai_ctl.status.outlook import NodeOutlook, Outlook, Seeding, predict
from backendai_ctl.status.report import inspect_node

from tests.unit.postinst.host_views import RUNNING, STOPPED, host_view

Configured = Callable[..., list[str]]
MANAGER = "backendai-manager.service"
SEED = "backendai-seed.service"
RETRY = "backendai-seed-retry.timer"
AT_WORK = {SEED: {"LoadState": "loaded", "ActiveState": "activating"}}
RETRIED = {RETRY: {"LoadState": "loaded", "ActiveState": "active"}}
MASKED = {SEED: {"LoadState": "masked", "ActiveState": "inactive"}}


@pytest.fixture
def port(layout: Layout, configured: Configured) -> Iterator[int]:
    """A manager that is configured as made, and answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = int(server.getsockname()[1])
        layout.site.write_text(f'[manager]\naddress = "127.0.0.1:{found}"\n')
        configured()
        yield found


def judge(
    layout: Layout, state: Mapping[str, str], others: Mapping[str, Mapping[str, str]] | None = None
) -> NodeOutlook:
    host = host_view(layout, units={MANAGER: state, **(others or {})})
    return predict(host, inspect_node(host))


def note_waiting(layout: Layout) -> None:
    """As the package does before the stores are filled."""
    folder = layout.state / "seed/waiting"
    folder.mkdir(parents=True)
    (folder / "manager").touch()


def fill(layout: Layout, *, complete: bool = True) -> None:
    """What the last run of seeding came to."""
    (layout.state / "seed").mkdir(exist_ok=True)
    save_report(layout, Report(complete=complete, results=[]))


@pytest.mark.usefixtures("port")
def test_a_host_is_up_once_its_stores_are_filled_too(layout: Layout) -> None:
    fill(layout, complete=False)
    node = judge(layout, RUNNING, AT_WORK)
    assert [service.outlook for service in node.services] == [Outlook.UP]
    assert not node.is_done
    assert not node.is_held_up
    assert [obstacle.service for obstacle in node.obstacles] == ["stores"]
    fill(layout)
    node = judge(layout, RUNNING)
    assert node.seeding is Seeding.DONE
    assert node.is_done
    assert node.obstacles == []


@pytest.mark.usefixtures("port")
def test_what_changed_since_the_stores_were_filled_counts(layout: Layout) -> None:
    fill(layout)
    (layout.recipes / "agent.toml").write_text((layout.recipes / "manager.toml").read_text())
    assert judge(layout, RUNNING, AT_WORK).seeding is Seeding.RUNNING


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("others", "seeding", "outlook", "is_held_up"),
    [
        (AT_WORK, Seeding.RUNNING, Outlook.WAITING, False),
        (RETRIED, Seeding.RETRIED, Outlook.WAITING, False),
        ({}, Seeding.STUCK, Outlook.STUCK, True),
        (MASKED, Seeding.MASKED, Outlook.STUCK, True),
        # Between a run that failed and its timer there may be just a job.
        ({SEED: {"ActiveState": "failed", "Job": "7"}}, Seeding.RUNNING, Outlook.WAITING, False),
    ],
)
def test_a_service_that_waits_for_its_stores(
    layout: Layout,
    others: Mapping[str, Mapping[str, str]],
    seeding: Seeding,
    outlook: Outlook,
    *,
    is_held_up: bool,
) -> None:
    note_waiting(layout)
    node = judge(layout, STOPPED, others)
    assert (node.seeding, node.services[0].outlook) == (seeding, outlook)
    assert node.is_held_up is is_held_up
    assert not node.is_done


@pytest.mark.usefixtures("port")
def test_answers_that_changed_after_seeding_have_their_own_next_command(layout: Layout) -> None:
    fill(layout)
    layout.secrets.mkdir(exist_ok=True)
    (layout.secrets / "manager-rpc.key").write_text("taken at the agent's start\n")
    node = judge(layout, RUNNING)
    assert node.seeding is Seeding.CHANGED
    assert node.is_held_up
    (obstacle,) = node.obstacles
    assert "has changed since" in obstacle.reason
    assert obstacle.hint == "sudo backendai-ctl seed apply"


def hold(layout: Layout) -> None:
    """A run that found this node's secrets to be another cluster's, and did nothing else."""
    other = Finding(state=State.DIFFERS, blocks=True, detail="not the cluster's: a", remedy="do")
    step = StepResult.of("cluster", "secrets", other)
    rest = StepResult.of("cluster", "redis", Finding.blocked_by("secrets"))
    save_report(layout, Report(complete=False, results=[step, rest]))


@pytest.mark.usefixtures("configured")
def test_waiting_ends_where_an_admin_has_to_decide(layout: Layout) -> None:
    note_waiting(layout)
    hold(layout)
    node = judge(layout, STOPPED, RETRIED)
    assert node.is_held_up
    assert node.states["stores"] == "not filled, and left to you: secrets: not the cluster's: a"
    assert node.obstacles[-1].hint == "do"
    assert not judge(layout, STOPPED, {**RETRIED, **AT_WORK}).is_held_up
    # What the admin has changed since is tried again.
    layout.secrets.mkdir()
    (layout.secrets / "a").write_text("the cluster's\n")
    node = judge(layout, STOPPED, RETRIED)
    assert node.seeding is Seeding.RETRIED
    assert not node.is_held_up


@pytest.mark.usefixtures("configured")
def test_a_difference_that_keeps_nothing_from_running_holds_nothing_up(layout: Layout) -> None:
    note_waiting(layout)
    other = StepResult(group="cluster", step="etcd manager", state=State.DIFFERS)
    late = StepResult(group="cluster", step="redis", state=State.WAITING, detail="no answer")
    save_report(layout, Report(complete=False, results=[other, late]))
    assert judge(layout, STOPPED, RETRIED).seeding is Seeding.RETRIED


@pytest.mark.parametrize(
    ("state", "outlook", "words"),
    [
        ({**STOPPED, "UnitFileState": "masked"}, Outlook.OFF, "masked"),
        ({**STOPPED, "UnitFileState": "disabled"}, Outlook.OFF, "disabled"),
        ({**RUNNING, "ActiveState": "activating"}, Outlook.STARTING, ""),
        ({**STOPPED, "Job": "12"}, Outlook.STARTING, ""),
        (
            {**RUNNING, "ActiveState": "activating", "NRestarts": "3"},
            Outlook.STARTING,
            "restarted 3 times",
        ),
        ({**STOPPED, "ActiveState": "failed"}, Outlook.STUCK, ""),
        # As `systemctl show` prints it where no job is queued.
        ({**STOPPED, "Job": ""}, Outlook.STUCK, ""),
    ],
)
@pytest.mark.usefixtures("port")
def test_a_unit(layout: Layout, state: Mapping[str, str], outlook: Outlook, words: str) -> None:
    fill(layout)
    (service,) = judge(layout, state).services
    assert service.outlook is outlook
    assert words in service.reason
    assert bool(service.hint) is (outlook is Outlook.STUCK)


def test_running_and_silent_is_starting(layout: Layout, configured: Configured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    layout.site.write_text(f'[manager]\naddress = "127.0.0.1:{free}"\n')
    configured()
    fill(layout)
    (service,) = judge(layout, RUNNING).services
    assert service.outlook is Outlook.STARTING
    assert f"does not answer on 127.0.0.1:{free}" in service.reason


def test_without_its_configuration_it_is_stuck(layout: Layout) -> None:
    (service,) = judge(layout, STOPPED).services
    assert service.outlook is Outlook.STUCK
    assert service.hint == "sudo backendai-ctl configure manager"


@pytest.mark.usefixtures("port")
def test_a_failed_upgrade_is_stuck_unless_it_is_retried(layout: Layout) -> None:
    fill(layout)
    note = layout.failure_note("manager")
    note.parent.mkdir()
    note.write_text("no room\n")
    (service,) = judge(layout, STOPPED).services
    assert (service.outlook, service.hint) == (Outlook.STUCK, "sudo backendai-ctl upgrade manager")
    (note.parent / "manager.pending").touch()
    (service,) = judge(layout, STOPPED).services
    assert service.outlook is Outlook.WAITING


@pytest.mark.usefixtures("port")
def test_a_masked_seeding_is_the_admins_and_holds_nothing_up(layout: Layout) -> None:
    node = judge(layout, RUNNING, MASKED)
    assert node.is_done
    assert "left to you" in node.states["stores"]
