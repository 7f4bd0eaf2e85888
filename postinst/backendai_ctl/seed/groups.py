"""The steps that this host has, in their order."""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from backendai_ctl.answers.resolve import resolve_tree
from backendai_ctl.seed.data import version_numbers
from backendai_ctl.seed.model import Step, StepResult
from backendai_ctl.seed.session import Say, SeededDatabase, Session
from backendai_ctl.seed.state import failed
from backendai_ctl.seed.steps.cluster import EtcdStep, RedisStep, SecretsStep, shared_secrets
from backendai_ctl.seed.steps.commands import CommandStep
from backendai_ctl.seed.steps.database import (
    CredentialsStep,
    DatabaseStep,
    FinishStep,
    FixturesStep,
)
from backendai_ctl.seed.steps.grants import GrantStep
from backendai_ctl.seed.steps.manager_key import ManagerKeyStep
from backendai_ctl.seed.steps.proxies import ProxyStep
from backendai_ctl.seed.steps.registries import AllowanceStep, RegistryStep
from backendai_ctl.seed.steps.schema import SchemaStep
from backendai_ctl.seed.steps.shared import SharedStep
from backendai_ctl.seed.tree import addon_trees, leaves
from backendai_ctl.stores.lock import database_lock
from backendai_ctl.stores.manager_key import key_file, read_key

Lock = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Steps that run one after the other under one lock.

    They are not tried if a step of an earlier group with the same name, or of the cluster's
    group, blocks.
    """

    name: str
    steps: Sequence[Step]
    lock: Lock = contextlib.nullcontext


CLUSTER = "cluster"
_GRANT_SECONDS = 60.0


def groups_of(
    session: Session, databases: Sequence[SeededDatabase], *, lock_seconds: float
) -> list[Group]:
    """Return every step of this host: the cluster's first, then each database's."""
    groups = [Group(name=CLUSTER, steps=_cluster_steps(session, databases))]
    for database in databases:
        groups += _database_groups(session, database, lock_seconds)
    if session.etcd is not None and databases:
        groups.append(Group(name="redis", steps=[RedisStep(etcd=session.etcd)]))
    return [group for group in groups if group.steps]


def _cluster_steps(session: Session, databases: Sequence[SeededDatabase]) -> list[Step]:
    etcd = session.etcd
    if etcd is None:
        return []
    for database in databases:
        if database.profile.accounts is not None:
            _ = database.fixtures  # creates the secrets that are compared
    layout = session.layout
    secrets = shared_secrets(layout.secrets, layout.shared_secrets, session.answers.site)
    steps: list[Step] = [SecretsStep(etcd=etcd, secrets=secrets)] if secrets else []
    if "manager" in session.recipes:
        key = read_key(key_file(session.layout))
        steps += [ManagerKeyStep(etcd=etcd, key=key)] if key else []
    trees = {
        service: resolve_tree(session.answers, recipe.etcd)
        for service, recipe in session.recipes.items()
        if recipe.etcd
    }
    trees |= addon_trees(session.layout, session.answers)
    steps += [
        EtcdStep(name=f"etcd {name}", etcd=etcd, wanted=dict(leaves(tree)))
        for name, tree in trees.items()
    ]
    return steps


def _registry_steps(database: SeededDatabase) -> list[Step]:
    spec = database.profile.registries
    steps: list[Step] = []
    if spec is not None and version_numbers(database.version) >= spec.since:
        steps += [
            RegistryStep(database=database, spec=spec, registry=each)
            for each in database.registries
        ]
    steps += [
        AllowanceStep(database=database, spec=allowance, registries=database.registries)
        for allowance in database.profile.allowances
    ]
    return steps


def _database_groups(session: Session, database: SeededDatabase, seconds: float) -> list[Group]:
    name = database.data.service
    steps: list[Step] = [SchemaStep(database=database)]
    if database.profile.fixtures:
        steps.append(CredentialsStep(database=database))
        steps += [
            FixturesStep(database=database, fixture=fixture) for fixture in database.fixtures.files
        ]
    steps += [
        CommandStep(database=database, command=command)
        for command in database.profile.commands_of(database.version)
    ]
    steps += [GrantStep(database=database, grant=grant) for grant in database.profile.grants]
    if database.profile.proxied is not None and database.profile.proxied.where in session.configs:
        steps.append(ProxyStep(database=database, proxied=database.profile.proxied))
    steps += _registry_steps(database)
    if database.profile.shared is not None:
        steps.append(SharedStep(database=database, shared=database.profile.shared))
    if database.profile.fixtures:
        steps.append(FinishStep(database=database))
    return [
        Group(name=name, steps=[DatabaseStep(database=database)]),
        Group(
            name=name,
            steps=steps,
            lock=lambda: database_lock(database.connection, seconds=seconds, say=session.say),
        ),
    ]


def is_shared_filled(results: Sequence[StepResult]) -> bool:
    """Whether all nodes' common keys and secrets were inspected, and nothing is missing."""
    shared = [result for result in results if result.group == CLUSTER]
    return bool(shared) and not failed(shared)


def grant_volume(database: SeededDatabase, volume: str, say: Say) -> None:
    """Give the fixtures' rows access to ``volume``, and report what has changed."""
    database.connection.connect()
    with database_lock(database.connection, seconds=_GRANT_SECONDS, say=say):
        for grant in database.profile.grants:
            step = GrantStep(database=database, grant=grant, named=(volume,))
            finding = step.inspect()
            step.apply()
            say(f"{step.name}: {finding.detail}")
