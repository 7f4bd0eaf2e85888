"""The commands for a service's configuration: make it, and ask the release about it."""

import argparse
import os

from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import ask, is_active, reload_units, unit_of
from backendai_ctl.commands.addon import sync_installed
from backendai_ctl.commands.base import Command, account, say, secret_store, service_argument
from backendai_ctl.commands.joining import follow_invite
from backendai_ctl.join.follow import asked_line
from backendai_ctl.registries.advise import take_registries
from backendai_ctl.services.configure import Host, configure
from backendai_ctl.services.recipe import installed_services, load_recipe
from backendai_ctl.services.release_validation import Validator
from backendai_ctl.services.shown_files import show_named_files
from backendai_ctl.stores.readiness import host_problems


def _configure(options: argparse.Namespace, layout: Layout) -> Status:
    follow_invite(options, layout, asked_line(layout), configure_service)
    configure_service(options.service, options, layout)
    return Status.OK


def configure_service(service: str, options: argparse.Namespace, layout: Layout) -> None:
    """Create the absent configuration of ``service``, and all that depends on it."""
    host = Host(account=account(options), environment=os.environ, say=say)
    configure(service, layout=layout, secrets=secret_store(options, layout), host=host)
    recipe = load_recipe(layout, service)
    for problem in host_problems(layout, recipe, runs=is_active(unit_of(service))):
        say(f"warning: {problem}")
    if recipe.uses_registries:
        take_registries(layout, load_site(layout), say)
    _follow_configurations(layout)
    if layout.tls.exists():
        ask(layout, "start", "backendai-certificate.timer")
    sync_installed(options, layout, service)


def _follow_configurations(layout: Layout) -> None:
    """Let all units show and hide what they must: a new service's folders are hidden by others."""
    changed = [
        unit_of(service)
        for service in installed_services(layout)
        if show_named_files(layout, load_recipe(layout, service))
    ]
    if changed:
        say(f"{', '.join(changed)}: shows and hides what configuration and site.toml say")
        reload_units(layout)


def _check_config(options: argparse.Namespace, layout: Layout) -> Status:
    validator = Validator(layout=layout, service=options.service)
    configs = load_recipe(layout, options.service).configs
    if not any(config.model for config in configs):
        say(f"{options.service}: this release has no model of its configuration to ask")
        return Status.OK
    verdicts = [validator.check_file(config) for config in configs]
    for verdict in verdicts:
        for line in (*map(str, verdict.problems), verdict.unasked):
            if line:
                say(f"error: {line}")
        for line in verdict.unknown:
            say(f"note: {line}")
    if any(verdict.unasked for verdict in verdicts):
        return Status.HOST
    if any(verdict.problems for verdict in verdicts):
        return Status.SITE
    say(f"{options.service}: the release takes the configuration")
    return Status.OK


COMMANDS = (
    Command(
        name="configure",
        about="make site.toml, secrets and the configuration where they are absent",
        run=_configure,
        add_arguments=service_argument,
    ),
    Command(
        name="check-config",
        about="ask the installed release whether it takes the service's configuration",
        run=_check_config,
        add_arguments=service_argument,
    ),
)
