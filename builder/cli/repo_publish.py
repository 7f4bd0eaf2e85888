"""Options of ``builder repo promote`` and ``publish``: phased updates and snapshots."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from builder.base import log
from builder.cli.options import project_spec
from builder.repo.advisories import list_advisories
from builder.repo.core import Repository
from builder.repo.dated import take_snapshots
from builder.repo.model import RepoPackage
from builder.repo.rollout import begin_rollout, continue_rollouts

Command = TypeVar("Command", bound=Callable[..., Any])


def phased_option(text: str) -> Callable[[Command], Command]:
    """Return the option for the share of the hosts."""
    share = click.IntRange(min=0, max=100)
    return click.option("--phased", type=share, metavar="PERCENT", help=text)


def phase_promoted(
    repository: Repository, channel: str, promoted: Sequence[RepoPackage], percent: int | None
) -> None:
    """Phase packages that were promoted, if that was asked for."""
    if percent is None:
        return
    advisories = list_advisories(project_spec().releases.values())
    phased = begin_rollout(repository, channel, promoted, percent, advisories)
    for package in phased:
        log.step(f"{package.label} reaches {percent} % of the hosts that upgrade by apt")
    if len(phased) < len(promoted):
        log.step(
            "all others reach every host: rpms, older versions, and what is new in the channel"
        )


def prepare_publication(repository: Repository, options: Mapping[str, Any], now: datetime) -> None:
    """Continue rollouts and take snapshots, if that was asked for."""
    if options["phased"] is not None:
        count = continue_rollouts(repository, options["phased"])
        log.step(f"{count} packages reach {options['phased']} % of the hosts that upgrade by apt")
    if options["snapshot"]:
        config = repository.config
        for taken in take_snapshots(
            repository.state, config.snapshots.channels or tuple(config.channels), now
        ):
            log.step(f"took snapshot {taken.name} of {taken.of}")
