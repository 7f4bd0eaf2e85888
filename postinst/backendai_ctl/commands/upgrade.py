"""The commands for upgrades: check one, and apply it."""

import argparse
import json
import os
from functools import partial
from pathlib import Path

from backendai_ctl.answers.resolve import Answers
from backendai_ctl.base import systemd
from backendai_ctl.base.errors import RefusedError, Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands.addon import sync_installed
from backendai_ctl.commands.base import Command, answers, print_out, say
from backendai_ctl.seed.data import seeded_services
from backendai_ctl.seed.interpreter import reexec_in_service_python
from backendai_ctl.upgrade.batch import Outcome, migrate_all
from backendai_ctl.upgrade.check import Examiner, Result, Verdict
from backendai_ctl.upgrade.dump import Dumper
from backendai_ctl.upgrade.finish import Finish
from backendai_ctl.upgrade.pending import pending_upgrades
from backendai_ctl.upgrade.session import open_session
from backendai_ctl.upgrade.units import start_stopped
from backendai_ctl.upgrade.worklock import work_lock

_ALLOW = "BACKENDAI_ALLOW_UPGRADE"


def dumper_of(given: Answers) -> Dumper:
    """Return the dumper with this site's settings."""
    return Dumper(
        folder=Path(str(given.value("backup.folder"))),
        keep=int(str(given.value("backup.keep"))),
        seconds=float(str(given.value("backup.timeout"))),
        max_bytes=int(str(given.value("backup.gigabytes"))) * 10**9,
    )


def _check(options: argparse.Namespace, layout: Layout) -> Status:
    services = _named(options, layout)
    if not services:
        return Status.OK
    reexec_in_service_python(layout)
    given = answers(options, layout)
    with open_session(layout, given, say, services) as (session, databases):
        for service, problem in session.unconfigured.items():
            say(f"{service}: left out: {problem}")
        results = [
            result
            for database in databases
            for result in Examiner(
                database=database,
                dumper=dumper_of(given),
                to=options.to or "",
                from_lines=tuple((options.from_lines or "").split()),
            ).examine()
        ]
    if options.json:
        print_out(
            json.dumps({"checks": [result.as_table() for result in results]}, indent=1) + "\n"
        )
    else:
        shown = [
            result for result in results if not options.brief or result.verdict is not Verdict.FINE
        ]
        print_out("".join(f"{_as_text(result)}\n" for result in shown))
    refused = [result for result in results if result.verdict is Verdict.REFUSE]
    if not refused:
        return Status.OK
    if _is_allowed(layout):
        say("going on all the same, as it was allowed")
        return Status.OK
    raise RefusedError(
        "this would destroy data, or make it unusable",
        hint=f"to go on all the same: {_ALLOW}=1, or: sudo touch {layout.allow_upgrade}",
    )


def _as_text(result: Result) -> str:
    return f"{result.service}  {result.check:<9} {result.verdict.value:<8} {result.detail}"


def _is_allowed(layout: Layout) -> bool:
    return os.environ.get(_ALLOW) == "1" or layout.allow_upgrade.exists()


def _upgrade(options: argparse.Namespace, layout: Layout) -> Status:
    services = _named(options, layout)
    if not (pending_upgrades(layout) if options.pending else services):
        return Status.OK
    reexec_in_service_python(layout)
    given = answers(options, layout)
    if options.pending:
        with open_session(layout, given, say, services) as (session, databases):
            outcome = finish_of(options, layout, given, wait=True).run(session, databases)
        _fill_again(layout, outcome)
    else:
        with (
            work_lock(layout),
            open_session(layout, given, say, services) as (_, databases),
        ):
            outcome = migrate_all(layout, databases, dumper_of(given), say)
        for service in () if options.no_start else outcome.done:
            start_stopped(layout, service, say)
    return _ended(options, outcome)


def finish_of(options: argparse.Namespace, layout: Layout, given: Answers, *, wait: bool) -> Finish:
    """Return the run that completes the pending upgrades of this host."""
    return Finish(
        layout=layout,
        dumper=dumper_of(given),
        say=say,
        sync=partial(sync_installed, options, layout),
        wait=wait,
    )


def _fill_again(layout: Layout, outcome: Outcome) -> None:
    """Start the seeding unit in the background, to create what is new in a release.

    It begins with pending upgrades, so it also continues those that could not begin.
    """
    if outcome.waiting and systemd.has_systemd(layout):
        say("what is left is tried again by itself")
    systemd.ask(layout, "restart", "backendai-seed.service")


def _ended(options: argparse.Namespace, outcome: Outcome) -> Status:
    problems = [*outcome.failed.values(), *outcome.waiting.values()]
    if options.json:
        table = {"done": outcome.done, "failed": [problem.message for problem in problems]}
        print_out(json.dumps(table) + "\n")
    for service, text in outcome.done.items():
        say(f"{service}: {text}")
    for other in problems[1:]:
        say(f"error: {other.message}")
    if problems:
        raise problems[0]
    return Status.OK


def _named(options: argparse.Namespace, layout: Layout) -> list[str]:
    """Return the services that have a database, or the named ones among them."""
    known = seeded_services(layout)
    return (
        [service for service in known if service in options.service] if options.service else known
    )


def _services(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "service", metavar="SERVICE", nargs="*", help="default: all that have a database"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    _services(parser)
    parser.add_argument("--to", metavar="VERSION", help="the version about to be installed")
    parser.add_argument(
        "--from-lines", metavar="LINES", help="the release lines that it can be upgraded from"
    )
    parser.add_argument("--brief", action="store_true", help="only what is not fine")


def _upgrade_arguments(parser: argparse.ArgumentParser) -> None:
    _services(parser)
    parser.add_argument(
        "--no-start", action="store_true", help="leave a service stopped that was stopped for it"
    )
    parser.add_argument(
        "--pending",
        action="store_true",
        help="end what the package manager has begun, and restart what runs the old release",
    )


COMMANDS = (
    Command(
        name="upgrade-check",
        about="say whether an upgrade can go on; changes nothing",
        run=_check,
        add_arguments=_check_arguments,
    ),
    Command(
        name="upgrade",
        about="dump the databases, and migrate them to the installed release",
        run=_upgrade,
        add_arguments=_upgrade_arguments,
    ),
)
