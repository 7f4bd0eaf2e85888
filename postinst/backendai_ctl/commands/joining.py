"""What the commands that follow an invite share: follow it, configure, start."""

import argparse
import os
from collections.abc import Callable

from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import UNIT_SECONDS, control, has_systemd, is_active, unit_of
from backendai_ctl.commands.base import account, say, secret_store
from backendai_ctl.join.follow import Followed, Follower
from backendai_ctl.join.state import forget_pending
from backendai_ctl.services.recipe import installed_services, load_recipe
from backendai_ctl.services.record import Record

Configure = Callable[[str, argparse.Namespace, Layout], None]
_SEED = "backendai-seed.service"


def make_follower(options: argparse.Namespace, layout: Layout, address: str) -> Follower:
    """Return this node, about to join; ``address`` is its own where the admin names it."""
    return Follower(
        layout=layout,
        store=secret_store(options, layout),
        account=account(options),
        environment=os.environ,
        say=say,
        address=address,
    )


def follow_invite(
    options: argparse.Namespace,
    layout: Layout,
    line: str | None,
    configure: Configure,
    *,
    address: str = "",
) -> Followed | None:
    """Follow an invite, and configure each service that was configured before or is its role's.

    Returns None if there was nothing to do.
    """
    followed = make_follower(options, layout, address).run(line)
    if followed is None:
        return None
    for service in installed_services(layout):
        if service in followed.role.services or _was_configured(layout, service):
            configure(service, options, layout)
    forget_pending(layout)
    for path in followed.edited:
        say(f"warning: {path} was edited here: compare it with {path}.new")
    return followed


def _was_configured(layout: Layout, service: str) -> bool:
    configs = load_recipe(layout, service).configs
    return any(Record.load(layout.generated / config.file) for config in configs)


def start_services(layout: Layout, followed: Followed) -> None:
    """Restart what runs, and let the others start as after an installation."""
    if not has_systemd(layout):
        return
    services = installed_services(layout)
    running = [unit_of(name) for name in services if is_active(unit_of(name))]
    layout.waiting.mkdir(parents=True, exist_ok=True)
    for service in followed.role.services:
        if service in services and unit_of(service) not in running:
            (layout.waiting / service).touch()
    control("restart", _SEED, wait=False)
    if running:
        why = control("restart", *running, seconds=UNIT_SECONDS)
        if why:
            say(f"warning: {why}")
