"""The commands that apply [tls] of site.toml to a node, and renew the node's own certificate."""

import argparse

from backendai_ctl.answers.resolve import answers_in, placeholders
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.account import require_root
from backendai_ctl.base.errors import NotReadyError, Status
from backendai_ctl.base.files import exclusive, private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import UNIT_SECONDS, control, is_active, unit_of
from backendai_ctl.commands.base import (
    Command,
    account,
    action_adder,
    answers,
    run_action,
    say,
    secret_store,
)
from backendai_ctl.commands.configuration import configure_service
from backendai_ctl.seed.follow_addresses import AddressFollower
from backendai_ctl.seed.session import Session
from backendai_ctl.services.follow_answers import Follower
from backendai_ctl.services.recipe import installed_services, load_recipe, read_sample
from backendai_ctl.services.tls_answers import take_tls_answers

_ADDRESSES = ("manager.url", "storage-proxy.client-url", "appproxy.url")
_NAMES = ("tls.certificate", "tls.key", "tls.proxied", *_ADDRESSES)


def _renew(options: argparse.Namespace, layout: Layout) -> Status:
    if not options.as_caller:
        require_root("renew a certificate")
    with exclusive(layout.generated):
        made = take_tls_answers(layout, load_site(layout), account(options), say, shows=True)
    if made and options.restart:
        restart_services(layout)
    return Status.OK


def _apply(options: argparse.Namespace, layout: Layout) -> Status:
    if not options.as_caller:
        require_root("change configurations")
    note = layout.state / "tls-apply.pending"
    found = answers(options, layout)
    with exclusive(layout.generated):
        is_due = bool(take_tls_answers(layout, found.site, account(options), say, shows=True))
    store = secret_store(options, layout)
    follower = Follower(layout=layout, answers=found, names=_NAMES, writer=store.writer)
    is_due = is_due or note.exists()
    # A run that was killed after it has changed a file restarts what the next run finds as wanted.
    private_writer().replace(note, "")
    for service in follower.run():
        is_due = True
        say(f"the configuration of {service} has [tls]")
        configure_service(service, options, layout)  # its unit shows the files
    addresses = AddressFollower(answers=found, names=_ADDRESSES)
    for change in addresses.follow(Session.open(layout, found, say)):
        is_due = True
        say(change)
    if is_due and options.restart:
        restart_services(layout)
    note.unlink(missing_ok=True)
    say("all that users reach is as [tls] says")
    return Status.OK


def _is_concerned(layout: Layout, service: str) -> bool:
    """Whether the service shows the certificate, or calls others by an address that follows."""
    recipe = load_recipe(layout, service)
    named: set[str] = set()
    for config in recipe.configs:
        named = named.union(*map(answers_in, config.settings.values()))
        if config.template:
            named |= placeholders(read_sample(layout, service, config))
    return recipe.tls is not None or not named.isdisjoint(_NAMES)


def restart_services(layout: Layout) -> None:
    """Restart the services that run and use the certificate; NotReadyError if one fails."""
    units = [
        unit_of(service)
        for service in installed_services(layout)
        if _is_concerned(layout, service) and is_active(unit_of(service))
    ]
    if units:
        say(f"restarting {', '.join(units)}")
        # Units that wait for each other start one after another.
        problem = control("restart", *units, seconds=UNIT_SECONDS * len(units))
        if problem:
            raise NotReadyError(
                f"not restarted: {problem}", hint=f"sudo systemctl restart {' '.join(units)}"
            )


def _arguments(parser: argparse.ArgumentParser) -> None:
    action = action_adder(parser)
    apply = action(
        "apply",
        "write [tls] of site.toml, and the addresses that follow from it, into the services'"
        " configurations (in edited files, these keys alone), etcd and the resource groups, and"
        " restart what runs",
        _apply,
    )
    renew = action(
        "renew",
        "make the certificate of this node anew if it ends soon or does not fit [node] public-host"
        " (with self-signed = true), check all of [tls], and restart what shows it; a timer calls"
        " it each day",
        _renew,
    )
    for parsed in (apply, renew):
        parsed.add_argument(
            "--no-restart", dest="restart", action="store_false", help="leave what runs as it is"
        )


COMMANDS = (
    Command(
        name="tls",
        about="apply [tls] of site.toml, and renew the certificate that this node makes for itself",
        run=run_action,
        add_arguments=_arguments,
    ),
)
