"""The commands for add-ons: list, enable and disable."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from backendai_ctl.addons.model import Addon, load_addons, named
from backendai_ctl.addons.sync import (
    Tool,
    disable_addon,
    enable_addon,
    state_of,
    sync_addons,
)
from backendai_ctl.answers.resolve import resolve_tree
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import Status, TargetError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import control, has_systemd, unit_of
from backendai_ctl.commands.base import (
    Command,
    answers,
    print_out,
    run_action,
    say,
    secret_store,
)

_RESTART_S = 240


def tool_of(options: argparse.Namespace, layout: Layout) -> Tool:
    """Return the dependencies of the work on add-ons."""
    return Tool(layout=layout, writer=secret_store(options, layout).writer, say=say)


def _list(options: argparse.Namespace, layout: Layout) -> Status:
    # No writer, and so no root: any user who may read the configuration may list.
    tool = Tool(layout=layout, writer=Writer(owner=Owner.caller()), say=say)
    rows = [_row(addon, tool) for addon in load_addons(layout)]
    if options.json:
        print_out(json.dumps(rows, indent=2) + "\n")
        return Status.OK
    if not rows:
        say("no add-on is installed here, such as backendai-accelerator-NAME")
    for row in rows:
        print_out(f"{row['name']:<16} {row['service']:<14} {row['state']:<15} {row['summary']}\n")
        for text in row["missing"]:
            print_out(f"{'':<16} lacks {text}\n")
    return Status.OK


def _row(addon: Addon, tool: Tool) -> dict[str, Any]:
    state, missing = state_of(addon, tool), tool.missing(addon)
    return {
        "name": addon.name,
        "package": addon.package,
        "summary": addon.summary,
        "service": addon.service,
        "state": state,
        "enabled": state == "enabled",
        "devices": list(addon.kinds(tool.layout)),
        "driver": "missing" if missing else "found" if addon.needs else "not needed",
        "missing": missing,
    }


def _change(
    work: Callable[[str, Tool], bool], word: str
) -> Callable[[argparse.Namespace, Layout], Status]:
    def run(options: argparse.Namespace, layout: Layout) -> Status:
        tool = tool_of(options, layout)
        addon = named(load_addons(layout), options.name)
        if not work(addon.name, tool):
            say(f"{addon.name} is {word} already")
            return Status.OK
        say(f"{addon.name} is {word}")
        if options.restart:
            _restart(addon, layout)
        return Status.OK

    return run


def _restart(addon: Addon, layout: Layout) -> None:
    """Restart a running service so that it sees the change; a stopped one stays stopped."""
    unit = unit_of(addon.service)
    if has_systemd(layout) and control("try-restart", unit, seconds=_RESTART_S):
        say(f"warning: could not restart {unit}; see: systemctl status {unit}")


def sync_installed(options: argparse.Namespace, layout: Layout, service: str) -> None:
    """Make a service load the installed add-ons; a failure is only reported."""
    if not load_addons(layout, service):
        return
    try:
        sync_addons(service, tool_of(options, layout))
    except TargetError as error:
        say(f"warning: add-ons: {error.message}")


def _sync(options: argparse.Namespace, layout: Layout) -> Status:
    sync_addons(options.service, tool_of(options, layout))
    return Status.OK


def _etcd(options: argparse.Namespace, layout: Layout) -> Status:
    addon = named(load_addons(layout), options.name)
    tree = resolve_tree(answers(options, layout), addon.etcd)
    print_out(json.dumps(tree, indent=2) + "\n")
    return Status.OK


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="print the installed add-ons and their state")
    listing.add_argument("--json", action="store_true", help="for machines")
    listing.set_defaults(act=_list)
    for name, act, about in (
        ("enable", _change(enable_addon, "enabled"), "let the service load an add-on"),
        ("disable", _change(disable_addon, "disabled"), "keep an add-on from being loaded"),
    ):
        change = actions.add_parser(name, help=f"{about}, and restart the service if it runs")
        change.add_argument("name", metavar="NAME", help="for example cuda-open")
        change.add_argument(
            "--no-restart", dest="restart", action="store_false", help="only change the file"
        )
        change.set_defaults(act=act)
    sync = actions.add_parser("sync", help="what the packages call when add-ons come and go")
    sync.add_argument("service", metavar="SERVICE", help="for example agent")
    sync.set_defaults(act=_sync)
    keys = actions.add_parser("etcd", help="print what etcd should have for an add-on, as JSON")
    keys.add_argument("name", metavar="NAME", help="for example mock")
    keys.set_defaults(act=_etcd)


COMMANDS = (
    Command(
        name="addon",
        about="list, enable or disable the accelerators and plug-ins of this host's services",
        run=run_action,
        add_arguments=_arguments,
    ),
)
