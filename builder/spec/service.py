"""The implications of a package's [service]: files and scripts that every service has.

Files of a single service lie in ``postinst/services/NAME/``, and replace the template that is
for all services. An entry or a script that the package names itself replaces both.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from builder.base.errors import SpecError
from builder.base.paths import TARGET_ROOT
from builder.spec.family import plugins_folder
from builder.spec.formats import DebScripts, RpmScripts
from builder.spec.schema import PackageSpec, PayloadSpec, ServiceSpec
from builder.spec.types import GroupName
from builder.spec.validate import read_toml

_SHIPPED = "/usr/lib/backendai"
# Files that the tool on the host reads, by their names in the service's folder.
_DATA = {"recipe": "recipes", "seed": "seed", "upgrade": "upgrade", "suggestions": "suggestions"}
_DEB = ("preinst", "postinst", "prerm", "postrm")
_RPM = ("pre", "post", "preun", "postun", "posttrans")


def with_service(package: PackageSpec, project: Path) -> PackageSpec:
    """Return ``package`` with the files and scripts of its service, from ``project``."""
    service = package.service
    if service is None:
        return package
    facts = _facts_of_recipe(service, project) | {"group": _group(package, service)}
    service = service.model_copy(update=facts)
    package = package.model_copy(update={"service": service})
    named = {entry.target for entry in package.payload}
    implied = [
        PayloadSpec.model_validate({"source": source, "target": target, "mode": mode})
        for source, target, mode in _files(package, service, project)
        if source is not None and target not in named
    ]
    update: dict[str, object] = {"payload": (*package.payload, *implied)}
    if service.units:
        deb, rpm = package.deb, package.rpm
        own = {name: getattr(deb.scripts, name) for name in DebScripts.model_fields}
        scripts = DebScripts.model_validate(own | _scripts("debian", _deb(package), own, project))
        # A site's plug-ins are installed and removed: only where they have a Python to go to.
        plugins = (plugins_folder(service.name),) if package.python else ()
        interest = (*deb.triggers_interest, *plugins)
        update["deb"] = deb.model_copy(update={"scripts": scripts, "triggers_interest": interest})
        own = {name: getattr(rpm.scripts, name) for name in RpmScripts.model_fields}
        scriptlets = RpmScripts.model_validate(own | _scripts("rpm", _RPM, own, project))
        update["rpm"] = rpm.model_copy(update={"scripts": scriptlets})
    return package.model_copy(update=update)


def _facts_of_recipe(service: ServiceSpec, project: Path) -> dict[str, object]:
    """Return the facts of the recipe that units and scripts are made from, too."""
    path = project / "postinst/services" / service.name / "recipe.toml"
    if not path.is_file():
        return {}
    label = str(path.relative_to(project))
    recipe, problems = read_toml(path, label)
    if problems:
        raise SpecError(problems)
    try:
        return {
            "config": tuple(str(config["file"]) for config in recipe.get("config", [])),
            "listens": "listens" in recipe,
            "registries": bool(recipe.get("registries", False)),
            "first_start": "first-start" in recipe,
            "has_database": "database" in recipe.get("needs", {}),
        }
    except (LookupError, TypeError) as error:
        raise SpecError([f"{label}: {error}"]) from error


def _group(package: PackageSpec, service: ServiceSpec) -> str:
    """Return the group of the service's processes: its own, unless root runs it."""
    own = service.user if service.user == "root" else package.name
    try:
        return TypeAdapter(GroupName).validate_python(service.group or own)
    except ValidationError as error:
        problem = f"{package.name}: '{own}' is no name of a group: set 'group' under [service]"
        raise SpecError([problem]) from error


def _files(
    package: PackageSpec, service: ServiceSpec, project: Path
) -> Iterator[tuple[str | None, str, str]]:
    """Yield source, target and mode of each file; no source if the project has none for it."""
    folder = f"postinst/services/{service.name}"
    unit = f"{package.name}.service"
    if unit in service.units:
        source = _first(project, f"{folder}/unit.service", "systemd/service.service")
        yield source, f"/usr/lib/systemd/system/{unit}", "0644"
    if service.units:
        source = _first(project, f"{folder}/tmpfiles.conf", "systemd/service.tmpfiles.conf")
        yield source, f"/usr/lib/tmpfiles.d/{package.name}.conf", "0644"
        if service.group == package.name:
            source = _first(project, "systemd/service.sysusers.conf")
            yield source, f"/usr/lib/sysusers.d/{package.name}.conf", "0644"
    if package.python and package.folder:
        script = f"{TARGET_ROOT / package.folder}/bin/run-{service.name}"
        yield _first(project, "systemd/run-service"), script, "0755"
    if service.command:
        target = f"{_SHIPPED}/dispatch.d/{service.command}"
        yield _first(project, "postinst/services/dispatch"), target, "0644"
    for name, shipped in _DATA.items():
        source = _first(project, f"{folder}/{name}.toml")
        yield source, f"{_SHIPPED}/{shipped}/{service.name}.toml", "0644"


def _deb(package: PackageSpec) -> tuple[str, ...]:
    """Return the deb's scripts: only a package with a Python can refuse an upgrade in preinst."""
    return _DEB if package.python else _DEB[1:]


def _scripts(
    folder: str, names: tuple[str, ...], own: dict[str, str | None], project: Path
) -> dict[str, str | None]:
    return {
        name: _first(project, f"{folder}/service.{name}.sh") for name in names if own[name] is None
    }


def _first(project: Path, *sources: str) -> str | None:
    """Return the first of the sources that the project has, as a template or as it is."""
    spelled = (spelling for source in sources for spelling in (source, f"{source}.j2"))
    return next((name for name in spelled if (project / name).is_file()), None)
