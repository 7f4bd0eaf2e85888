"""Reports problems of the registries in site.toml that this host detects without network."""

from collections.abc import Callable, Iterator

from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.registries.engine import is_let_in
from backendai_ctl.registries.model import Registry, problems_of, registries_of
from backendai_ctl.registries.trust import read_ca, sync_trust
from backendai_ctl.stores.readiness import check_docker


def local_problems(layout: Layout, registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield the problems found without network, as the answer of site.toml and its fault."""
    for key, reason in problems_of(registry):
        yield f"{registry.section}.{key}", reason
    try:
        read_ca(layout, registry)
    except SiteError as error:
        where, _, reason = error.problems[0].partition(" = ")
        yield where, reason
    if _has_docker(layout) and not is_let_in(layout, registry):
        lacks = "insecure-registries of /etc/docker/daemon.json lacks"
        reason = f"{registry.url} has no TLS, and {lacks} {registry.name}"
        yield f"{registry.section}.url", reason


def take_registries(layout: Layout, site: Site, say: Callable[[str], None]) -> None:
    """Set up trust in every registry on this host, and warn of registries that cannot work."""
    registries = registries_of(site)
    for registry in registries:
        for where, reason in local_problems(layout, registry):
            say(f"warning: {layout.site}: {where}: {reason}")
    sync_trust(layout, registries, say)


def _has_docker(layout: Layout) -> bool:
    try:
        check_docker(layout)
    except NotReadyError:
        return False
    return True
