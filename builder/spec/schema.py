"""The schema of ``pkgspec/``: the tables that a packager writes, as frozen models.

Keys are written with hyphens in TOML. Unknown keys are refused. The JSON Schema
in ``pkgspec/schema/`` is made from these models.
"""

from enum import StrEnum
from typing import Annotated, Literal

from packaging.version import Version
from pydantic import Field, StringConstraints
from pydantic.functional_validators import model_validator
from pydantic.json_schema import SkipJsonSchema

from builder.base.model import Arch, PackageFormat
from builder.spec.formats import DebSpec, RpmSpec
from builder.spec.types import (
    SERVICE_NAME,
    Description,
    GroupName,
    Mode,
    PackageName,
    RequirementText,
    SourcePath,
    Strict,
    Summary,
    TargetPath,
    Text,
    VersionText,
)


class PayloadKind(StrEnum):
    """What an entry of the payload is, to dpkg and rpm."""

    FILE = "file"
    CONFFILE = "conffile"
    DIR = "dir"
    SYMLINK = "symlink"


class PayloadSpec(Strict):
    """One file, folder or link that the package puts on the target."""

    target: TargetPath
    source: SourcePath | None = Field(
        None, description="below the project's root; *.j2 renders, for a target *.gz it is packed"
    )
    link: Text | None = Field(None, description="what a symlink points to")
    kind: PayloadKind = PayloadKind.FILE
    mode: Mode | None = Field(None, description="default 0644, folders 0755")
    owner: Text = "root"
    group: Text = "root"
    formats: tuple[PackageFormat, ...] = (PackageFormat.DEB, PackageFormat.RPM)

    @model_validator(mode="after")
    def _fits_kind(self) -> "PayloadSpec":
        needs_source = self.kind in (PayloadKind.FILE, PayloadKind.CONFFILE)
        if needs_source != (self.source is not None):
            raise ValueError(f"a {self.kind} {'needs' if needs_source else 'has no'} 'source'")
        if (self.kind is PayloadKind.SYMLINK) != (self.link is not None):
            raise ValueError("'link' belongs to kind = \"symlink\", and to nothing else")
        return self

    @property
    def bits(self) -> int:
        """The mode as a number."""
        default = "0755" if self.kind is PayloadKind.DIR else "0644"
        return int(self.mode or default, 8)


class SampleSpec(Strict):
    """A file taken, at build time, from a wheel of the release that is not installed."""

    distribution: RequirementText
    member: Text = Field(description="path in the wheel; a trailing /* takes the folder's files")
    target: TargetPath


class PythonSpec(Strict):
    """The Python environment of a package: what is installed into it."""

    requirement: RequirementText = Field(description="pinned to the release's version")
    extra_requirements: tuple[RequirementText, ...] = ()
    foreign_binaries: tuple[Text, ...] = Field(
        (), description="globs of files that run elsewhere (containers), not checked for libraries"
    )


_FACTS_OF_THE_RECIPE = (
    *("config", "listens", "registries"),
    *("first_start", "has_database"),
)


class ServiceSpec(Strict):
    """The service that a package runs."""

    name: Annotated[str, StringConstraints(pattern=SERVICE_NAME)]
    module: Text | None = Field(None, description="the server; without one, only commands")
    arguments: tuple[Text, ...] = ()
    command: Text | None = Field(None, description="`backend.ai COMMAND` reaches this service")
    user: Text = "backendai"
    group: GroupName | None = Field(
        None, description="what it runs with; by default, a group of its own, named as the package"
    )
    units: tuple[Text, ...] = ()
    manual_units: tuple[Text, ...] = Field((), description="shipped, for the admin to enable")
    borrowing_units: tuple[Text, ...] = Field(
        (), description="another package's, which run this one's programs: stopped before those go"
    )
    config_option: Text | None = Field(
        None,
        description="names the server's file: its add-ons find theirs by name, not by variable",
    )
    holds_data: bool = Field(
        False, description="others' data: a purge leaves it, an upgrade does not restart it"
    )
    stop_signals: dict[VersionText, Literal["SIGINT", "SIGTERM"]] = Field(
        {}, description="what stops it, by the first release that wants it; default: SIGTERM"
    )
    # Facts of the service's recipe, which builder.spec.service reads there.
    config: SkipJsonSchema[tuple[Text, ...]] = ()  # files under /etc/backend.ai
    listens: SkipJsonSchema[bool] = False
    registries: SkipJsonSchema[bool] = False  # it trusts the registries of site.toml
    first_start: SkipJsonSchema[bool] = False  # it imports while its stores are filled
    has_database: SkipJsonSchema[bool] = False

    def stop_signal(self, version: str) -> str:
        """Return the signal that stops the release ``version`` of the service."""
        lines = {Version(since): name for since, name in self.stop_signals.items()}
        newest = max((since for since in lines if since <= Version(version)), default=None)
        return lines[newest] if newest else "SIGTERM"

    @model_validator(mode="before")
    @classmethod
    def _refuse_facts_of_the_recipe(cls, table: object) -> object:
        if isinstance(table, dict):
            for key in _FACTS_OF_THE_RECIPE:
                if key in table:
                    raise ValueError(f"'{key}' is written in the service's recipe.toml")
        return table


class NeedSpec(Strict):
    """Something of the hardware's vendor that an add-on is of no use without."""

    install: Text = Field(description="what to install, in the words of the warning")
    paths: tuple[Text, ...] = Field((), description="globs; here and below: one is enough")
    programs: tuple[Text, ...] = ()
    libraries: tuple[Text, ...] = Field((), description="names or paths for the dynamic loader")

    @model_validator(mode="after")
    def _is_seen_by_something(self) -> "NeedSpec":
        if not (self.paths or self.programs or self.libraries):
            raise ValueError("needs one of 'paths', 'programs' and 'libraries' to be seen by")
        return self


class AddonFileSpec(Strict):
    """A file of the add-on's in /etc/backend.ai: made on the host where it is absent."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    source: SourcePath


class AddonSpec(Strict):
    """What an add-on brings to the service of another package, and what it needs."""

    host: PackageName = Field(description="the package whose Python the add-on is put into")
    service: Annotated[str, StringConstraints(pattern=SERVICE_NAME)]
    name: Annotated[str, StringConstraints(pattern=SERVICE_NAME)]
    group: Text = Field(description="the entry points' group that the service looks into")
    plugins: dict[str, Text] = Field(description="entry points, as the wheels have them")
    allow: tuple[Text, ...] = Field((), description="import packages that the service is to allow")
    keys: tuple[Text, ...] = Field(
        (), description="kinds of devices; each has one add-on at a time"
    )
    keys_from: Text | None = Field(None, description="FILE:KEY in /etc/backend.ai has its kind")
    config: Text | None = Field(
        None, description="the service's file in /etc/backend.ai that has lists of plug-ins"
    )
    allow_key: Text | None = Field(
        None, description="dotted key in it: what is loaded, all without it"
    )
    block_key: Text | None = Field(None, description="likewise: what is not")
    loads_all: bool = Field(False, description="no allow list is made where there is none")
    needs: tuple[NeedSpec, ...] = ()
    files: tuple[AddonFileSpec, ...] = ()
    etcd: dict[str, str] = Field({}, description="keys that the cluster's etcd should have")


class GatewaySpec(Strict):
    """A GraphQL gateway: the schemas that it is checked against and ships with."""

    schemas_of: PackageName = Field(description="the package whose wheels have the schemas")
    operations_of: PackageName = Field(description="the package that has the Web UI")
    operations_in: Text = Field(description="the distribution in it whose scripts query them")
    program: TargetPath = Field(
        description="the folder of its program, which has `dump` and `gate`"
    )
    target: TargetPath = Field(description="where the schemas are installed")


class PackageSpec(Strict):
    """One package: ``pkgspec/packages/NAME.toml``."""

    name: PackageName
    summary: Summary
    description: Description
    section: Text = "net"
    group: Text = "Applications/System"
    depends_common: bool = False
    depends_release: tuple[PackageName, ...] = Field(
        (), description="others of the release, needed at exactly its version"
    )
    runtime: bool = Field(
        False, description="CPython and the wheels that every service of the release has"
    )
    runtime_wheels: tuple[Text, ...] = Field(
        (), description="distributions that its programs use, and the runtime has to have"
    )
    python: PythonSpec | None = None
    service: ServiceSpec | None = None
    addon: AddonSpec | None = None
    gateway: GatewaySpec | None = None
    archs: tuple[Arch, ...] = tuple(Arch)
    payload: tuple[PayloadSpec, ...] = ()
    sample: tuple[SampleSpec, ...] = ()
    deb: DebSpec = DebSpec()
    rpm: RpmSpec = RpmSpec()

    def of_format(self, fmt: PackageFormat) -> DebSpec | RpmSpec:
        """Return the table of this format."""
        match fmt:
            case PackageFormat.DEB:
                return self.deb
            case PackageFormat.RPM:
                return self.rpm

    @model_validator(mode="after")
    def _python_serves(self) -> "PackageSpec":
        if self.python and not (self.service or self.addon):
            raise ValueError(
                "[python] needs [service]: its name is the folder under /opt; or [addon]"
            )
        if self.runtime and (self.python or self.service or self.addon):
            raise ValueError(
                "'runtime' is for a package without [python], [service] and [addon]: its wheels"
                " follow from the locks of the services"
            )
        return self

    @property
    def has_environment(self) -> bool:
        """Whether it is a service with a Python environment of its own, upon the runtime."""
        return self.python is not None and self.addon is None

    @property
    def is_native(self) -> bool:
        """Whether the payload depends on the architecture."""
        return self.runtime or self.python is not None

    @property
    def has_opt(self) -> bool:
        """Whether its payload has anything below /opt."""
        return self.is_native or any(entry.target.startswith("/opt/") for entry in self.payload)

    @property
    def folder(self) -> str | None:
        """The folder under /opt that its Python is in; the runtime's is for all."""
        owner = self.service or self.addon
        if owner is None:
            return None
        return owner.name if isinstance(owner, ServiceSpec) else owner.service


class LibrarySpec(Strict):
    """A shared library that the distribution brings, and what to depend on for it."""

    deb: Text
    rpm: Text | None = Field(None, description="default: the soname, as rpm itself records it")


class ProjectSpec(Strict):
    """What all packages have in common: ``pkgspec/project.toml``."""

    maintainer: Annotated[Text, StringConstraints(pattern=r"^.+ <[^<>@\s]+@[^<>@\s]+>$")]
    vendor: Text
    homepage: Text
    licence: Text
    common: PackageName
    runtime: PackageName = Field(description="has CPython and the wheels of all services")
    own_folders: tuple[Text, ...] = Field(
        (), description="folders whose name begins so, and all below them, belong to the packages"
    )
    libraries: dict[str, LibrarySpec] = {}  # noqa: RUF012 - pydantic copies it
    payload: tuple[PayloadSpec, ...] = Field(
        (), description="what every package has; {package} in a target stands for its name"
    )
