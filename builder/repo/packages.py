"""Packages in their order, of any number: who reads them holds one at a time, or a run of them.

A repository of 100,000 versions has one as a reader sees it (:mod:`builder.repo.state_packages`),
a bundle of a few holds them itself. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict, Unpack

from builder.base.model import Arch, PackageFormat
from builder.repo.model import RepoPackage

_LONGEST = 4  # times the mean


class Wanted(TypedDict, total=False):
    """What packages are chosen by; None, or nothing, chooses all."""

    fmt: PackageFormat | None
    name: str | None
    component: str | None
    arch: Arch | None  # of the hosts that can install them


class Packages(Protocol):
    """Packages that can be read again, sorted by format, name, version and architecture."""

    def __iter__(self) -> Iterator[RepoPackage]:
        """Yield all of them."""
        ...

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def where(self, **wanted: Unpack[Wanted]) -> "Packages":
        """Return those of a format, of a name, of a component, for hosts of an architecture."""
        ...

    def run(self, at: int, first: RepoPackage, count: int) -> Iterable[RepoPackage]:
        """Return some that follow each other, to be read again: ``first`` is at place ``at``."""
        ...

    def names(self) -> list[str]:
        """Return their names, sorted, each once."""
        ...


@dataclass(frozen=True)
class HeldPackages:
    """A few packages, which are held."""

    packages: Sequence[RepoPackage] = ()

    def __iter__(self) -> Iterator[RepoPackage]:
        return iter(self.packages)

    def __len__(self) -> int:
        return len(self.packages)

    def where(self, **wanted: Unpack[Wanted]) -> "HeldPackages":
        """Return some of them: see :meth:`Packages.where`."""
        fmt, name = wanted.get("fmt"), wanted.get("name")
        component, arch = wanted.get("component"), wanted.get("arch")
        return HeldPackages(
            [
                package
                for package in self.packages
                if (fmt is None or package.fmt is fmt)
                and (name is None or package.name == name)
                and (component is None or package.component == component)
                and (arch is None or package.fits(arch))
            ]
        )

    def run(self, at: int, first: RepoPackage, count: int) -> Iterable[RepoPackage]:  # noqa: ARG002
        """Return some that follow each other: see :meth:`Packages.run`."""
        return self.packages[at : at + count]

    def names(self) -> list[str]:
        """Return their names."""
        return sorted({package.name for package in self.packages})


@dataclass(frozen=True, kw_only=True)
class Run:
    """Packages that follow each other, as they are now, and as they are read again later."""

    at: int  # the place of the first among all
    packages: tuple[RepoPackage, ...]  # a part of an index is keyed by them: do not keep them
    again: Iterable[RepoPackage]


class Splitter:
    """Splits packages into runs of about ``mean``; one more changes only its own run.

    A run ends where the hash of a package says so, hence not at a place that others move.
    """

    def __init__(self, packages: Packages, mean: int) -> None:
        self._packages = packages
        self._mean = mean
        self._at = 0
        self._run: list[RepoPackage] = []

    def add(self, package: RepoPackage) -> Run | None:
        """Take the next package; returns the run that it ends."""
        self._run.append(package)
        ends = int(package.sha256[:8], 16) % self._mean == 0
        return self.end() if ends or len(self._run) == self._mean * _LONGEST else None

    def end(self) -> Run | None:
        """Return the last run, if one has begun."""
        if not self._run:
            return None
        again = self._packages.run(self._at, self._run[0], len(self._run))
        run = Run(at=self._at, packages=tuple(self._run), again=again)
        self._at, self._run = self._at + len(self._run), []
        return run


def split_packages(packages: Packages, mean: int) -> Iterator[Run]:
    """Yield the runs of packages: see :class:`Splitter`."""
    splitter = Splitter(packages, mean)
    for package in packages:
        if run := splitter.add(package):
            yield run
    if run := splitter.end():
        yield run
