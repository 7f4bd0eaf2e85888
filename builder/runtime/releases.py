"""The publisher's side of the standalone pins: newest tag, SHA256SUMS, new versions.

Nothing here trusts a file that SHA256SUMS of its own release does not list.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import tomlkit
from packaging.version import Version
from tomlkit.items import AoT, Table

from builder.base.errors import FetchError, SpecError, UsageError
from builder.base.model import Arch
from builder.base.parse import TextError, parse_json
from builder.base.redact import redact
from builder.base.storage import replacing
from builder.net.http import fetch_text
from builder.runtime.pbs import RELEASE_TREE
from builder.runtime.pins import Pins, StandalonePin, parse_pins

# The publisher makes it for programs that detect the newest release.
LATEST_URL = (
    "https://raw.githubusercontent.com/astral-sh/python-build-standalone"
    "/latest-release/latest-release.json"
)
_ORDER = ("version", "tag", "arch", "flavour", "asset", "sha256")
_TAG = re.compile(r"\d{8}")
_SUM = re.compile(r"([0-9a-f]{64})\s+\*?(\S+)")
_ASSET = re.compile(
    r"cpython-(?P<version>3\.\d+\.\d+)\+(?P<tag>\d{8})-(?P<machine>x86_64|aarch64)"
    r"-unknown-linux-gnu-(?P<flavour>install_only(?:_stripped)?)\.tar\.gz"
)


@dataclass(frozen=True, kw_only=True)
class Update:
    """A pin and the newer one that would replace it; ``old`` is None for a new minor."""

    old: StandalonePin | None
    new: StandalonePin


def find_newest_tag(tree: str, client: httpx.Client | None = None) -> str | None:
    """Return the newest tag of a release tree; None for a web mirror, which does not list tags."""
    if tree == RELEASE_TREE:
        return _published_tag(client)
    if urlsplit(tree).scheme != "file":
        return None
    folder = Path(unquote(urlsplit(tree).path))
    return max((path.name for path in folder.iterdir() if _TAG.fullmatch(path.name)), default=None)


def _published_tag(client: httpx.Client | None) -> str:
    text = fetch_text(LATEST_URL, client=client)
    try:
        tag = parse_json(text)["tag"]
    except (TextError, KeyError, TypeError) as error:
        raise FetchError(f"{LATEST_URL} names no tag", hint="name one with --tag") from error
    return check_tag(str(tag))


def check_tag(tag: str) -> str:
    """Return ``tag`` if it has the form of a tag; raises UsageError otherwise."""
    if not _TAG.fullmatch(tag):
        raise UsageError(
            f"{tag!r} is no tag of the standalone builds", hint="a tag is a date such as 20260814"
        )
    return tag


def fetch_sums(tree: str, tag: str, client: httpx.Client | None = None) -> dict[str, str]:
    """Fetch the sha256 of each asset of a release out of its SHA256SUMS."""
    url = f"{tree}/{tag}/SHA256SUMS"
    found = (_SUM.fullmatch(line) for line in fetch_text(url, client=client).splitlines())
    sums = {match[2]: match[1] for match in found if match}
    if not sums:
        raise FetchError(
            f"{redact(url)} lists nothing",
            hint="it may be an error page of a proxy: open it in a browser",
        )
    return sums


def check_pins(pins: Iterable[StandalonePin], tag: str, sums: dict[str, str]) -> list[str]:
    """Return the problems of the pins of ``tag``, judged by its SHA256SUMS."""
    problems = []
    for pin in pins:
        if pin.tag != tag:
            continue
        listed = sums.get(pin.asset)
        if listed is None:
            problems.append(f"{pin.asset} is pinned, but SHA256SUMS of {tag} does not list it")
        elif listed != pin.sha256:
            problems.append(
                f"{pin.asset} is pinned as {pin.sha256}, but SHA256SUMS of {tag} has {listed}"
            )
    return problems


def find_updates(
    pins: Pins, tag: str, sums: dict[str, str], minors: Iterable[str] = ()
) -> list[Update]:
    """Return the pins that the release ``tag`` would replace, and the pins of new ``minors``."""
    offered = _newest(pin for name, digest in sums.items() if (pin := _pin_of(name, digest, tag)))
    current = _newest(pins.standalone)
    flavours = {pin.flavour for pin in pins.standalone} or {"install_only_stripped"}
    wanted = set(current) | {(m, arch, f) for m in minors for arch in Arch for f in flavours}
    updates = []
    for place in sorted(wanted, key=lambda p: (Version(p[0]), p[1], p[2])):
        old, new = current.get(place), offered.get(place)
        if new and (old is None or _age(new) > _age(old)):
            updates.append(Update(old=old, new=new))
    return updates


def write_updates(path: Path, updates: Iterable[Update]) -> None:
    """Write the newer pins into the file at ``path``; the rest of it stays unchanged."""
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    tables = document.get("standalone")
    if tables is None:
        tables = tomlkit.aot()
        document.append("standalone", tables)
    for update in updates:
        _put(tables, update)
    text = tomlkit.dumps(document)
    parse_pins(text, path.name)  # never leave a file that the next build refuses
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _put(tables: AoT, update: Update) -> None:
    values = update.new.model_dump(mode="json")
    for table in tables:
        if update.old is not None and table.get("asset") == update.old.asset:
            _set(table, values)
            return
    fresh = tomlkit.table()
    _set(fresh, {key: values[key] for key in _ORDER})
    fresh.add(tomlkit.nl())
    tables.append(fresh)


def _set(table: Table, values: dict[str, str]) -> None:
    for key, value in values.items():
        table[key] = value


def _newest(pins: Iterable[StandalonePin]) -> dict[tuple[str, Arch, str], StandalonePin]:
    """Return the newest pin of each minor, architecture and flavour."""
    newest: dict[tuple[str, Arch, str], StandalonePin] = {}
    for pin in sorted(pins, key=_age):
        newest[pin.minor, pin.arch, pin.flavour] = pin
    return newest


def _age(pin: StandalonePin) -> tuple[Version, str]:
    return Version(pin.version), pin.tag


def _pin_of(name: str, sha256: str, tag: str) -> StandalonePin | None:
    match = _ASSET.fullmatch(name)
    if match is None or match["tag"] != tag:
        return None
    return StandalonePin.model_validate(
        {
            "version": match["version"],
            "tag": tag,
            "arch": Arch.from_machine(match["machine"]),
            "flavour": match["flavour"],
            "asset": name,
            "sha256": sha256,
        }
    )


def refuse_wrong(problems: list[str]) -> None:
    """Raise SpecError with every pin that its own release contradicts."""
    if problems:
        raise SpecError(
            [f"pkgspec/runtimes.toml: {problem}" for problem in problems],
            hint="nothing was changed: find out which side is wrong before you build from it",
        )
