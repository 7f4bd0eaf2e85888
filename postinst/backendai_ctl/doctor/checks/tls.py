"""Checks that browsers reach a login page by TLS, and that no certificate ends soon."""

from collections.abc import Iterator

from backendai_ctl.base.certificates import CertificateError, examine_certificate
from backendai_ctl.base.errors import TargetError
from backendai_ctl.base.systemd import unit_of
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, note, warning
from backendai_ctl.services.recipe import Recipe, Tls
from backendai_ctl.stores.service_config import ServiceConfig


def check_tls(view: HostView) -> Iterator[Finding]:
    """Check each service that can show the certificate of site.toml, by its own configuration."""
    for recipe in view.recipes:
        config = view.configs.get(recipe.service)
        if recipe.tls is None or config is None:
            continue
        if _value(config, recipe.tls.enabled) is True:
            if view.is_root:
                yield from _certificate(view, recipe, recipe.tls, config)
        elif recipe.tls.proxied and _value(config, recipe.tls.proxied) != "https":
            yield from _plain(recipe, config)


def _plain(recipe: Recipe, config: ServiceConfig) -> Iterator[Finding]:
    try:
        addresses = config.addresses(recipe.listens.key) if recipe.listens else []
    except TargetError:
        return  # reported as a wrong configuration
    for address in addresses:
        if not address.is_loopback:
            yield note(
                "the login page is open to the network over plain HTTP: whoever is on the way "
                "reads the passwords",
                config.label,
                "answer [tls] in site.toml (see the guide), then backendai-ctl configure "
                f"{recipe.service} and systemctl restart {unit_of(recipe.service)}; or let it "
                "listen on 127.0.0.1 behind a proxy with TLS; where the proxy is on another "
                "host, answer [tls] proxied = true",
                value=str(address),
            )


def _certificate(
    view: HostView, recipe: Recipe, tls: Tls, config: ServiceConfig
) -> Iterator[Finding]:
    names = [str(_value(config, key)) for key in (tls.certificate, tls.key)]
    remedy = f"renew it, then systemctl restart {unit_of(recipe.service)}"
    try:
        found = examine_certificate(view.path(names[0]), view.path(names[1]), "")
    except CertificateError as problem:
        where = names[1] if problem.is_of_key else names[0]
        yield error(f"browsers cannot reach {recipe.service}: the file {problem}", where, remedy)
        return
    except OSError as problem:
        reason = (problem.strerror or "unreadable").lower()
        yield error(f"{recipe.service} has no certificate: {reason}", names[0], remedy)
        return
    if found.ends_soon:
        yield warning(
            f"the certificate of {recipe.service} ends in {found.days_left} days",
            names[0],
            remedy,
            value=str(found.days_left),
        )


def _value(config: ServiceConfig, key: str) -> object:
    try:
        return config.get(key)
    except TargetError:
        return None
