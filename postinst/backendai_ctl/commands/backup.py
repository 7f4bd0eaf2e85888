"""The commands that make and restore a backup."""

import argparse
import json
import sys
import time
from pathlib import Path

from backendai_ctl.backup.archive import SUFFIX, Archive, Backup, open_archive
from backendai_ctl.base.errors import HostError, RefusedError, Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands.base import Command, answers, print_out, say
from backendai_ctl.commands.upgrade import dumper_of
from backendai_ctl.seed.data import seeded_services
from backendai_ctl.seed.interpreter import reexec_in_service_python
from backendai_ctl.seed.session import SeededDatabase
from backendai_ctl.stores.etcd import Etcd
from backendai_ctl.stores.lock import database_lock
from backendai_ctl.stores.schema_state import SchemaState
from backendai_ctl.upgrade.dump import Dumper
from backendai_ctl.upgrade.session import LOCK_SECONDS, open_session
from backendai_ctl.upgrade.units import start_stopped, stop_for_work
from backendai_ctl.upgrade.worklock import work_lock

_DUMP = ".dump"


def _backup(options: argparse.Namespace, layout: Layout) -> Status:
    reexec_in_service_python(layout)
    given = answers(options, layout)
    dumper = dumper_of(given)
    if options.action == "list":
        return _list(options, dumper)
    with work_lock(layout), open_session(layout, given, say, []) as (session, databases):
        if options.database_only:
            made = [dumper.make(database) for database in databases]
        else:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            path = Path(options.out or dumper.folder / f"backup-{stamp}{SUFFIX}").absolute()
            Backup(
                layout=layout, databases=databases, etcd=session.etcd, dumper=dumper, say=say
            ).write(path)
            made = [path]
    if options.json:
        print_out(json.dumps({"files": [str(path) for path in made]}) + "\n")
    else:
        print_out("".join(f"{path}\n" for path in made))
    return Status.OK


def _list(options: argparse.Namespace, dumper: Dumper) -> Status:
    paths = sorted([*dumper.kept(), *dumper.folder.glob(f"backup-*{SUFFIX}")])
    if options.json:
        table = [{"file": str(path), "bytes": path.stat().st_size} for path in paths]
        print_out(json.dumps({"backups": table}, indent=1) + "\n")
    else:
        print_out("".join(f"{path.stat().st_size:>12}  {path}\n" for path in paths))
    return Status.OK


def _restore(options: argparse.Namespace, layout: Layout) -> Status:
    reexec_in_service_python(layout)
    path = Path(options.file).absolute()
    if not path.is_file():
        raise HostError(f"{path}: no such file", hint="backendai-ctl backup list")
    given = answers(options, layout)
    dumper = dumper_of(given)
    with (
        work_lock(layout),
        open_session(layout, given, say, []) as (session, databases),
    ):
        if path.suffix == _DUMP:
            service = options.service or _service_of(path, layout)
            _databases(options, layout, dumper, {service: path}, databases)
            return Status.OK
        with open_archive(path, dumper.folder, layout, say) as archive:
            _databases(options, layout, dumper, archive.dumps, databases)
            if options.etcd:
                _etcd(archive, session.etcd, overwrite=options.etcd == "overwrite")
            if options.files:
                for put in archive.put_files(layout, say):
                    say(f"put back {put}")
    return Status.OK


def _databases(
    options: argparse.Namespace,
    layout: Layout,
    dumper: Dumper,
    dumps: dict[str, Path],
    databases: list[SeededDatabase],
) -> None:
    known = {database.data.service: database for database in databases}
    absent = sorted(set(dumps) - set(known))
    if absent:
        raise HostError(f"not configured on this host: {', '.join(absent)}")
    _ask(options, [str(known[service].target) for service in dumps])
    for service, dump in dumps.items():
        database = known[service]
        stop_for_work(layout, service)
        try:
            with database_lock(database.connection, seconds=LOCK_SECONDS, say=say):
                dumper.restore(database, dump)
        except BaseException:
            say(f"{database.target} is as it was")
            start_stopped(layout, service, say)
            raise
        say(f"{database.target} is put back")
        if database.schema().state is SchemaState.CURRENT:
            layout.failure_note(service).unlink(missing_ok=True)
            start_stopped(layout, service, say)
        else:
            say(f"its schema is of another release, so {service} stays down")
            say("hint: sudo backendai-ctl upgrade, or install the release of the dump")


def _ask(options: argparse.Namespace, targets: list[str]) -> None:
    if options.yes or not targets:
        return
    say(f"everything in {', '.join(targets)} is replaced")
    if not sys.stdin.isatty():
        raise RefusedError("nobody is there to answer", hint="add --yes")
    sys.stderr.write("Go on? Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        raise RefusedError("nothing was changed")


def _etcd(archive: Archive, etcd: Etcd | None, *, overwrite: bool) -> None:
    if etcd is None:
        raise HostError("no service of this host names an etcd")
    changed = 0
    for key, value in archive.etcd.items():
        if overwrite:
            etcd.put(key, value)
            changed += 1
        elif etcd.create({key: value}):
            changed += 1
    say(f"etcd: {changed} of {len(archive.etcd)} keys written")


def _service_of(path: Path, layout: Layout) -> str:
    found = [service for service in seeded_services(layout) if path.name.startswith(f"{service}-")]
    if len(found) != 1:
        raise HostError(f"{path.name} does not say whose dump it is", hint="add --service SERVICE")
    return found[0]


def _backup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("make", "list"), default="make")
    parser.add_argument("--database-only", action="store_true", help="dumps alone")
    parser.add_argument("--out", metavar="FILE", help="default: in [backup] folder")
    parser.add_argument("--json", action="store_true", help="for programs")


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a dump, or what `backup` made")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--service", metavar="SERVICE", help="whose dump it is")
    parser.add_argument(
        "--etcd",
        choices=("create", "overwrite"),
        help="put etcd's keys back, too: absent ones, or all",
    )
    parser.add_argument(
        "--files", action="store_true", help="put secrets and configuration back, too"
    )


COMMANDS = (
    Command(
        name="backup",
        about="put databases, etcd, secrets and configuration into one file",
        run=_backup,
        add_arguments=_backup_arguments,
    ),
    Command(
        name="restore",
        about="put a backup or a dump back in the place of what is there",
        run=_restore,
        add_arguments=_restore_arguments,
    ),
)
