"""A family of add-ons: one data file that stands for a package per member.

``pkgspec/accelerators.toml`` has the common values once; each member has its own. A site's
plug-ins of any service are families, too (:mod:`builder.spec.extra`). Expanded, they are
packages like any other.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic.functional_validators import model_validator

from builder.base.model import Arch
from builder.spec.formats import DebScripts, DebSpec, RpmScripts, RpmSpec
from builder.spec.schema import (
    AddonFileSpec,
    AddonSpec,
    NeedSpec,
    PackageSpec,
    PayloadSpec,
    PythonSpec,
)
from builder.spec.types import (
    PackageName,
    RequirementText,
    SourcePath,
    Strict,
    Summary,
    TargetPath,
    Text,
)

_SOURCE = "postinst/addons/addon.toml.j2"
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]


class WordsSpec(Strict):
    """Package names by format."""

    deb: tuple[Text, ...] = ()
    rpm: tuple[Text, ...] = ()


class MemberSpec(Strict):
    """One add-on of the family, and what only it has."""

    name: _Name
    summary: Summary
    description: Text
    plugins: dict[str, Text] = Field(description="entry points, as the wheel has them")
    requirement: RequirementText | None = Field(
        None, description="the wheel, in place of the family's; with its version, such as x==1.0"
    )
    allow: tuple[Text, ...] = Field((), description="import packages that the service is to allow")
    keys: tuple[Text, ...] = Field((), description="kinds of devices")
    keys_from: Text | None = None
    needs: tuple[NeedSpec, ...] = ()
    files: tuple[AddonFileSpec, ...] = ()
    etcd: dict[str, str] = Field({}, description="keys that the cluster's etcd should have")
    recommends: WordsSpec = WordsSpec()
    archs: tuple[Arch, ...] = tuple(Arch)
    foreign_binaries: tuple[Text, ...] = ()


class FamilySpec(Strict):
    """The data file of a family."""

    host: PackageName = Field(description="the package whose service the add-ons extend")
    package: Text = Field(description="name of a member's package; {name} stands for the member")
    requirement: Text = Field("{name}", description="what a member's wheel is called, likewise")
    group: Text = Field(description="the entry points' group that the service looks into")
    config: Text | None = Field(
        None, description="the service's file in /etc/backend.ai that has lists of plug-ins"
    )
    allow_key: Text | None = Field(
        None, description="dotted key in it: what is loaded, all without it"
    )
    block_key: Text | None = Field(None, description="likewise: what is not")
    loads_all: bool = Field(
        False, description="no allow list is made where there is none: all plug-ins are loaded"
    )
    section: Text = "net"
    rpm_group: Text = "Applications/System"
    about: Text = Field(description="what every description begins with")
    folder: TargetPath | None = Field(
        None, description="where the target's tool finds the add-ons: that of the host's plug-ins"
    )
    source: SourcePath = Field(_SOURCE, description="renders what the tool reads of a member")
    deb: DebScripts = DebScripts()
    rpm: RpmScripts = RpmScripts()
    releases: tuple[Text, ...] = Field(
        (), description="a site's family: the lines that have it; all that have the host without it"
    )
    member: Annotated[tuple[MemberSpec, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _lists_are_whole(self) -> "FamilySpec":
        given = (self.config, self.allow_key, self.block_key)
        if any(given) and not all(given):
            raise ValueError("'config', 'allow-key' and 'block-key' belong together")
        if self.config and not all(member.allow for member in self.member):
            raise ValueError("each member needs 'allow', because the service has lists")
        return self

    def names(self) -> list[str]:
        """Return the names of the packages of all members."""
        return [self._package_name(member) for member in self.member]

    def problems(
        self, packages: Mapping[str, PackageSpec], label: str = "pkgspec/accelerators"
    ) -> list[str]:
        """Return the problems between the members, or with their host or packages before them."""
        found = []
        if self.host not in packages or packages[self.host].service is None:
            found.append(f"{label}: 'host' names '{self.host}', which has no service")
        elif packages[self.host].python is None:
            found.append(f"{label}: 'host' names '{self.host}', which has no Python")
        names = Counter(member.name for member in self.member)
        found += [f"{label}: two members are called '{n}'" for n in _twice(names)]
        points = Counter(name for member in self.member for name in member.plugins)
        # The service refuses to start if two plug-ins have one name.
        found += [f"{label}: two members have the entry point '{name}'" for name in _twice(points)]
        others = [package for package in packages.values() if package.addon]
        for other in others:
            assert other.addon is not None
            if (other.addon.host, other.addon.group) == (self.host, self.group):
                found += [
                    f"{label}: the entry point '{name}' is that of {other.name}, too"
                    for name in sorted(set(points) & set(other.addon.plugins))
                ]
        taken = {package.addon.name: package.name for package in others if package.addon}
        found += [
            f"{label}: a member is called '{name}', as that of {taken[name]}"
            for name in sorted(set(names) & set(taken))
            if taken[name] not in self.names()
        ]
        for name in self.names():
            if name in packages:
                where = "another family" if packages[name].addon else "pkgspec/packages/"
                found.append(f"{label}: {name} is in {where}, too")
        return found

    def expand(self, packages: Mapping[str, PackageSpec]) -> dict[str, PackageSpec]:
        """Return a package for each member, once :meth:`problems` has found none."""
        service = packages[self.host].service
        assert service is not None
        made = (self._expand_member(member, service.name) for member in self.member)
        return {package.name: package for package in made}

    def _package_name(self, member: MemberSpec) -> str:
        return self.package.replace("{name}", member.name)

    def _expand_member(self, member: MemberSpec, service: str) -> PackageSpec:
        addon = AddonSpec.model_construct(
            host=self.host,
            service=service,
            group=self.group,
            config=self.config,
            allow_key=self.allow_key,
            block_key=self.block_key,
            loads_all=self.loads_all,
            **{
                key: getattr(member, key)
                for key in ("name", "plugins", "allow", "keys", "keys_from", "needs", "files")
            },
            etcd=member.etcd,
        )
        folder = self.folder or plugins_folder(service)
        payload = [_payload(self.source, f"{folder}/{member.name}.toml")]
        payload += [_payload(file.source, f"{folder}/files/{file.name}") for file in member.files]
        python = PythonSpec.model_construct(
            requirement=member.requirement or self.requirement.replace("{name}", member.name),
            foreign_binaries=member.foreign_binaries,
        )
        return PackageSpec.model_construct(
            name=self._package_name(member),
            summary=member.summary,
            description=f"{self.about.strip()}\n{member.description.strip()}\n",
            section=self.section,
            group=self.rpm_group,
            depends_release=(self.host,),
            python=python,
            addon=addon,
            archs=member.archs,
            payload=tuple(payload),
            deb=DebSpec.model_construct(recommends=member.recommends.deb, scripts=self.deb),
            rpm=RpmSpec.model_construct(recommends=member.recommends.rpm, scripts=self.rpm),
        )


def plugins_folder(service: str) -> str:
    """Return the folder of a service's plug-ins, for which its deb has a trigger."""
    return f"/usr/lib/backendai/plugins/{service}"


def _payload(source: str, target: str) -> PayloadSpec:
    return PayloadSpec.model_construct(source=source, target=target)


def _twice(times: Counter[str]) -> list[str]:
    return sorted(name for name, count in times.items() if count > 1)
