"""The maintainer scripts that every deb has, whatever its file in ``pkgspec/`` names.

Each package refuses if /proc is not mounted, so that a run of dpkg installs or removes
all of its packages or none. A package with a payload below /opt also restores the folders
that dpkg removes beside that payload.
"""

from pathlib import Path

from builder.spec.formats import DebScripts
from builder.spec.schema import PackageSpec

_FOR_ALL = ("preinst", "prerm")
_WITH_OPT = ("postrm",)


def with_scripts(package: PackageSpec, project: Path) -> PackageSpec:
    """Return ``package`` with the scripts that it does not name; ``project`` has the sources."""
    own = package.deb.scripts
    wanted = (*_FOR_ALL, *_WITH_OPT) if package.has_opt else _FOR_ALL
    added = {
        name: source
        for name in wanted
        if getattr(own, name) is None and (project / (source := _source(name))).is_file()
    }
    if not added:
        return package
    scripts = own.model_copy(update=added)
    return package.model_copy(update={"deb": package.deb.model_copy(update={"scripts": scripts})})


def _source(script: str) -> str:
    assert script in DebScripts.model_fields
    return f"debian/package.{script}.sh.j2"
