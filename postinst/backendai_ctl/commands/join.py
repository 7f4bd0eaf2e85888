"""The commands by which a node joins a cluster: an invite on the first node, then `join`."""

import argparse
import contextlib
import io
import select
import sys

from backendai_ctl.base.account import require_root
from backendai_ctl.base.errors import InputError, Status, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import has_systemd
from backendai_ctl.commands.base import Command, print_out, say
from backendai_ctl.commands.configuration import configure_service
from backendai_ctl.commands.joining import follow_invite, make_follower, start_services
from backendai_ctl.join.follow import asked_line, read_line_file
from backendai_ctl.join.gather import Gathering
from backendai_ctl.join.offer import Offer, hand_over, offer_by_unit, own_address
from backendai_ctl.join.roles import load_role
from backendai_ctl.join.state import Pending

_MAX_MINUTES = 1440
_STDIN = "-"
_MAX_CHARS = 4096
_PIPE_WAIT_S = 2.0  # what writes the line is started with this command


def _invite(options: argparse.Namespace, layout: Layout) -> Status:
    if not options.as_caller:
        require_root("invite other nodes")
    if not 1 <= options.minutes <= _MAX_MINUTES:
        raise InputError(f"--minutes {options.minutes}: from 1 to {_MAX_MINUTES}")
    gathering = Gathering(
        layout=layout,
        role=load_role(layout, options.role),
        host=own_address(layout, options.address),
        keeps_loopback=options.keep_loopback,
    )
    if has_systemd(layout) and not (options.foreground or options.handover):
        gathering.run()  # reports what is in the way, here rather than in the journal
        line = offer_by_unit(_unit_words(options, gathering), gathering.role, options.minutes)
        _publish(line, options, gathering)
        return Status.OK
    return _serve(options, layout, gathering)


def _serve(options: argparse.Namespace, layout: Layout, gathering: Gathering) -> Status:
    offer = Offer(
        layout=layout, gathering=gathering, minutes=options.minutes, port=options.port, say=say
    )
    if not options.handover:
        end = offer.serve(lambda line: _publish(line, options, gathering))
    else:
        try:
            end = offer.serve(lambda line: hand_over(options.handover, {"line": line}))
        except TargetError as error:
            hand_over(options.handover, {"error": error.message, "hint": error.hint})
            raise
    say(f"the invite has ended: {end.value}")
    return Status.OK


def _unit_words(options: argparse.Namespace, gathering: Gathering) -> list[str]:
    words = ["/usr/bin/backendai-ctl", "invite", "--role", options.role]
    words += ["--minutes", str(options.minutes), "--address", gathering.host]
    words += ["--port", str(options.port)] if options.port is not None else []
    return words + (["--keep-loopback"] if options.keep_loopback else [])


def _publish(line: str, options: argparse.Namespace, gathering: Gathering) -> None:
    say(
        f"one node of the role {options.role} can join within {options.minutes} min, by the line"
        f" below, if it reaches {gathering.host}; whoever has the line gets its secrets:"
        " sudo backendai-ctl join"
    )
    print_out(f"{line}\n")


def _join(options: argparse.Namespace, layout: Layout) -> Status:
    if not options.as_caller:
        require_root("join a cluster")
    line = _line(options, layout)
    if options.fetch:
        if line is not None:
            make_follower(options, layout, options.address).fetch(line)
        return Status.OK
    followed = follow_invite(options, layout, line, configure_service, address=options.address)
    if followed is None:
        say("this node has joined by this invite already")
        return Status.OK
    start_services(layout, followed)
    say(
        f"this node has joined as {followed.role.name}; to see it come up:"
        " sudo backendai-ctl status --wait"
    )
    return Status.OK


def _line(options: argparse.Namespace, layout: Layout) -> str | None:
    """Return the line, from wherever the admin gives it; None to continue an earlier run."""
    if options.file:
        return read_line_file(options.file)
    if options.line and options.line != _STDIN:
        say(
            "warning: the line is in your shell's history, and users of this host have seen it;"
            " it opens nothing more once it is used"
        )
        return str(options.line)
    asked = asked_line(layout)
    if asked:
        return asked
    pending = Pending.load(layout)
    if not options.line and pending is not None and pending.payload is not None:
        return _piped_line()
    if sys.stdin.isatty():
        say("paste the line that `backendai-ctl invite` has printed:")
        return sys.stdin.readline(_MAX_CHARS)
    return sys.stdin.read(_MAX_CHARS)


def _piped_line() -> str | None:
    """Return the line that is piped in, None if there is none: then the earlier run continues.

    A pipe may stay open and empty for ever, as ssh's does.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return None
    with contextlib.suppress(io.UnsupportedOperation):  # not of the system
        if not select.select([sys.stdin.fileno()], [], [], _PIPE_WAIT_S)[0]:
            return None
    return sys.stdin.read(_MAX_CHARS).strip() or None


def _invite_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--role", required=True, metavar="ROLE", help="agent, storage, manager or web"
    )
    parser.add_argument(
        "--minutes", type=int, default=30, metavar="N", help="how long it is open; 30 by default"
    )
    parser.add_argument(
        "--address", default="", metavar="HOST", help="of this node, as the new one reaches it"
    )
    parser.add_argument(
        "--port", type=int, metavar="PORT", help="to serve at; by default a free one of 6090-6099"
    )
    parser.add_argument(
        "--keep-loopback",
        action="store_true",
        help="bring stores on loopback as they are: every node has a tunnel of its own to them",
    )
    parser.add_argument(
        "--foreground", action="store_true", help="serve in this process rather than in a unit"
    )
    parser.add_argument("--handover", default="", help=argparse.SUPPRESS)


def _join_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "line",
        nargs="?",
        metavar="LINE",
        help="the line; better by stdin or a file, because arguments are seen by others",
    )
    parser.add_argument("--file", default="", metavar="FILE", help="a file with the line")
    parser.add_argument(
        "--address", default="", metavar="HOST", help="of this node, as the others reach it"
    )
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="only get what the invite brings, for the next run of configure or join",
    )


COMMANDS = (
    Command(
        name="invite",
        about="print a line by which one node can join this cluster, once, within minutes",
        run=_invite,
        add_arguments=_invite_arguments,
    ),
    Command(
        name="join",
        about="join a cluster by the line of an invite, read from stdin: get answers and secrets,"
        " configure and start what is installed here",
        run=_join,
        add_arguments=_join_arguments,
    ),
)
