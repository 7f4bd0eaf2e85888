"""Checks for units that failed, do not run, or run without an answer; unreachable stores."""

from collections.abc import Iterator

from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.base.text import lines_of
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, warning
from backendai_ctl.services.recipe import Recipe
from backendai_ctl.stores.find_etcd import find_etcd
from backendai_ctl.stores.ports import answers, check_port
from backendai_ctl.stores.readiness import check_docker, check_needs


def check_units(view: HostView) -> Iterator[Finding]:
    """Check that every enabled service runs and answers."""
    for recipe in view.recipes:
        unit = unit_of(recipe.service)
        state = view.units[recipe.service]
        journal = f"journalctl -u {unit} shows why"
        if state.get("LoadState") != "loaded":
            continue
        active = state.get("ActiveState", "")
        if active == "failed" or state.get("SubState") == "auto-restart":
            yield error(f"{unit} failed and is tried again", unit, journal, value=active)
            yield from _port(view, recipe)
        elif active == "active":
            yield from _answer(view, recipe, journal)
        elif state.get("UnitFileState") == "enabled" and active != "activating":
            yield warning(f"{unit} is enabled and does not run", unit, f"systemctl start {unit}")
            yield from _port(view, recipe)


def _answer(view: HostView, recipe: Recipe, journal: str) -> Iterator[Finding]:
    config = view.configs.get(recipe.service)
    if recipe.listens is None or config is None:
        return
    try:
        address = config.addresses(recipe.listens.key)[0]
    except TargetError:
        return  # the release's own validation reports that
    if not answers(address):
        yield error(
            f"{recipe.service} runs and does not answer",
            f"{config.label}: {recipe.listens.key}",
            journal,
            value=str(address),
        )


def _port(view: HostView, recipe: Recipe) -> Iterator[Finding]:
    if recipe.listens is None or recipe.service not in view.configs:
        return
    try:
        check_port(view.layout, recipe)
    except TargetError as problem:
        yield error(problem.message, unit_of(recipe.service), problem.hint or "free the port")


def check_stores(view: HostView) -> Iterator[Finding]:
    """Check that the stores of each service answer and are filled; report each fault once."""
    reported: set[str] = set()
    for recipe in view.recipes:
        if recipe.service not in view.configs:
            continue
        try:
            if recipe.needs.docker:
                check_docker(view.layout)
            check_needs(view.layout, recipe, thorough=True)
        except TargetError as problem:
            what = problem.message.partition(" (")[0]
            if what not in reported:
                reported.add(what)
                remedy = problem.hint or "start the store, or correct its address in site.toml"
                yield error(problem.message, f"needed by {recipe.service}", remedy)
        except ImportError:
            continue  # a release without this client


def check_peers(view: HostView) -> Iterator[Finding]:
    """Check that the services to which a running service forwards requests answer, on any node."""
    for recipe in view.recipes:
        config = view.configs.get(recipe.service)
        if config is None or not view.is_active(recipe.service):
            continue
        for peer in recipe.health.peers:
            try:
                if peer.where and not config.get(peer.where):
                    where = f"{config.label}: {peer.where}"
                    yield warning(peer.unasked, where, peer.unasked_remedy, value="false")
                    continue
                addresses = config.addresses(peer.key)
            except TargetError:
                continue  # the release's own validation reports that
            silent = [str(address) for address in addresses if not answers(address)]
            if silent:
                where = f"{config.label}: {peer.key}"
                yield error(peer.says, where, peer.remedy, value=", ".join(silent))


def check_engine(view: HostView) -> Iterator[Finding]:
    """Check that Docker answers if a service needs it."""
    for recipe in view.recipes:
        if not recipe.needs.docker or not view.is_root:
            continue
        done = view.run(["docker", "version", "--format", "{{.Server.Version}}"])
        if done.status != 0:
            lines = lines_of(done.stderr.strip()) or ["no answer"]
            yield error(
                f"Docker does not answer: {lines[-1]}",
                f"needed by {recipe.service}",
                "systemctl start docker",
            )
        return


def check_guards(view: HostView) -> Iterator[Finding]:
    """Check that no running unit is open to everybody or obeys anyone who reaches its port."""
    for recipe in view.recipes:
        for guarded in recipe.health.guarded_units:
            state = view.show(guarded.unit)
            is_on = state.get("UnitFileState") == "enabled" or state.get("ActiveState") == "active"
            config = view.configs.get(recipe.service)
            if not is_on or config is None:
                continue
            try:
                is_guarded = find_etcd(config).has(guarded.etcd)
            except TargetError:
                continue  # reported as an unreachable store
            if not is_guarded:
                yield error(guarded.says, guarded.unit, guarded.remedy)
        yield from _open_calls(view, recipe)


def _open_calls(view: HostView, recipe: Recipe) -> Iterator[Finding]:
    config = view.configs.get(recipe.service)
    if config is None or recipe.listens is None:
        return
    for call in recipe.health.open_calls:
        try:
            is_open = config.get(call.key) is True
            addresses = config.addresses(recipe.listens.key)
        except TargetError:
            continue  # reported as a wrong configuration
        for address in addresses:
            if is_open and not address.is_loopback:
                yield warning(call.says, config.label, call.remedy, value=str(address))
