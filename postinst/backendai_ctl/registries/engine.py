"""Reads whether Docker on this host accepts a registry without TLS."""

import ipaddress
import json

from backendai_ctl.base.layout import Layout
from backendai_ctl.registries.model import Registry


def is_let_in(layout: Layout, registry: Registry) -> bool:
    """Whether Docker pulls from the registry, by TLS or because it is configured to go without.

    A range of addresses applies only to a registry that is named by its address.
    """
    if registry.has_tls or registry.is_loopback or registry.is_local:
        return True
    listed = _insecure(layout)
    return registry.name in listed or _is_within(registry.parts.hostname or "", listed)


def _insecure(layout: Layout) -> list[str]:
    try:
        table = json.loads((layout.docker / "daemon.json").read_text(encoding="utf-8"))
        return [str(name) for name in table.get("insecure-registries", [])]
    except (OSError, ValueError, AttributeError, TypeError):
        return []  # Docker has no configuration, or this file also keeps it from starting


def _is_within(host: str, ranges: list[str]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for text in ranges:
        try:
            if address in ipaddress.ip_network(text, strict=False):
                return True
        except ValueError:
            continue  # the name of another registry
    return False
