"""``builder runtime``: the bundled CPython, its pins, and where they come from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from builder.base import log
from builder.base.cache import Cache
from builder.base.errors import RuntimeUnavailableError, UsageError
from builder.base.model import Arch, RuntimeChoice, host_arch
from builder.base.paths import RUNTIMES_FILE
from builder.cli.options import (
    arch_option,
    json_option,
    project_cache,
    project_spec,
    read_runtime_options,
    release_option,
    runtime_options,
)
from builder.cli.runtime_news import bump_command, check_command
from builder.jobs.parallel import default_jobs
from builder.lock import load_lock
from builder.runtime.choose import fetch_runtime, provide_runtime
from builder.runtime.model import Runtime, RuntimeOptions, RuntimeRequest, runtime_info
from builder.runtime.pbs import PbsProvider, release_tree
from builder.runtime.pins import Pins, SourcePin, StandalonePin, load_pins
from builder.runtime.releases import (
    Update,
    check_pins,
    check_tag,
    fetch_sums,
    find_newest_tag,
    find_updates,
    refuse_wrong,
    write_updates,
)
from builder.runtime.source import SourceProvider

_COLUMNS = ("kind", "version", "arch", "from", "cache")


@click.group("runtime")
def runtime_group() -> None:
    """The bundled CPython: what is pinned, fetched and prepared."""


runtime_group.add_command(check_command)
runtime_group.add_command(bump_command)


@runtime_group.command("list")
@click.option("--latest", is_flag=True, help="Check the pins with their publisher, show newer.")
@click.option("--refresh", is_flag=True, help="Likewise, and pin the newer ones.")
@click.option("--tag", help="Look at this release of the standalone builds, not the newest.")
@click.option("--minor", "minors", multiple=True, metavar="3.N", help="Also pin this minor.")
@click.option("--mirror", help="Mirror of the standalone builds: http(s)://, file:// or a folder.")
@json_option
def list_command(  # noqa: PLR0913 - click passes each option by its name
    *,
    latest: bool,
    refresh: bool,
    tag: str | None,
    minors: tuple[str, ...],
    mirror: str | None,
    as_json: bool,
) -> None:
    """Show the pinned CPythons, and what of them is in the cache."""
    pins = load_pins()
    look = latest or refresh or tag is not None
    news = _ask_publisher(pins, tag=tag, mirror=mirror, minors=minors) if look else None
    if refresh and news is not None and news.updates:
        write_updates(RUNTIMES_FILE, news.updates)
        log.step(f"wrote {len(news.updates)} pins into {RUNTIMES_FILE}")
        pins = load_pins()
    rows = _rows(pins, project_cache())
    if as_json:
        found = {"pins": rows, **(news.as_dict() if news is not None else {})}
        click.echo(json.dumps(found, indent=2))
        return
    _print_rows(rows)
    if news is not None:
        _print_news(news, refreshed=refresh)


@runtime_group.command("fetch")
@click.option("--python", "minor", metavar="3.N", help="Default: what the release requires.")
@release_option
@arch_option
@runtime_options
@json_option
def fetch_command(minor: str | None, release: str | None, as_json: bool, **options: Any) -> None:
    """Bring what a runtime is made from into the cache."""
    cache = project_cache()
    choice = RuntimeChoice(options["runtime"])
    given = read_runtime_options(options, offline=False, jobs=1)
    found = {}
    for request in _requests(minor, release, given, options["archs"]):
        found.update(fetch_runtime(request, cache, choice))
    if as_json:
        files = [{"file": name, "path": str(path)} for name, path in sorted(found.items())]
        click.echo(json.dumps(files, indent=2))
    for name, path in sorted(found.items()):
        log.step(f"{name} ({path.stat().st_size / 1e6:.1f} MB) is in the cache")


@runtime_group.command("build")
@click.option("--python", "minor", metavar="3.N", help="Default: what the release requires.")
@release_option
@arch_option
@runtime_options
@click.option("--offline", is_flag=True, help="Use the cache alone.")
@click.option("--jobs", type=click.IntRange(min=1), help="Default: the number of processors.")
@json_option
def build_command(
    *,
    minor: str | None,
    release: str | None,
    offline: bool,
    jobs: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Prepare a runtime in the cache, and print the folder it is in."""
    cache = project_cache()
    choice = RuntimeChoice(options["runtime"])
    given = read_runtime_options(options, offline=offline, jobs=jobs or default_jobs())
    requests = _requests(minor, release, given, options["archs"])
    made = [provide_runtime(request, cache, choice) for request in requests]
    if as_json:
        click.echo(json.dumps([_record(runtime) for runtime in made], indent=2))
    else:
        for runtime in made:
            click.echo(runtime.tree or runtime.python)


def _requests(
    minor: str | None, release: str | None, options: RuntimeOptions, archs: Sequence[Arch]
) -> list[RuntimeRequest]:
    """The requests for ``--python``, or else for what the release's locks say."""
    if minor is not None:
        _check_minor(minor)
        requires_python, version = f"=={minor}.*", ""
    else:
        spec = project_spec()
        line = spec.release(release)
        package = next(
            candidate for candidate in spec.select(line, ()) if candidate.python is not None
        )
        lock = load_lock(spec.root, line.name, package.name)
        minor, requires_python, version = lock.python, lock.requires_python, line.version
    return [
        RuntimeRequest.with_options(
            options, minor=minor, requires_python=requires_python, release=version, arch=arch
        )
        for arch in archs
    ]


def _check_minor(minor: str) -> None:
    pins = load_pins()
    known = {pin.minor for pin in (*pins.standalone, *pins.source)}
    if minor not in known:
        listed = ", ".join(sorted(known, key=lambda m: int(m.partition(".")[2])))
        raise UsageError(
            f"no Python {minor!r} is pinned; there are: {listed}",
            hint=f"pin it with 'builder runtime list --refresh --minor {minor}'",
        )


@dataclass(frozen=True, kw_only=True)
class _News:
    """What the publisher says of the pins."""

    checked: Sequence[str]  # tags
    tag: str | None  # where newer pins were looked for
    updates: Sequence[Update]

    def as_dict(self) -> dict[str, object]:
        updates = [
            {
                "old": update.old.model_dump(mode="json") if update.old else None,
                "new": update.new.model_dump(mode="json"),
            }
            for update in self.updates
        ]
        return {"checked": list(self.checked), "tag": self.tag, "updates": updates}


def _ask_publisher(
    pins: Pins, *, tag: str | None, mirror: str | None, minors: Sequence[str]
) -> _News:
    """Check every pin, then look for newer ones; raises SpecError where a pin is wrong."""
    tree = release_tree(mirror)
    newest = check_tag(tag) if tag is not None else find_newest_tag(tree)
    pinned = sorted({pin.tag for pin in pins.standalone})
    sums = {tag: fetch_sums(tree, tag) for tag in {*pinned, *filter(None, [newest])}}
    refuse_wrong(
        [problem for tag in pinned for problem in check_pins(pins.standalone, tag, sums[tag])]
    )
    if newest is None:
        log.warn("a web mirror does not list its releases: name a release with --tag")
        return _News(checked=pinned, tag=None, updates=())
    updates = find_updates(pins, newest, sums[newest], minors)
    return _News(checked=pinned, tag=newest, updates=updates)


def _rows(pins: Pins, cache: Cache) -> list[dict[str, str]]:
    host = host_arch()
    rows = [
        _row("standalone", pin, pin.arch, pin.tag, _state(PbsProvider(pins), pin, pin.arch, cache))
        for pin in pins.standalone
    ]
    for source in pins.source:
        state = _state(SourceProvider(pins), source, host, cache)
        rows.append(_row("source", source, host, source.file, state))
    return rows


def _row(
    kind: str, pin: StandalonePin | SourcePin, arch: Arch, origin: str, state: str
) -> dict[str, str]:
    row = {"kind": kind, "version": pin.version, "arch": arch.value, "from": origin}
    return {**row, "sha256": pin.sha256, "cache": state}


def _state(
    provider: PbsProvider | SourceProvider,
    pin: StandalonePin | SourcePin,
    arch: Arch,
    cache: Cache,
) -> str:
    request = RuntimeRequest(
        minor=pin.minor, requires_python=f"=={pin.version}", release="", arch=arch
    )
    try:
        prepared = provider.find_prepared(request, cache)
    except RuntimeUnavailableError:  # a foreign tree needs the host's, which has no pin
        prepared = None
    if prepared is not None and prepared.sha256 == pin.sha256:
        return "prepared"
    return "fetched" if cache.blob(pin.sha256).is_file() else ""


def _print_rows(rows: Sequence[dict[str, str]]) -> None:
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in _COLUMNS]
    for row in [dict(zip(_COLUMNS, _COLUMNS, strict=True)), *rows]:
        cells = (row[name].ljust(width) for name, width in zip(_COLUMNS, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_news(news: _News, *, refreshed: bool) -> None:
    log.step(f"every pin agrees with SHA256SUMS of {', '.join(news.checked)}")
    if news.tag is None:
        return
    if not news.updates:
        log.step(f"release {news.tag} has nothing newer")
    for update in news.updates:
        new = update.new
        old = f"{update.old.version} of {update.old.tag}" if update.old else "none"
        log.step(f"{new.minor} {new.arch}: {old} -> {new.version} of {new.tag}")
    if news.updates and not refreshed:
        log.step("pin them with 'builder runtime list --refresh'")


def _record(runtime: Runtime) -> dict[str, object]:
    return {
        **(runtime_info(runtime) or {}),
        "arch": runtime.arch.value,
        "key": runtime.key,
        "tree": str(runtime.tree) if runtime.tree else None,
        "python": str(runtime.python),
        "reason": runtime.reason,
    }
