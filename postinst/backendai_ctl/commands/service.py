"""The commands for one service: its port, its stores, its start."""

import argparse
import contextlib
import json
import os
import signal
from collections.abc import Iterator

from backendai_ctl.answers.resolve import Answers, resolve_tree
from backendai_ctl.base.errors import NotReadyError, RefusedError, Status, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.processes import STOP_SIGNALS, repeat_signal, send_signal
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.commands.base import (
    Command,
    answers,
    print_out,
    say,
    service_argument,
)
from backendai_ctl.services.first_start import run_first_start
from backendai_ctl.services.recipe import Recipe, installed_services, load_recipe
from backendai_ctl.stores.ports import wait_until_answering
from backendai_ctl.stores.readiness import check_needs, check_start
from backendai_ctl.stores.service_config import ServiceConfig, as_configured

# Less than the 30 s of the unit, which then sends the signal once more, and waits as long again.
STOP_SECONDS = 25.0


class _StopRequest(Exception):  # noqa: N818 - no error: systemd stops the unit while it starts
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _wait(options: argparse.Namespace, layout: Layout) -> Status:
    main_pid = _main_pid()
    try:
        with _raised_as_request() if main_pid else contextlib.nullcontext():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # held since this began
            address = wait_until_answering(
                layout,
                load_recipe(layout, options.service),
                seconds=options.timeout,
                main_pid=main_pid,
            )
    except _StopRequest as request:
        # systemd has sent it to the main process, too. A failed start is not what was asked for.
        _end(options.service, main_pid or 0, request.number)
        return Status.OK
    say(f"{options.service} answers on {address}")
    return Status.OK


@contextlib.contextmanager
def _raised_as_request() -> Iterator[None]:
    """Raise a signal that stops the unit as a _StopRequest."""

    def handle(number: int, _frame: object) -> None:
        raise _StopRequest(number)

    kept = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _stop(options: argparse.Namespace, _layout: Layout) -> Status:
    main_pid = _main_pid()
    if main_pid is None:
        if "INVOCATION_ID" in os.environ:  # of a unit, whose server has ended by itself
            return Status.OK
        raise RefusedError(
            "only a unit stops its service like this",
            hint=f"sudo systemctl stop {unit_of(options.service)}",
        )
    number = signal.Signals[options.signal]
    send_signal(main_pid, number)
    _end(options.service, main_pid, number)
    return Status.OK


def _end(service: str, main_pid: int, number: int) -> None:
    if not repeat_signal(main_pid, number, seconds=STOP_SECONDS):
        raise NotReadyError(f"{service} has not ended {STOP_SECONDS:g} s after the signal")


def _main_pid() -> int | None:
    """Return the main process of the unit that calls; systemd sets it for what runs beside it."""
    found = os.environ.get("MAINPID", "")
    return int(found) if found.isdigit() else None


def _stop_arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser)
    parser.add_argument("--signal", choices=("SIGINT", "SIGTERM"), default="SIGTERM")


def _wait_arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser)
    parser.add_argument("--timeout", type=float, default=150.0, metavar="SECONDS")


def _port(options: argparse.Namespace, layout: Layout) -> Status:
    check_start(layout, load_recipe(layout, options.service))
    return Status.OK


def _ready(options: argparse.Namespace, layout: Layout) -> Status:
    check_needs(layout, load_recipe(layout, options.service), thorough=True)
    return Status.OK


def _first_start(options: argparse.Namespace, layout: Layout) -> Status:
    run_first_start(layout, load_recipe(layout, options.service), options.arguments)


def _first_start_arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser)
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="of the server, after --")


def _sql(options: argparse.Namespace, layout: Layout) -> Status:
    recipe = load_recipe(layout, options.service)
    print_out(_as_configured(answers(options, layout), layout, recipe).fill(recipe.sql))
    return Status.OK


def _as_configured(found: Answers, layout: Layout, recipe: Recipe) -> Answers:
    """Return the answers as the service reads them; for a recipe of stores, as all services do."""
    services = [recipe.service] if recipe.listens else installed_services(layout)
    for service in services:
        with contextlib.suppress(TargetError):  # if not configured yet, site.toml's hold
            own = load_recipe(layout, service)
            found = as_configured(found, own, ServiceConfig.load(layout, own))
    return found


def _steps(options: argparse.Namespace, layout: Layout) -> Status:
    print_out(answers(options, layout).fill(load_recipe(layout, options.service).steps))
    return Status.OK


def _etcd(options: argparse.Namespace, layout: Layout) -> Status:
    recipe = load_recipe(layout, options.service)
    print_out(json.dumps(resolve_tree(answers(options, layout), recipe.etcd), indent=2) + "\n")
    return Status.OK


COMMANDS = (
    Command(
        name="wait",
        about="wait until the service answers on its port",
        run=_wait,
        add_arguments=_wait_arguments,
    ),
    Command(
        name="stop",
        about="send the service's main process the signal that stops it until it ends; "
        "for its unit",
        run=_stop,
        add_arguments=_stop_arguments,
    ),
    Command(
        name="check-port",
        about="fail where something else holds a port of the service, or a volume is missing",
        run=_port,
        add_arguments=service_argument,
    ),
    Command(
        name="first-start",
        about="run the service's server, which begins once its stores are filled; for its unit",
        run=_first_start,
        add_arguments=_first_start_arguments,
    ),
    Command(
        name="check-stores",
        about="fail unless the service's stores answer and are filled",
        run=_ready,
        add_arguments=service_argument,
    ),
    Command(
        name="sql",
        about="print the SQL that makes the database; it holds the password, so pipe it",
        run=_sql,
        add_arguments=service_argument,
    ),
    Command(
        name="etcd",
        about="print what etcd has to hold for the service as JSON; "
        "it may hold a secret, so pipe it",
        run=_etcd,
        add_arguments=service_argument,
    ),
    Command(
        name="steps",
        about="print what is left to do by hand before the first start",
        run=_steps,
        add_arguments=service_argument,
    ),
)
