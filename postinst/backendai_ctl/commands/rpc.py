"""The command that closes the agent's RPC to all but the manager."""

import argparse

from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import HostError, Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands.base import Command, say, secret_store
from backendai_ctl.commands.service import configure_service
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.stores.manager_key import take_key
from backendai_ctl.stores.service_config import ServiceConfig, is_rpc_closed

_AGENT = "agent"


def _close(options: argparse.Namespace, layout: Layout) -> Status:
    recipe = load_recipe(layout, _AGENT)
    config = ServiceConfig.load(layout, recipe)
    take_key(layout, load_site(layout), config, secret_store(options, layout))
    if is_rpc_closed(config):
        return Status.OK
    configure_service(_AGENT, options, layout)
    if not is_rpc_closed(ServiceConfig.load(layout, recipe)):
        raise HostError(
            f"{config.label} was edited, and lets everybody call the agent",
            hint="sudo backendai-ctl doctor --fix, then systemctl restart backendai-agent",
        )
    say("the agent answers to the manager alone")
    return Status.OK


COMMANDS = (
    Command(
        name="close-rpc",
        about="take the manager's public key, so that the agent answers to the manager alone;"
        " its unit calls it",
        run=_close,
    ),
)
