"""``builder runtime check`` and ``builder runtime bump``: patch releases of CPython."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from packaging.version import Version

from builder.base import log
from builder.base.errors import FetchError, UsageError
from builder.base.paths import PROJECT, RUNTIMES_FILE
from builder.cli.options import (
    importance_options,
    json_option,
    project_cache,
    project_spec,
    read_importance,
)
from builder.jobs.python_updates import (
    MinorNews,
    Places,
    PythonNews,
    check_pythons,
    raise_runtimes,
    releases_on,
)
from builder.net.download import fetch_blob
from builder.runtime.offers import UPSTREAM, SourceOffer, debian_place
from builder.runtime.pins import load_pins
from builder.runtime.source_pins import choose_offer, make_pin, write_source_pin

_UNSTABLE = "sid"  # gets a release within days
_SHOWN = 100  # characters of a fix

_upstream_option = click.option(
    "--upstream", default=UPSTREAM, show_default=True, help="python.org's tree, or a mirror of it."
)
_suite_option = click.option(
    "--suite",
    "suites",
    multiple=True,
    help="Of Debian; may repeat. Default: those of the pins, and sid.",
)


@click.command("check")
@_upstream_option
@_suite_option
@json_option
def check_command(upstream: str, suites: tuple[str, ...], as_json: bool) -> None:
    """Compare the pinned sources of CPython with python.org's and Debian's.

    Lists the security fixes that each pin lacks.
    """
    news = _ask(upstream, suites)
    if as_json:
        click.echo(json.dumps(_as_dict(news), indent=2))
    else:
        for minor in news.minors:
            _print(minor)
        _print_silent(news, but=suites)
    news.refuse_silent(suites)


@click.command("bump")
@click.argument("wanted", metavar="3.N|VERSION")
@click.option("--sha256", help="Of the tarball, where its publisher states none.")
@click.option("--dry-run", is_flag=True, help="Report, and write nothing.")
@importance_options
@_upstream_option
@_suite_option
def bump_command(
    wanted: str,
    sha256: str | None,
    dry_run: bool,
    upstream: str,
    suites: tuple[str, ...],
    **options: Any,
) -> None:
    """Pin a newer CPython, and raise the runtime's package of each release on it.

    Nothing else is to be built again. The tarball is fetched and checked first.
    """
    _refuse_unknown(wanted, sha256)
    news = _ask(upstream, suites)
    _print_silent(news, but=suites)
    news.refuse_silent(suites)
    offers = choose_offer([offer for minor in news.minors for offer in minor.offers], wanted)
    pin = make_pin(offers, sha256)
    if pin in load_pins().source:
        log.step(f"CPython {pin.version} is pinned already")
        return
    _fetch(offers[0], pin.sha256, news)
    spec = project_spec()
    releases = releases_on(spec, pin.minor)
    if not dry_run:
        # The pin last: a run that was killed before goes on from there.
        today = datetime.now(UTC).date()
        for path in raise_runtimes(spec, releases, pin, today, read_importance(options)):
            log.step(f"wrote {path.relative_to(PROJECT)}")
        old = write_source_pin(RUNTIMES_FILE, pin)
        log.step(f"pinned CPython {pin.version}" + (f" for {old.version}" if old else ""))
    for release in releases:
        click.echo(f"builder build {spec.project.runtime} --release {release.name}")


def _refuse_unknown(wanted: str, sha256: str | None) -> None:
    """Refuse what is neither a version nor a minor version of a pin, before anybody is asked."""
    minors = sorted({pin.minor for pin in load_pins().source}, key=Version)
    if not any(re.fullmatch(rf"{re.escape(minor)}(\.\d+)?", wanted) for minor in minors):
        raise UsageError(
            f"no source of Python {wanted} is pinned; there are: {', '.join(minors)}",
            hint="the first pin of a minor version is a [[source]] of pkgspec/runtimes.toml",
        )
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise UsageError(f"--sha256 {sha256} has not 64 hexadecimal digits", hint="sha256sum FILE")


def _fetch(offer: SourceOffer, sha256: str, news: PythonNews) -> None:
    """Fetch the tarball into the cache; the error of a mirror without it names the others."""
    label = f"source of CPython {offer.version}"
    try:
        fetch_blob(offer.url, sha256=sha256, cache=project_cache(), label=label)
    except FetchError as error:
        others = [
            f"{other.version} ({other.place})"
            for minor in news.minors
            for other in minor.offers
            if minor.minor == offer.version.rpartition(".")[0] and other.version != offer.version
        ]
        also = f"; name another version: {', '.join(others)}" if others else ""
        raise FetchError(
            error.message,
            hint=f"{offer.place} lists it; if its mirror has it not yet or no more, try again"
            f" later or another by --upstream{also}",
        ) from error


def _ask(upstream: str, suites: Sequence[str]) -> PythonNews:
    pins = load_pins()
    own = dict.fromkeys(pin.debian_suite for pin in pins.source if pin.debian_suite)
    places = Places(upstream=upstream.rstrip("/"), suites=suites or (*own, _UNSTABLE))
    return check_pythons(pins, places, project_cache())


def _print(news: MinorNews) -> None:
    click.echo(f"{news.minor}: pinned {', '.join(news.pinned)}")
    for offer in news.offers:
        click.echo(f"  {offer.place}: {offer.version}")
    if news.newest is not None:
        click.echo(f"  newer: builder runtime bump {news.newest.version}")
    for version, fixes in news.lacking.items():
        if not fixes:
            continue
        click.echo(f"  {version} lacks {len(fixes)} security fixes, as of {news.known_until}:")
        for fix in fixes:
            name = " ".join([fix.version, fix.issue, *fix.cves])
            click.echo(f"    {name}: {fix.text[:_SHOWN]}")


def _print_silent(news: PythonNews, *, but: Sequence[str]) -> None:
    """Warn of who said nothing, except for suites that the user named: these are an error."""
    named = {debian_place(suite) for suite in but}
    for place, error in news.silent.items():
        if place not in named:
            log.warn(f"{place} says nothing: {error.message}")


def _as_dict(news: PythonNews) -> dict[str, object]:
    return {
        "minors": [
            {**asdict(minor), "newer": minor.newest.version if minor.newest else None}
            for minor in news.minors
        ],
        "silent": {place: error.message for place, error in news.silent.items()},
    }
