"""The commands that seed the stores: plan, apply, status, and the scan for images."""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack

from backendai_ctl.base import systemd
from backendai_ctl.base.account import require_root
from backendai_ctl.base.errors import NotReadyError, Status
from backendai_ctl.base.files import exclusive, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands.base import (
    Command,
    action_adder,
    answers,
    print_out,
    run_action,
    say,
)
from backendai_ctl.commands.upgrade import finish_of
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.registries.advise import take_registries
from backendai_ctl.seed import images
from backendai_ctl.seed.apply import Run
from backendai_ctl.seed.data import load_seed_data, seeded_services
from backendai_ctl.seed.groups import groups_of, is_shared_filled
from backendai_ctl.seed.interpreter import reexec_in_service_python
from backendai_ctl.seed.model import State, StepResult
from backendai_ctl.seed.plan import plan, render
from backendai_ctl.seed.session import SeededDatabase, Session
from backendai_ctl.seed.starting import held_starts, start_waiting, stop_held
from backendai_ctl.seed.state import (
    Report,
    failed,
    is_complete,
    is_first,
    load_state,
    results_of,
    save_report,
)
from backendai_ctl.seed.stores import find_faults, stores_of, wait_for
from backendai_ctl.status.outlook import Seeding, predict_seeding
from backendai_ctl.upgrade.pending import pending_upgrades

_LOCK_SECONDS = 300.0
_START_SECONDS = 120.0
_NEVER = "not filled yet: sudo backendai-ctl seed apply\n"


def _plan(options: argparse.Namespace, layout: Layout) -> Status:
    reexec_in_service_python(layout, most_called=True)
    session = _session(options, layout)
    with session.open_databases() as databases:
        results = plan(groups_of(session, databases, lock_seconds=0))
    table = {"steps": [result.as_table() for result in results]}
    print_out(json.dumps(table, indent=1) + "\n" if options.json else render(results))
    return Status.OK


def _apply(options: argparse.Namespace, layout: Layout, begin: float | None = None) -> Status:
    if options.if_needed and is_complete(layout) and not pending_upgrades(layout):
        return _finish(options, layout, {})
    reexec_in_service_python(layout, most_called=True)
    begin = time.monotonic() if begin is None else begin
    session = _session(options, layout)
    wait = str(session.answers.value("seed.wait")) if options.wait is None else options.wait
    with ExitStack() as stack:
        stack.enter_context(exclusive(layout.seed_state, on_wait=_say_waiting))
        _begin(session)
        held = stack.enter_context(held_starts(layout, say, may_start=not options.no_start))
        databases = stack.enter_context(session.open_databases())
        works = _stores_work(session, databases, float(wait), meanwhile=held.begin)
        upgraded = options.no_start or _upgrade(options, layout, session, databases)
        run = Run(say=say)
        results = run.apply(groups_of(session, databases, lock_seconds=_LOCK_SECONDS))
        notes = [note for database in databases for note in _notes(database, results)]
        took = time.monotonic() - begin
        late = _session(options, layout).configs.keys() - session.configs.keys()
        held.are_filled = not failed(results) and works and upgraded
        complete = held.are_filled and not late
        report = Report(complete=complete, results=results, notes=notes, seconds=took)
        save_report(layout, report)
        scans = [
            database
            for database in databases
            if complete and database.data.rescan and _lacks_images(database)
        ]
    if late:  # their packages leave them to an active run; stores may have come late
        say(f"configured meanwhile: {', '.join(sorted(late))}")
        return _apply(options, layout, begin)
    if scans and not options.no_start:
        systemd.ask(layout, "start", images.UNIT)
    if not complete:
        if not options.no_start and is_shared_filled(results):
            # A service that lacks a store must not keep others from starting.
            start_waiting(layout, say, is_filled=False)
        raise NotReadyError(
            "not everything is filled; it is tried again by itself, or now by:"
            " sudo backendai-ctl seed apply",
            hint="`backendai-ctl seed status` shows what is missing",
        )
    say(f"the stores are filled, after {took:.1f} s")
    return _finish(options, layout, {})


def _say_waiting() -> None:
    say("another run of this command is active; this one waits for its end")


def _begin(session: Session) -> None:
    for service, problem in session.unconfigured.items():
        say(f"{service}: left out: {problem}")
    if any(recipe.uses_registries for recipe in session.recipes.values()):
        take_registries(session.layout, session.answers.site, say)


def _stores_work(
    session: Session,
    databases: list[SeededDatabase],
    wait: float,
    *,
    meanwhile: Callable[[], None],
) -> bool:
    """Wait for the stores, and try the services' operations in them; report problems."""
    for database in databases:
        if is_first(session.layout, database.data.service):
            database.import_commands()
    away = wait_for(stores_of(session, databases), wait, say, meanwhile=meanwhile)
    for store in away:
        say(f"{store} does not answer")
    faults = [] if away else find_faults(session)
    for fault in faults:
        say(f"error: {fault.message}")
        if fault.hint:
            say(f"hint: {fault.hint}")
    return not away and not faults


def _upgrade(
    options: argparse.Namespace, layout: Layout, session: Session, databases: list[SeededDatabase]
) -> bool:
    """Complete interrupted and postponed upgrades; return whether none still waits."""
    if not pending_upgrades(layout):
        return True
    outcome = finish_of(options, layout, session.answers, wait=False).run(session, databases)
    for service, error in {**outcome.failed, **outcome.waiting}.items():
        say(f"{service} is not upgraded: {error.message}")
    return not outcome.waiting


def _finish(options: argparse.Namespace, layout: Layout, left: dict[str, str]) -> Status:
    if not options.no_start:
        left = start_waiting(layout, say)
        stop_held(layout, left)
    for service, reason in left.items():
        say(f"{service} is not started yet: {reason}")
    return Status.NOT_READY if left else Status.OK


def _notes(database: SeededDatabase, results: list[StepResult]) -> list[str]:
    """Return the corrections to the release's fixtures, if this or an earlier run used them."""
    if not database.profile.fixtures or any(result.state is State.DIFFERS for result in results):
        return []
    return [f"{database.data.service}: normalised {text}" for text in database.fixtures.normalised]


def _lacks_images(database: SeededDatabase) -> bool:
    return bool(images.Catalogue(database=database).unscanned())


def _status(options: argparse.Namespace, layout: Layout) -> Status:
    state = load_state(layout)
    catalogue = images.load(layout)
    # After an upgrade, the last run's result is that of the former packages.
    is_running = predict_seeding(HostView(layout)) is Seeding.RUNNING
    if options.json:
        found = {**(state or {"complete": False}), "running": is_running}
        print_out(json.dumps({**found, "images": catalogue}, indent=1) + "\n")
    else:
        print_out("being filled now; the last run:\n" if is_running else "")
        print_out(_as_text(state, catalogue) if state else _NEVER)
    is_filled = bool(state and state.get("complete")) and not is_running
    return Status.OK if is_filled else Status.NOT_READY


def _as_text(state: dict[str, object], catalogue: dict[str, object] | None) -> str:
    verdict = "filled" if state.get("complete") else "not filled"
    text = f"{verdict} at {state.get('at')}, after {state.get('seconds')} s\n\n"
    text += render(results_of(state))
    notes = state.get("notes")
    text += "".join(f"{note}\n" for note in (notes if isinstance(notes, list) else []))
    if catalogue:
        text += f"images: {catalogue['state']} at {catalogue['at']}: {catalogue['detail']}\n"
    return text


def _rescan(options: argparse.Namespace, layout: Layout) -> Status:
    reexec_in_service_python(layout, most_called=True)
    for service in seeded_services(layout):
        if load_seed_data(layout, service).rescan:
            # A login comes before the images, and both import the whole of the release.
            systemd.wait_while_starting(systemd.unit_of(service), _START_SECONDS)
    session = _session(options, layout)
    private_writer().ensure_folder(layout.scan_state, mode=0o755)
    with (
        exclusive(layout.scan_state, on_wait=_say_waiting),
        session.open_databases() as databases,
    ):
        try:
            for database in databases:
                if database.data.rescan:
                    say(images.Catalogue(database=database).scan())
        except NotReadyError:
            systemd.ask(layout, "start", images.RETRY)
            raise
    systemd.ask(layout, "stop", images.RETRY)
    return Status.OK


def _stores(options: argparse.Namespace, layout: Layout) -> Status:
    session = _session(options, layout)
    if session.unconfigured:  # the transaction's last package seeds them
        return Status.NOT_READY
    with session.open_databases() as databases:
        away = [store for store in stores_of(session, databases) if not store.is_up()]
    if away:
        raise NotReadyError("; ".join(f"{store} does not answer" for store in away))
    return Status.OK


def _session(options: argparse.Namespace, layout: Layout) -> Session:
    if not options.as_caller:
        require_root("read and seed the stores")
    return Session.open(layout, answers(options, layout), say)


def _arguments(parser: argparse.ArgumentParser) -> None:
    action = action_adder(parser)
    show = action("plan", "show what is there and what would be created; changes nothing", _plan)
    show.add_argument("--json", action="store_true", help="for programs")
    do = action("apply", "create what is missing, and start what waits for it", _apply)
    do.add_argument(
        "--wait", type=float, metavar="SECONDS", help="for the stores; default: seed.wait"
    )
    do.add_argument(
        "--if-needed", action="store_true", help="do nothing where the last run left nothing to do"
    )
    do.add_argument("--no-start", action="store_true", help="start no service afterwards")
    status = action("status", "show what the last run came to; asks no store", _status)
    status.add_argument("--json", action="store_true", help="for programs")
    action("stores", "fail unless all is configured and the stores to be filled answer", _stores)
    action("rescan", "scan the configured registries for images", _rescan)


COMMANDS = (
    Command(
        name="seed",
        about="fill the stores: database, etcd, first accounts",
        run=run_action,
        add_arguments=_arguments,
    ),
)
