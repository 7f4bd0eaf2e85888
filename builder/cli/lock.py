"""``builder lock``."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from builder.base import log
from builder.base.errors import LockError
from builder.base.paths import extra_root
from builder.cli.options import json_option, project_cache, project_spec, release_option
from builder.lock import Lock, save_lock, stale_locks
from builder.lock.extra import lock_own
from builder.lock.pylock import write_pylock
from builder.lock.resolve import make_locks
from builder.release.facts import release_locks
from builder.runtime.pins import load_pins


@click.command("lock")
@release_option
@click.option("--upgrade", is_flag=True, help="Take the newest versions, not the present ones.")
@click.option("--check", is_flag=True, help="Only say whether the locks fit the spec; no network.")
@click.option(
    "--pylock",
    type=click.Path(path_type=Path, file_okay=False),
    help="Only write the present locks into this folder as pylock.RELEASE-PACKAGE.toml (PEP 751).",
)
@json_option
def lock_command(
    release: str | None, upgrade: bool, check: bool, pylock: Path | None, as_json: bool
) -> None:
    """Resolve a release into hash-pinned locks, one for each package.

    With BUILDER_PKGSPEC_EXTRA, only the site's own packages, under the present locks.
    """
    spec = project_spec()
    wanted = spec.release(release)
    if pylock is not None:
        for lock in release_locks(spec, wanted):
            log.step(f"wrote {write_pylock(lock, pylock)}")
        return
    if check:
        problems = stale_locks(spec, wanted)
        if problems:
            raise LockError("\n".join(problems), hint="run 'builder lock'")
        log.step(f"the locks of {wanted.name} fit pkgspec/")
        return
    if spec.own:
        own = lock_own(spec, wanted, project_cache())
        _report([save_lock(_own_root(), lock) for lock in own], own, as_json=as_json)
        return
    pins = load_pins()
    versions = {pin.version for pin in (*pins.standalone, *pins.source)}
    locks = make_locks(spec, wanted, sorted(versions), project_cache(), upgrade=upgrade)
    paths = [save_lock(spec.root, lock) for lock in locks]
    _report([path.relative_to(spec.root.parent) for path in paths], locks, as_json=as_json)


def _own_root() -> Path:
    root = extra_root()
    assert root is not None, "the spec has packages of it"
    return root


def _report(paths: Sequence[Path], locks: Sequence[Lock], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({lock.package: len(lock.wheel) for lock in locks}, indent=2))
    for path in paths:
        log.step(f"wrote {path}")
