"""The commands about upgrades: what would happen, and doing it."""

import argparse
import json
import os
from functools import partial
from pathlib import Path

from backendai_target.commands.base import Command, answers, print_out, say
from backendai_target.errors import RefusedError, Status, TargetError
from backendai_target.files import exclusive
from backendai_target.layout import Layout
from backendai_target.recipe import Answers
from backendai_target.seed.accounts import private_writer
from backendai_target.seed.data import seeded_services
from backendai_target.upgrade.check import Examiner, Result, Verdict
from backendai_target.upgrade.dump import Dumper
from backendai_target.upgrade.migrate import Migration
from backendai_target.upgrade.opened import open_session, use_own_python
from backendai_target.upgrade.paths import allow_file, failure_note, upgrade_folder
from backendai_target.upgrade.units import start_stopped, stop_for_work

_ALLOW = "BACKENDAI_ALLOW_UPGRADE"


def dumper_of(given: Answers) -> Dumper:
    """How this site wants its dumps."""
    return Dumper(
        folder=Path(str(given.value("backup.folder"))),
        keep=int(str(given.value("backup.keep"))),
        seconds=float(str(given.value("backup.timeout"))),
    )


def _check(options: argparse.Namespace, layout: Layout) -> Status:
    services = _named(options, layout)
    if not services:
        return Status.OK
    use_own_python(layout)
    given = answers(options, layout)
    with open_session(layout, given, say, services) as (session, filled):
        for service, problem in session.unconfigured.items():
            say(f"{service}: left out: {problem}")
        results = [
            result
            for one in filled
            for result in Examiner(
                one=one,
                dumper=dumper_of(given),
                to=options.to or "",
                from_lines=tuple((options.from_lines or "").split()),
            ).examine()
        ]
    if options.json:
        print_out(json.dumps({"checks": [one.as_table() for one in results]}, indent=1) + "\n")
    else:
        shown = [one for one in results if not options.brief or one.verdict is not Verdict.FINE]
        print_out("".join(f"{_told(one)}\n" for one in shown))
    refused = [one for one in results if one.verdict is Verdict.REFUSE]
    if not refused:
        return Status.OK
    if _is_allowed(layout):
        say("going on all the same, as it was allowed")
        return Status.OK
    raise RefusedError(
        "this would destroy data, or make it unusable",
        hint=f"to go on all the same: {_ALLOW}=1, or: sudo touch {allow_file(layout)}",
    )


def _told(result: Result) -> str:
    return f"{result.service}  {result.check:<9} {result.verdict.value:<8} {result.detail}"


def _is_allowed(layout: Layout) -> bool:
    return os.environ.get(_ALLOW) == "1" or allow_file(layout).exists()


def _upgrade(options: argparse.Namespace, layout: Layout) -> Status:
    services = _named(options, layout)
    if not services:
        return Status.OK
    use_own_python(layout)
    given = answers(options, layout)
    private_writer().ensure_folder(upgrade_folder(layout), mode=0o755)
    done: dict[str, str] = {}
    failed: list[TargetError] = []
    with exclusive(upgrade_folder(layout)), open_session(layout, given, say, services) as opened:
        for one in opened[1]:
            service = one.data.service
            failure = failure_note(layout, service)
            migration = Migration(one=one, dumper=dumper_of(given), say=say)
            try:
                migrated = migration.run(before=partial(stop_for_work, layout, service))
            except TargetError as error:
                # It cannot work with this database, nor may what is left of the old release.
                stop_for_work(layout, service)
                private_writer().replace(failure, f"{error.message}\n")
                failed.append(error)
                continue
            failure.unlink(missing_ok=True)
            done[service] = "migrated" if migrated else "nothing to migrate"
            if not options.no_start:
                start_stopped(layout, service, say)
    for other in failed[1:]:
        say(f"error: {other.message}")
    if options.json:
        print_out(json.dumps({"done": done, "failed": [one.message for one in failed]}) + "\n")
    if failed:
        raise failed[0]
    for service, outcome in done.items():
        say(f"{service}: {outcome}")
    return Status.OK


def _named(options: argparse.Namespace, layout: Layout) -> list[str]:
    """The services with a database, or those of them that were named."""
    known = seeded_services(layout)
    return [one for one in known if one in options.service] if options.service else known


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
