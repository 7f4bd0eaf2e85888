"""Finds what keeps a service from starting: Docker, its port, and its stores."""

from collections.abc import Callable

from backendai_ctl.base.errors import NotReadyError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.mounts import folder_problem
from backendai_ctl.services.recipe import Needs, Recipe
from backendai_ctl.stores.find_etcd import find_etcd
from backendai_ctl.stores.ports import answers, check_port
from backendai_ctl.stores.postgresql import Database, Target
from backendai_ctl.stores.schema_state import has_schema
from backendai_ctl.stores.service_config import ServiceConfig
from backendai_ctl.stores.trials import try_database, try_stores

_CONNECT_SECONDS = 3.0
# systemd starts this unit with the service that requires it.
_DOCKER = (
    "run/docker.sock",
    "usr/lib/systemd/system/docker.service",
    "lib/systemd/system/docker.service",
    "etc/systemd/system/docker.service",
)


def host_problems(layout: Layout, recipe: Recipe, *, runs: bool) -> list[str]:
    """Return what would keep the service from starting on this host, apart from its stores.

    A service that ``runs``, or is starting, holds its port itself.
    """
    found: list[str] = []
    checks: list[Callable[[], None]] = []
    if recipe.needs.docker:
        checks.append(lambda: check_docker(layout))
    if recipe.listens and not runs:
        checks.append(lambda: check_port(layout, recipe))
    for check in checks:
        try:
            check()
        except TargetError as error:
            found.append(f"{error.message}; {error.hint}" if error.hint else error.message)
    return found


def check_needs(layout: Layout, recipe: Recipe, *, thorough: bool = False) -> None:
    """Raise NotReadyError unless a first start makes sense: stores work, the schema exists.

    ``thorough`` tries writes, and undoes them.
    """
    if recipe.needs == Needs():
        return
    config = ServiceConfig.load(layout, recipe)
    if recipe.needs.docker:
        check_docker(layout)
    _check_folders(layout, recipe, config)
    for alternatives in recipe.needs.tcp:
        dotted = config.first(alternatives.split("|"))
        addresses = config.addresses(dotted)
        if not any(answers(address) for address in addresses):
            listed = ", ".join(map(str, addresses))
            raise NotReadyError(f"nothing answers on {listed} ({config.label}: {dotted})")
    try_stores(config, thorough=thorough)
    if recipe.needs.etcd:
        _check_keys(config, recipe.needs.etcd)
    if recipe.needs.database is not None:
        _check_schema(config, recipe, thorough=thorough)


def check_start(layout: Layout, recipe: Recipe) -> None:
    """Raise NotReadyError if another process holds a port of the service, or a folder is missing.

    The storage proxy would take a volume that is missing for one of an old layout, and serve it.
    """
    _check_folders(layout, recipe, ServiceConfig.load(layout, recipe))
    check_port(layout, recipe)


def _check_folders(layout: Layout, recipe: Recipe, config: ServiceConfig) -> None:
    for pattern in recipe.needs.folders:
        for dotted, folder in config.matches(pattern):
            problem = folder_problem(layout.place(str(folder)))
            if problem:
                raise NotReadyError(
                    f"{config.label}: {dotted} = {folder}: {problem}",
                    hint="mount it, or make it and give it to backendai; "
                    "`backendai-ctl volume list` shows all",
                )


def check_docker(layout: Layout) -> None:
    """Raise NotReadyError if the host has neither Docker's socket nor its unit."""
    if not any((layout.root / path).exists() for path in _DOCKER):
        raise NotReadyError(
            "this host has no Docker, which runs the sessions",
            hint="install docker.io, docker-ce or moby-engine",
        )


def _check_keys(config: ServiceConfig, keys: tuple[str, ...]) -> None:
    """Raise NotReadyError unless the first member that answers has every key.

    A key that ends with a slash stands for any key below it.
    """
    etcd = find_etcd(config)
    for alternatives in keys:
        names = alternatives.split("|")
        if not any(etcd.list(key) if key.endswith("/") else etcd.has(key) for key in names):
            raise NotReadyError(f"etcd on {etcd.address} has no {' or '.join(names)} yet")


def _check_schema(config: ServiceConfig, recipe: Recipe, *, thorough: bool) -> None:
    target = Target.from_config(config, str(recipe.needs.database))
    database = Database(target, connect_seconds=_CONNECT_SECONDS, service=recipe.service)
    try:
        try_database(database, thorough=thorough)
        if not has_schema(database, recipe.needs.table):
            raise NotReadyError(f"{target} has no schema yet")
    finally:
        database.close()
