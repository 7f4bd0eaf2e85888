"""The commands that report the state of the services of this host."""

import argparse
import json
import math

from backendai_ctl.base.errors import HostError, Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import has_systemd
from backendai_ctl.commands.base import Command, json_argument, print_out, say
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.status.closing import Start, closing
from backendai_ctl.status.follow import Followed, follow
from backendai_ctl.status.outlook import NodeOutlook, predict
from backendai_ctl.status.report import inspect_node, render

_WAIT_SECONDS = 600.0


def _status(options: argparse.Namespace, layout: Layout) -> Status:
    if options.wait is not None:
        return _follow(options, layout)
    node = inspect_node(HostView(layout))
    print_out(json.dumps(node.as_table(), indent=2) + "\n" if options.json else render(node))
    return Status.OK if node.is_up else Status.NOT_READY


def _follow(options: argparse.Namespace, layout: Layout) -> Status:
    """Follow the start; progress goes to stderr, the result to stdout."""
    if not has_systemd(layout):
        raise HostError("no systemd runs here, so no service can come up")

    def predicted() -> NodeOutlook:
        view = HostView(layout)
        return predict(view, inspect_node(view))

    followed = follow(predicted, say, seconds=options.wait)
    node = inspect_node(HostView(layout))
    if options.json:
        table = {**node.as_table(), "wait": followed.as_table()}
        print_out(json.dumps(table, indent=2) + "\n")
    else:
        print_out(render(node))
    _tell_obstacles(followed)
    return followed.status


def _tell_obstacles(followed: Followed) -> None:
    if followed.status is Status.OK:
        return
    after = f"after {followed.seconds:.0f} s"
    if followed.status is Status.TIMEOUT:
        say(f"error: not all is up {after}")
    else:
        say(f"error: not all is up, and waiting longer does not help ({after})")
    for obstacle in followed.outlook.obstacles:
        say(f"  {obstacle.service}: {obstacle}")
        if obstacle.hint:
            say(f"    hint: {obstacle.hint}")


def _summary_of_node(options: argparse.Namespace, layout: Layout) -> Status:
    view = HostView(layout)
    node = inspect_node(view)
    start = Start(has_systemd=has_systemd(layout), is_allowed=not options.not_started)
    print_out(closing(view, node, predict(view, node), start))
    return Status.OK


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)
    parser.add_argument(
        "--wait",
        nargs="?",
        type=_seconds,
        const=_WAIT_SECONDS,
        metavar="SECONDS",
        help="wait until the stores are filled and all that is enabled is up, for 600 s by default;"
        " 69: waiting longer does not help, 75: time is over",
    )


def _summary_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--not-started", action="store_true", help="this host forbids packages to start services"
    )


COMMANDS = (
    Command(
        name="status",
        about="show every service of this host; 0 if all that are enabled are up",
        run=_status,
        add_arguments=_status_arguments,
    ),
    Command(
        name="summary",
        about="print what starts by itself and what to do next; an installation ends with it",
        run=_summary_of_node,
        add_arguments=_summary_arguments,
    ),
)
