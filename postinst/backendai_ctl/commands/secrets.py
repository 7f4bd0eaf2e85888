"""The commands that copy a cluster's secrets to all of its nodes."""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from backendai_ctl.answers.resolve import resolve_tree
from backendai_ctl.base.errors import HostError, Status, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import value_of
from backendai_ctl.commands.base import (
    Command,
    account,
    action_adder,
    answers,
    run_action,
    say,
    secret_store,
)
from backendai_ctl.seed.session import Session
from backendai_ctl.seed.steps.cluster import SecretsStep, shared_secrets
from backendai_ctl.seed.tree import leaves
from backendai_ctl.services.configure import Host, configure
from backendai_ctl.services.secrets_archive import (
    import_secrets,
    pack_secrets,
    remove_unmodified_configs,
    unpack_secrets,
)
from backendai_ctl.stores.etcd import Etcd


def _export(_options: argparse.Namespace, layout: Layout) -> Status:
    if sys.stdout.isatty():
        raise TargetError(
            "secrets do not belong on a terminal",
            hint="umask 077; sudo backendai-ctl secrets export >secrets.tar",
        )
    sys.stdout.buffer.write(pack_secrets(layout))
    sys.stdout.buffer.flush()
    return Status.OK


def _import(options: argparse.Namespace, layout: Layout) -> Status:
    store = secret_store(options, layout)
    secrets = unpack_secrets(_content(options.file))
    changed = import_secrets(layout, store, secrets, replace=options.replace)
    if not changed:
        say("this host has these secrets already")
        return Status.OK
    say(f"took {', '.join(changed)}")
    services, edited = remove_unmodified_configs(layout)
    host = Host(account=account(options), environment=os.environ, say=say)
    for service in services:
        configure(service, layout=layout, secrets=store, host=host)
    for path in edited:
        say(f"warning: {path} was edited here: put the new secrets into it yourself")
    say("now restart the services of this host: systemctl restart 'backendai-*.service'")
    return Status.OK


def _adopt(options: argparse.Namespace, layout: Layout) -> Status:
    session = Session.open(layout, answers(options, layout), say)
    if session.etcd is None:
        raise HostError("no service here has the address of etcd")
    names = layout.shared_secrets
    found = shared_secrets(layout.secrets, names, session.answers.site)
    step = SecretsStep(etcd=session.etcd, secrets=found)
    step.adopt()
    say(f"the cluster's are now those of this host: {', '.join(step.secrets)}")
    for key in _adopt_keys(session, session.etcd, step.secrets.values()):
        say(f"etcd: {key} is now this host's")
    say("now restart the services of this host: systemctl restart 'backendai-*.service'")
    say("backendai-ctl seed status says what else does not fit")
    return Status.OK


def _adopt_keys(session: Session, etcd: Etcd, secrets: Iterable[str]) -> list[str]:
    """Replace secrets in etcd that differ from this host's; return the changed keys."""
    known = {value_of(secret) for secret in secrets}
    trees = [resolve_tree(session.answers, recipe.etcd) for recipe in session.recipes.values()]
    wanted = {key: value for tree in trees for key, value in leaves(tree) if value in known}
    other = [key for key, value in wanted.items() if etcd.get(key) not in (None, value)]
    for key in other:
        etcd.put(key, wanted[key])
    return other


def _content(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise HostError(f"cannot read {name}: {error.strerror}") from error


def _arguments(parser: argparse.ArgumentParser) -> None:
    action = action_adder(parser)
    action("export", "write this host's secrets to stdout, as a tar archive", _export)
    take = action("import", "take the secrets of another node", _import)
    take.add_argument("file", metavar="FILE", help="the archive; - for stdin")
    take.add_argument(
        "--replace", action="store_true", help="also those that this host has others for"
    )
    action("adopt", "make this host's secrets the ones that other nodes are held to", _adopt)


COMMANDS = (
    Command(
        name="secrets",
        about="give all nodes of a cluster the same secrets",
        run=run_action,
        add_arguments=_arguments,
    ),
)
