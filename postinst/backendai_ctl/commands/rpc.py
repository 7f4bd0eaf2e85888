"""The command that closes the agent's RPC to all but the manager."""

import argparse

from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import HostError, NotReadyError, Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import ask, repeat, unit_of
from backendai_ctl.commands.base import Command, say, secret_store
from backendai_ctl.commands.configuration import configure_service
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores.manager_key import take_key
from backendai_ctl.stores.service_config import ServiceConfig, is_rpc_closed

_AGENT = "agent"
# Tries again while a manager of before this feature has published no key.
_RETRY = "backendai-agent-key"
_RETRY_SECONDS = 60


def _close(options: argparse.Namespace, layout: Layout) -> Status:
    try:
        _close_rpc(options, layout)
    except NotReadyError:
        words = ["/usr/bin/backendai-ctl", "close-rpc", "--restart"]
        unit = unit_of(_AGENT)
        repeat(layout, _RETRY, words, seconds=_RETRY_SECONDS, with_unit=unit)
        raise
    except HostError:
        ask(layout, "stop", f"{_RETRY}.timer")  # only an admin can go on
        raise
    ask(layout, "stop", f"{_RETRY}.timer")
    if options.restart:
        ask(layout, "restart", unit_of(_AGENT))
    return Status.OK


def _close_rpc(options: argparse.Namespace, layout: Layout) -> None:
    recipe = load_recipe(layout, _AGENT)
    config = ServiceConfig.load(layout, recipe)
    take_key(layout, load_site(layout), config, secret_store(options, layout))
    if is_rpc_closed(config):
        return
    configure_service(_AGENT, options, layout)
    if not is_rpc_closed(ServiceConfig.load(layout, recipe)):
        raise HostError(
            f"{config.label} was edited, and lets everybody call the agent",
            hint="sudo backendai-ctl doctor --fix, then systemctl restart backendai-agent",
        )
    say("the agent answers to the manager alone")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--restart", action="store_true", help="restart the agent afterwards; sessions continue"
    )


COMMANDS = (
    Command(
        name="close-rpc",
        about="take the manager's public key, so that the agent answers to the manager alone;"
        " its unit calls it, and a timer while there is no key",
        run=_close,
        add_arguments=_arguments,
    ),
)
