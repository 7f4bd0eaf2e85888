"""Renders what pkgspec ships and runs on the target, as the build does."""

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace

from builder.base.model import PackageFormat
from builder.base.paths import PKGSPEC, PROJECT, TARGET_ROOT, TARGET_RUNTIME
from builder.plan.render import Renderer
from builder.plan.sources import read_sources
from builder.spec import PackageSpec, Spec, load_spec

# The folders of the host that a purge works in.
TOPS = (
    "/usr/share/debconf",
    "/etc/docker",
    "/etc/backend.ai",
    "/var/lib/backendai",
    "/var/log/backendai",
    "/run/backendai",
)
RELEASE = SimpleNamespace(version="26.9.6", name="26.9", upgrades_from=("26.8", "26.9"))


@cache
def spec() -> Spec:
    """All of pkgspec/."""
    return load_spec(PKGSPEC)


@cache
def renderer() -> Renderer:
    """The renderer of the shipped text."""
    return Renderer(read_sources(PROJECT))


def context(package: PackageSpec, fmt: PackageFormat | None = None) -> dict[str, object]:
    """What a template may use."""
    return {
        "package": package,
        "release": RELEASE,
        "version": "26.9.6-1",
        "prefix": str(TARGET_ROOT / package.folder) if package.folder else None,
        "runtime": str(TARGET_RUNTIME),
        "on_runtime": [
            member.service
            for member in spec().packages.values()
            if member.service and (member.python or member.runtime_wheels)
        ],
        "python": "3.13" if package.python else None,
        "format": fmt.value if fmt else None,
    }


def render(source: str, package: PackageSpec, fmt: PackageFormat | None = None) -> str:
    """One source, rendered for ``package``."""
    return renderer().render(source, context(package, fmt)).decode()


def scripts() -> Iterator[tuple[str, PackageFormat, str, str]]:
    """(package, format, script, text) of every maintainer script and scriptlet."""
    for package in spec().packages.values():
        for fmt, own in ((PackageFormat.DEB, package.deb), (PackageFormat.RPM, package.rpm)):
            for name, source in own.scripts.model_dump().items():
                if source is not None and name != "templates":
                    yield package.name, fmt, name, render(source, package, fmt)


def payload_text(target: str) -> str:
    """The text of the payload file at ``target``."""
    for package in spec().packages.values():
        for entry in package.payload:
            if entry.target == target and entry.source:
                return render(entry.source, package)
    raise AssertionError(f"no payload entry at {target}")


def other() -> PackageSpec:
    """A service as different from the manager as data can make it."""
    manager = spec().packages["backendai-manager"]
    assert manager.service is not None
    service = manager.service.model_copy(
        update={
            "name": "agent",
            "user": "root",
            "units": ("backendai-agent.service", "backendai-agent-watcher.service"),
            "config": (),
            "listens": False,
            "arguments": ("-f", "/etc/backend.ai/it's here.conf"),
        }
    )
    return manager.model_copy(update={"name": "backendai-agent", "service": service})
