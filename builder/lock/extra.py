"""Locks of a site's own plug-ins: each under the present lock of its host, which stays as it is."""

from collections.abc import Sequence

from builder.base.cache import Cache
from builder.base.model import Arch
from builder.index.uv import Target
from builder.lock.addons import lock_addons
from builder.lock.file import Lock, load_lock
from builder.lock.session import Session
from builder.spec import ReleaseSpec, Spec


def lock_own(spec: Spec, release: ReleaseSpec, cache: Cache) -> list[Lock]:
    """Resolve the site's packages of a release; returns their locks.

    Raises LockError if one needs another version of what its host has, or two install the same.
    """
    addons = [spec.packages[name] for name in release.packages if name in spec.own]
    names: Sequence[str] = [addon.addon.host for addon in addons if addon.addon]
    hosts = {name: load_lock(spec.root, release.name, name) for name in dict.fromkeys(names)}
    if not addons:
        return []
    first = hosts[names[0]]
    session = Session(
        release=release,
        family=[spec.packages[name] for name in release.packages if name not in spec.own],
        requires_python=first.requires_python,
        targets=[Target(minor=first.python, arch=arch, glibc=release.glibc) for arch in Arch],
        cache=cache,
    )
    return lock_addons(addons, hosts, session, {})
