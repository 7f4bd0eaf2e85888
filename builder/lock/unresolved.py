"""Says which services of a release the index has no solution for, and what may be changed."""

from collections.abc import Sequence

from builder.base.errors import LockError
from builder.index.uv import UnresolvedError, resolve
from builder.lock.inputs import requirements
from builder.lock.session import Session, limits_of
from builder.spec import PackageSpec

_GUIDE = "docs/guides/add-a-line.md"


def explain(
    error: UnresolvedError, packages: Sequence[PackageSpec], session: Session
) -> UnresolvedError:
    """Return the error with the packages that do not resolve, and a hint that names the file."""
    release = session.release
    lines = [f"{package.name}: {', '.join(requirements(package, release))}" for package in packages]
    return UnresolvedError(
        f"release {release.name} cannot be resolved",
        wanted=lines,
        reason=error.reason,
        target=error.target,
        hint=_hint(error.unbuilt, release.name, session.begun_from),
    )


def explain_together(error: UnresolvedError, session: Session) -> UnresolvedError:
    """The same for all services at once: those that do not resolve alone, or else all of them."""
    members = [package for package in session.family if package.python]
    alone = [package for package in members if _fails(package, error, session)]
    return explain(error, alone or members, session)


def _fails(package: PackageSpec, error: UnresolvedError, session: Session) -> bool:
    limits = limits_of(session.release, error.target.arch, {})
    try:
        resolve(requirements(package, session.release), error.target, limits, session.cache)
    except LockError:
        return True
    return False


def _hint(unbuilt: str, name: str, begun_from: str | None) -> str:
    """What may be changed, in a file that is there: a new line has none before it resolves."""
    file = f"pkgspec/releases/{begun_from or name}.toml"
    allows = f"[sdist.{unbuilt}]" if unbuilt else "constraints and extra-requirements"
    does = "allows building it" if unbuilt else "decide what may be taken"
    if begun_from:
        return (
            f"begin the line with a copy of {file}, as {_GUIDE} says: {allows} of a release {does}"
        )
    return f"{allows} in {file} {does}"
