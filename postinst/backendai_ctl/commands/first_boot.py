"""The commands for images: configure at the first boot, and remove what a clone must not have."""

import argparse
import sys

from backendai_ctl.answers.kinds import Address
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.account import require_root
from backendai_ctl.base.errors import HostError, Status, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import is_active, unit_of
from backendai_ctl.commands.base import Command, say
from backendai_ctl.commands.configuration import configure_service
from backendai_ctl.services.first_boot import (
    Identity,
    configure_waiting,
    find_identity,
    remove_identity,
)
from backendai_ctl.services.recipe import installed_services


def _first_boot(options: argparse.Namespace, layout: Layout) -> Status:
    def make(service: str) -> None:
        configure_service(service, options, layout)

    failed = configure_waiting(layout, make, say)
    for error in failed.values():
        return error.status
    return Status.OK


def _prepare_clone(options: argparse.Namespace, layout: Layout) -> Status:
    if not options.as_caller:
        require_root("remove secrets")
    _refuse_running(layout)
    identity = find_identity(layout)
    if identity.edited and not options.keep_edited:
        listed = ", ".join(map(str, identity.edited))
        raise HostError(
            f"edited here, and full of this host's secrets: {listed}",
            hint="put your settings into site.toml and remove the files, or, with --keep-edited,"
            " leave the files to every clone",
        )
    if not identity.is_there:
        say("this host has no identity; the next boot makes one")
    elif not (options.yes or _is_wanted(identity)):
        say("nothing was changed")
        return Status.OK
    services = remove_identity(layout, identity)
    for store in _local_stores(layout):
        say(f"warning: {store} is on this host: what is in it belongs to the removed secrets")
    say(f"the next boot makes new secrets for {', '.join(services)}; shut this host down now")
    return Status.OK


def _refuse_running(layout: Layout) -> None:
    running = [name for name in installed_services(layout) if is_active(unit_of(name))]
    if running and str(layout.root) == "/":
        raise HostError(
            f"these services run: {', '.join(running)}",
            hint="sudo systemctl stop 'backendai-*'",
        )


def _is_wanted(identity: Identity) -> bool:
    """Ask a person for consent; without a terminal there is none."""
    say(
        f"this removes {len(identity.secrets)} secrets, {len(identity.configurations)} generated"
        " configurations, and the state of seeding and upgrades"
    )
    if not sys.stdin.isatty():
        raise TargetError("nobody agreed to that", hint="sudo backendai-ctl prepare-clone --yes")
    sys.stderr.write("backendai: remove them? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _local_stores(layout: Layout) -> list[str]:
    if not layout.site.exists():
        return []
    site = load_site(layout)
    stores = {"PostgreSQL": "database.address", "etcd": "etcd.addresses"}
    return [
        f"{store} ({site[name]})" if isinstance(site[name], str) else store
        for store, name in stores.items()
        if _is_local(site[name])
    ]


def _is_local(value: object) -> bool:
    addresses = value if isinstance(value, list) else [str(value)]
    return any(Address.parse(address).is_loopback for address in addresses)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument(
        "--keep-edited",
        action="store_true",
        help="leave edited files, with their secrets",
    )


COMMANDS = (
    Command(
        name="first-boot",
        about="make secrets and configuration of services that were installed into an image;"
        " a unit calls it",
        run=_first_boot,
    ),
    Command(
        name="prepare-clone",
        about="remove the secrets and the configuration of this host, so that each clone of it"
        " makes its own at its first boot",
        run=_prepare_clone,
        add_arguments=_arguments,
    ),
)
