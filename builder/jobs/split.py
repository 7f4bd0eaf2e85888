"""The build split over a number of CI jobs by what packages cost. Pure.

A release on one architecture is a group. While there are fewer jobs than groups, a job builds
several of them. With more jobs, the longest group is split: one job builds its runtime, the
others wait for it and build the services. Longest first (LPT), so that the jobs end together.
"""

import heapq
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeVar

from builder.base.errors import UsageError
from builder.base.model import Arch

_Member = TypeVar("_Member", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Packages that one job builds together: an add-on is checked against its host."""

    packages: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Group:
    """A release on one architecture: its runtime, and what is built upon it."""

    release: str
    arch: Arch
    runtime: Unit
    units: tuple[Unit, ...]

    @property
    def name(self) -> str:
        """The name of its jobs."""
        return f"{self.release}-{self.arch.value}"

    @property
    def seconds(self) -> float:
        """What it costs as one job."""
        return self.runtime.seconds + sum(unit.seconds for unit in self.units)


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a job builds of one release; no packages are all of them."""

    release: str
    packages: tuple[str, ...] = ()
    part: str = ""


@dataclass(frozen=True, kw_only=True)
class SplitJob:
    """A job, and the jobs that it waits for."""

    name: str
    arch: Arch
    shares: tuple[Share, ...]
    seconds: float
    needs: tuple[str, ...] = ()


def split_jobs(groups: Sequence[Group], count: int) -> list[SplitJob]:
    """Return at most ``count`` jobs; fewer where another one would end nothing earlier.

    Runners differ by architecture, so a job has one. Raises UsageError if there are fewer jobs
    than architectures.
    """
    archs = {arch: [group for group in groups if group.arch is arch] for arch in Arch}
    present = {arch: own for arch, own in archs.items() if own}
    if count < len(present):
        raise UsageError(
            f"--jobs {count}: each of the {len(present)} architectures needs a job of its own",
            hint=f"give --jobs {len(present)} or more",
        )
    counts = _distribute(present, count)
    return [job for arch, own in present.items() for job in _jobs_of(own, counts[arch])]


def ends(jobs: Sequence[SplitJob]) -> float:
    """Return when the last of these jobs ends, in seconds, with a runner for each."""
    seconds = {job.name: job.seconds for job in jobs}
    return max((job.seconds + sum(seconds[name] for name in job.needs) for job in jobs), default=0)


def _distribute(archs: Mapping[Arch, Sequence[Group]], count: int) -> dict[Arch, int]:
    """Give each architecture a job, and each further one to that which ends last."""

    @cache  # each is asked for again for every job that is given away
    def end(arch: Arch, jobs: int) -> float:
        return ends(_jobs_of(archs[arch], jobs))

    counts = _share_out(sorted(archs), count, end)
    # No runner for nothing: an architecture may end as late as the one that ends last.
    last = max((end(arch, counts[arch]) for arch in archs), default=0.0)
    return {
        arch: next(n for n in range(1, counts[arch] + 1) if end(arch, n) <= last) for arch in archs
    }


def _share_out(
    members: Sequence[_Member], count: int, end_of: Callable[[_Member, int], float]
) -> dict[_Member, int]:
    """Return how many of ``count`` jobs each member gets: one, and more for that which ends last.

    A member for which all that are left change nothing gets no more. ``end_of`` is asked for the
    same again and again.
    """
    counts = [1] * len(members)
    open_ = list(range(len(members)))

    def end(at: int, jobs: int) -> float:
        return end_of(members[at], jobs)

    while open_ and (left := count - sum(counts)):
        last = max(open_, key=lambda at: end(at, counts[at]))
        now = counts[last]
        before = end(last, now)
        steps = range(now + 1, now + left + 1)
        better = next((jobs for jobs in steps if end(last, jobs) < before), None)
        if better is None:
            open_.remove(last)
        else:
            counts[last] = better
    return dict(zip(members, counts, strict=True))


@lru_cache(maxsize=1 << 12)
def _group_end(group: Group, parts: int) -> float:
    return ends(_group_jobs(group, parts))


def _jobs_of(groups: Sequence[Group], count: int) -> list[SplitJob]:
    if count <= len(groups):
        return _whole_groups(groups, count)
    parts = _share_out(groups, count, _group_end)
    return [job for group in groups for job in _group_jobs(group, parts[group])]


def _whole_groups(groups: Sequence[Group], count: int) -> list[SplitJob]:
    bins = longest_first([group.seconds for group in groups], count)
    jobs = []
    for members in bins:
        own = [groups[index] for index in members]
        jobs.append(
            SplitJob(
                name=" ".join(group.name for group in own),
                arch=own[0].arch,
                shares=tuple(Share(release=group.release) for group in own),
                seconds=sum(group.seconds for group in own),
            )
        )
    return jobs


def _group_jobs(group: Group, parts: int) -> list[SplitJob]:
    """Return the jobs of one group: a single one, or one for its runtime and those after it."""
    if parts == 1:
        return _whole_groups([group], 1)
    first = SplitJob(
        name=f"{group.name}-runtime",
        arch=group.arch,
        shares=(Share(release=group.release, packages=group.runtime.packages, part="runtime"),),
        seconds=group.runtime.seconds,
    )
    jobs = [first]
    bins = longest_first([unit.seconds for unit in group.units], parts - 1)
    for number, members in enumerate(bins, start=1):
        units = [group.units[index] for index in members]
        packages = tuple(name for unit in units for name in unit.packages)
        jobs.append(
            SplitJob(
                name=f"{group.name}-{number}",
                arch=group.arch,
                shares=(Share(release=group.release, packages=packages, part=str(number)),),
                seconds=sum(unit.seconds for unit in units),
                needs=(first.name,),
            )
        )
    return jobs


def longest_first(costs: Sequence[float], bins: int) -> list[list[int]]:
    """Return the indices of the costs in at most ``bins`` lists, each next to the emptiest."""
    heap = [(0.0, number) for number in range(min(bins, len(costs)))]
    filled: list[list[int]] = [[] for _ in heap]
    for index in sorted(range(len(costs)), key=lambda one: (-costs[one], one)):
        load, number = heapq.heappop(heap)
        filled[number].append(index)
        heapq.heappush(heap, (load + costs[index], number))
    return [sorted(members) for members in filled]
