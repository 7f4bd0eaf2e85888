"""A family of add-ons: one data file that stands for a package per member.

``pkgspec/accelerators.toml`` has the common values once; each member has its own.
Expanded, they are packages like any other.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

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
from builder.spec.types import PackageName, SourcePath, Strict, Summary, TargetPath, Text

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
    allow: tuple[Text, ...] = Field(description="import packages that the service is to allow")
    keys: Annotated[tuple[Text, ...], Field(min_length=1)]
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
    requirement: Text = Field(description="what a member's wheel is called, likewise")
    group: Text = Field(description="the entry points' group that the service looks into")
    config: Text = Field(description="the service's file in /etc/backend.ai that allows plug-ins")
    allow_key: Text = Field(description="dotted key in it: what is loaded, all without it")
    block_key: Text = Field(description="likewise: what is not")
    section: Text = "net"
    rpm_group: Text = "Applications/System"
    about: Text = Field(description="what every description begins with")
    folder: TargetPath = Field(description="where the target's tool finds the add-ons")
    source: SourcePath = Field(description="renders what the tool reads of a member")
    deb: DebScripts = DebScripts()
    rpm: RpmScripts = RpmScripts()
    member: Annotated[tuple[MemberSpec, ...], Field(min_length=1)]

    def names(self) -> list[str]:
        """Return the names of the packages of all members."""
        return [self._package_name(member) for member in self.member]

    def problems(self, packages: Mapping[str, PackageSpec]) -> list[str]:
        """Return the problems between the members, or with their host."""
        found = []
        if self.host not in packages or packages[self.host].service is None:
            found.append(f"pkgspec/accelerators: 'host' names '{self.host}', which has no service")
        names = Counter(member.name for member in self.member)
        found += [f"pkgspec/accelerators: two members are called '{n}'" for n in _twice(names)]
        points = Counter(name for member in self.member for name in member.plugins)
        # The service refuses to start if two plug-ins have one name.
        found += [
            f"pkgspec/accelerators: two members have the entry point '{name}'"
            for name in _twice(points)
        ]
        return found + [
            f"pkgspec/accelerators: {name} is in pkgspec/packages/, too"
            for name in self.names()
            if name in packages
        ]

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
            **{
                key: getattr(member, key)
                for key in ("name", "plugins", "allow", "keys", "keys_from", "needs", "files")
            },
            etcd=member.etcd,
        )
        payload = [_payload(self.source, f"{self.folder}/{member.name}.toml")]
        payload += [
            _payload(file.source, f"{self.folder}/files/{file.name}") for file in member.files
        ]
        python = PythonSpec.model_construct(
            requirement=self.requirement.replace("{name}", member.name),
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


def _payload(source: str, target: str) -> PayloadSpec:
    return PayloadSpec.model_construct(source=source, target=target)


def _twice(times: Counter[str]) -> list[str]:
    return sorted(name for name, count in times.items() if count > 1)
