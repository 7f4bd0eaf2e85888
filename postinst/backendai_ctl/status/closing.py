"""The summary after an installation: what starts by itself, the Web UI's address, next steps."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from backendai_ctl.base.errors import TargetError
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.status.outlook import NodeOutlook, Outlook, ServiceOutlook
from backendai_ctl.status.report import NodeStatus
from backendai_ctl.stores.service_config import ServiceConfig

_WEB = "webserver"
_MANAGER = "manager"
_PUBLIC_HOST = "node.public-host"
_WILDCARDS = ("0.0.0.0", "::", "*", "")
# An address for documentation (RFC 5737): nothing is sent, only the route is looked up.
_ELSEWHERE = ("192.0.2.1", 9)
_INDENT = "  "


@dataclass(frozen=True, kw_only=True)
class Start:
    """Whether the packages could start services on this host."""

    has_systemd: bool = True
    is_allowed: bool = True  # by policy-rc.d

    @property
    def is_possible(self) -> bool:
        """Whether services could be started."""
        return self.has_systemd and self.is_allowed


def closing(view: HostView, node: NodeStatus, outlook: NodeOutlook, start: Start) -> str:
    """Return the text that ends an installation or upgrade; empty if no service is installed."""
    if not node.services:
        return ""
    versions = sorted({service.version for service in node.services if service.version})
    lines = [" ".join(["Backend.AI", *versions, "on this node"])]
    lines += _states(outlook) if start.is_possible else _not_started(node, start)
    lines += _commands(view, node, start)
    return "\n" + "\n".join(lines) + "\n"


def _states(outlook: NodeOutlook) -> list[str]:
    lines = []
    for word, label in (
        (Outlook.UP, "running"),
        (Outlook.STARTING, "starting by itself"),
        (Outlook.WAITING, "waiting, and starting by itself then"),
        (Outlook.STUCK, "NOT started"),
    ):
        found = outlook.having(word)
        if word in (Outlook.UP, Outlook.STARTING):
            lines += _together(label, [service.service for service in found])
        else:
            for service in found:
                lines += _single(label, service)
    off = outlook.having(Outlook.OFF)
    return lines + _together(
        "left alone", [f"{service.service} ({service.reason})" for service in off]
    )


def _together(label: str, names: Sequence[str]) -> list[str]:
    return [f"{_INDENT}{label}: {', '.join(names)}"] if names else []


def _single(label: str, service: ServiceOutlook) -> list[str]:
    because = f": {service.reason}" if service.reason else ""
    lines = [f"{_INDENT}{label}: {service.service}{because}"]
    return lines + ([f"{_INDENT * 2}{service.hint}"] if service.hint else [])


def _not_started(node: NodeStatus, start: Start) -> list[str]:
    if start.has_systemd:
        return [
            f"{_INDENT}nothing is started: policy-rc.d of this host forbids it",
            f"{_INDENT}start all that is enabled:  sudo systemctl start backendai.target",
        ]
    names = [service.service for service in node.services]
    return [
        f"{_INDENT}nothing is started: no systemd runs here (an image, a chroot, a container)",
        f"{_INDENT}starting at the first boot with systemd, unless disabled: {', '.join(names)}",
    ]


def _commands(view: HostView, node: NodeStatus, start: Start) -> list[str]:
    wanted = {
        service.service for service in node.services if service.is_wanted or not start.has_systemd
    }
    rows = []
    if _WEB in wanted and start.has_systemd:
        address = web_address(view)
        if address:
            rows.append(("Web UI", address))
    if _MANAGER in wanted:
        is_made = any(view.layout.credentials.glob("*.toml"))
        when = "" if is_made else "   (once the stores are filled)"
        rows.append(("login", f"sudo backendai-ctl credentials --show{when}"))
    if start.has_systemd:
        rows.append(("until all is up", "sudo backendai-ctl status --wait"))
    width = max((len(label) for label, _ in rows), default=0)
    return [f"{_INDENT}{label.ljust(width)}  {text}" for label, text in rows]


def web_address(view: HostView) -> str:
    """Return the URL of the Web UI as others reach it; empty if it has no configuration here."""
    config = view.configs.get(_WEB)
    if config is None:
        return ""
    try:
        address = config.addresses("service")[0]
    except TargetError:
        return ""
    host = _public_host(view) if address.host in _WILDCARDS else address.host
    shown = f"[{host}]" if ":" in host else host
    return f"{_scheme(config)}://{shown}:{address.port}/"


def _scheme(config: ServiceConfig) -> str:
    try:
        return "https" if config.get("service.ssl-enabled") is True else "http"
    except TargetError:
        return "http"


def _public_host(view: HostView) -> str:
    """Return the host name that the admin configured for browsers, else a detected address."""
    named = view.answer(_PUBLIC_HOST)
    question = view.site.questions.named(_PUBLIC_HOST) if view.site else None
    return named if question and named != question.default else _outward_address()


def _outward_address() -> str:
    """Return this host's address on its default route, or its name if it has none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(_ELSEWHERE)
            return str(sender.getsockname()[0])
    except OSError:
        return socket.gethostname()
