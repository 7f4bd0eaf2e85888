"""The commands about volumes: their list, a trial of each, and the check before a start."""

import argparse
import json
from collections.abc import Iterator, Sequence

from backendai_ctl.answers.site import Site, load_site
from backendai_ctl.base.account import require_root
from backendai_ctl.base.errors import HostError, Status, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import table_of
from backendai_ctl.commands.base import (
    Command,
    account,
    action_adder,
    answers,
    json_argument,
    print_out,
    run_action,
    say,
    service_argument,
)
from backendai_ctl.doctor.volume_trials import Result, Verdict, try_volume
from backendai_ctl.seed.groups import grant_volume
from backendai_ctl.seed.interpreter import reexec_in_service_python
from backendai_ctl.seed.session import Session
from backendai_ctl.services.volumes import (
    check_mounts,
    check_volume_answers,
    describe_volume,
    mount_problems,
    needed_mounts,
    recorded_mounts,
    volumes_of,
)

_PROXIES = "volumes/proxies/"
_HEAD = ("VOLUME", "PATH", "BACKEND", "MOUNT", "STATE")


def _list(options: argparse.Namespace, layout: Layout) -> Status:
    site = _load(layout)
    needed = needed_mounts(layout, site)
    problems = mount_problems(layout, needed)
    found = [describe_volume(layout, volume, needed, problems) for volume in volumes_of(site)]
    if options.json:
        print_out(json.dumps({"volumes": found}, indent=2) + "\n")
    else:
        keys = ("name", "path", "backend", "mount", "state")
        print_out(_table([_HEAD, *(tuple(row[key] or "-" for key in keys) for row in found)]))
    return Status.OK if all(row["state"] == "ok" for row in found) else Status.NOT_READY


def _load(layout: Layout) -> Site:
    site = load_site(layout)
    check_volume_answers(layout, site)
    return site


def _check(options: argparse.Namespace, layout: Layout) -> Status:
    site = _load(layout)
    paths = {volume.name: volume.path for volume in volumes_of(site)}
    if options.name and options.name not in paths:
        raise TargetError(
            f"site.toml has no volume '{options.name}'", hint=f"it has: {', '.join(paths)}"
        )
    owner, needed = account(options), needed_mounts(layout, site)
    results = {
        name: try_volume(layout, path, needed.get(path, ""), owner)
        for name, path in paths.items()
        if options.name in (None, name)
    }
    failed = any(result.verdict is Verdict.FAILED for of in results.values() for result in of)
    if options.json:
        table = [
            {"name": name, "checks": [result.as_table() for result in of]}
            for name, of in results.items()
        ]
        print_out(json.dumps({"volumes": table, "ok": not failed}, indent=2) + "\n")
    else:
        print_out(_table([*_rows(results)]))
    return Status.NOT_READY if failed else Status.OK


def _grant(options: argparse.Namespace, layout: Layout) -> Status:
    if not options.as_caller:
        require_root("grant access in the database")
    reexec_in_service_python(layout, most_called=True)
    session = Session.open(layout, answers(options, layout), say)
    _check_proxy(options.name, session)
    with session.open_databases() as databases:
        managers = [database for database in databases if database.profile.grants]
        for database in managers:
            grant_volume(database, options.name, say)
    if not managers:
        raise HostError(
            "this node has no manager", hint="run this on a node with backendai-manager"
        )
    return Status.OK


def _check_proxy(volume: str, session: Session) -> None:
    """Raise TargetError unless ``volume`` is called after a storage proxy that etcd has."""
    proxy, _, label = volume.partition(":")
    listed = session.etcd.list(_PROXIES) if session.etcd is not None else {}
    known = sorted({key.removeprefix(_PROXIES).partition("/")[0] for key in listed})
    if not label or proxy not in known:
        raise TargetError(
            f"'{volume}' is no volume of a storage proxy in etcd",
            hint=f"name it PROXY:VOLUME; storage proxies: {', '.join(known) or 'none'}",
        )


def _rows(results: dict[str, list[Result]]) -> Iterator[tuple[str, ...]]:
    yield ("VOLUME", "CHECK", "RESULT", "")
    for name, of in results.items():
        yield from ((name, result.check, result.verdict, result.detail) for result in of)


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(table_of(rows)) + "\n"


def _before_start(options: argparse.Namespace, layout: Layout) -> Status:
    given = dict(zip(options.needs[::2], options.needs[1::2], strict=False))
    check_mounts(layout, options.service, given or recorded_mounts(layout))
    return Status.OK


def _before_start_arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser)
    parser.add_argument(
        "needs",
        nargs="*",
        metavar="PATH MOUNT",
        help="volumes and the mount points that they need; without any, those that are recorded",
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = action_adder(parser)
    json_argument(add("list", "print every volume of site.toml; 69: one is missing", _list))
    check = add(
        "check", "try what services do with a volume, and leave nothing; 69: one fails", _check
    )
    check.add_argument("name", nargs="?", metavar="NAME", help="one volume alone")
    json_argument(check)
    grant = add(
        "grant",
        "give the release's own domain, projects and keypair policy access to a volume of any"
        " storage proxy, as after the installation to those of site.toml",
        _grant,
    )
    grant.add_argument("name", metavar="PROXY:VOLUME", help="for example local:volume1")


COMMANDS = (
    Command(
        name="volume",
        about="list the volumes of site.toml, try them before their first use, grant access",
        run=run_action,
        add_arguments=_arguments,
    ),
    Command(
        name="check-mounts",
        about="fail while a volume that is a mount point is not mounted; units call it",
        run=_before_start,
        add_arguments=_before_start_arguments,
    ),
)
