"""The command that renews the certificate that this node makes for itself."""

import argparse

from backendai_ctl.answers.site import load_site
from backendai_ctl.base.account import require_root
from backendai_ctl.base.errors import NotReadyError, Status
from backendai_ctl.base.files import exclusive
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import UNIT_SECONDS, control, is_active, unit_of
from backendai_ctl.commands.base import Command, account, action_adder, run_action, say
from backendai_ctl.services.recipe import installed_services, load_recipe
from backendai_ctl.services.tls_answers import take_tls_answers


def _renew(options: argparse.Namespace, layout: Layout) -> Status:
    if not options.as_caller:
        require_root("renew a certificate")
    with exclusive(layout.generated):
        made = take_tls_answers(layout, load_site(layout), account(options), say, shows=True)
    if made and options.restart:
        restart_services(layout)
    return Status.OK


def restart_services(layout: Layout) -> None:
    """Restart the services that run and show the certificate; NotReadyError if one fails."""
    units = [
        unit_of(service)
        for service in installed_services(layout)
        if load_recipe(layout, service).tls and is_active(unit_of(service))
    ]
    if units:
        say(f"restarting {', '.join(units)}")
        problem = control("restart", *units, seconds=UNIT_SECONDS)
        if problem:
            raise NotReadyError(
                f"not restarted: {problem}", hint=f"sudo systemctl restart {' '.join(units)}"
            )


def _arguments(parser: argparse.ArgumentParser) -> None:
    action = action_adder(parser)
    renew = action(
        "renew",
        "make the certificate of this node anew if it ends soon or does not fit [node] public-host"
        " (with self-signed = true), check all of [tls], and restart what shows it; a timer calls"
        " it each day",
        _renew,
    )
    renew.add_argument(
        "--no-restart", dest="restart", action="store_false", help="leave what runs as it is"
    )


COMMANDS = (
    Command(
        name="tls",
        about="renew the certificate that this node makes for itself",
        run=run_action,
        add_arguments=_arguments,
    ),
)
