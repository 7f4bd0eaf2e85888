"""Queries the Python index through uv: resolves requirements, and locates files.

uv reads the index, mirrors and credentials from its environment (UV_DEFAULT_INDEX
and the like), so no host is named here. Its configuration files are not read: a
resolution depends on the spec, not on the user's settings.
"""

import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from builder.base.cache import Cache
from builder.base.errors import BuilderError, FetchError, LockError, ToolError
from builder.base.files import check_file_name
from builder.base.model import Arch
from builder.base.parse import TextError, parse_toml
from builder.base.paths import extra_wheels
from builder.base.run import find_tool, run
from builder.index.tags import best_wheel

UV_HINT = "run 'make setup', or point BUILDER_UV at the uv binary"
_INDEX = (
    "check the network, HTTPS_PROXY, and the index that UV_DEFAULT_INDEX names; then run it again"
)
_FAILED = re.compile(r"Failed to fetch: `?(?P<url>[^\s`]+)")
_CAUSES = re.compile(r"^ *cause: (?P<text>.+?)(?:\n *\n|\Z)", re.MULTILINE | re.DOTALL)
_DECIDES = "a release's constraints, extra-requirements and [sdist.NAME] decide what may be taken"
_ASKED = "what is asked for is in pkgspec/packages and in the file of pkgspec/releases"
_CAUSE = re.compile(r"^ *cause: (.+)$", re.MULTILINE)
_NO_SOLUTION = "No solution found"
_NO_WHEEL = re.compile(r"(?P<name>[\w.-]+)(?:[<>=!~]\S*)? has no (?:usable )?wheels")
_REFUSED = re.compile(
    r"An index URL \((?P<url>[^)]+)\) could not be queried due to (?P<reason>[^\n]+)"
)


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """One file of the index."""

    name: str
    url: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A distribution at the version chosen, with the files that fit the target."""

    name: str  # normalised
    version: str
    wheel: IndexFile | None  # the one that fits best
    sdist: IndexFile | None
    files: tuple[IndexFile, ...]  # all of them


@dataclass(frozen=True, kw_only=True)
class Target:
    """The Python, architecture and glibc of a resolution."""

    minor: str  # of Python, "3.13"
    arch: Arch
    glibc: str  # "2.28"

    @property
    def platform(self) -> str:
        """uv's name of the platform."""
        return f"{self.arch.machine}-manylinux_{self.glibc.replace('.', '_')}"


class UnresolvedError(LockError):
    """No versions on the index fit together; ``reason`` says in uv's words why not."""

    def __init__(
        self, message: str, *, reason: str, target: Target, hint: str, wanted: Sequence[str] = ()
    ) -> None:
        super().__init__(_text(message, target, [*wanted, reason]), hint=hint)
        self.reason = reason
        self.target = target

    @property
    def unbuilt(self) -> str:
        """The distribution without a wheel that is the reason; empty where it is another."""
        found = _NO_WHEEL.search(self.reason)
        return found["name"] if found else ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a resolution's choices."""

    until: datetime | None = None  # files uploaded later do not exist
    sdists: tuple[str, ...] = ()  # distributions that may be built from source
    constraints: tuple[str, ...] = ()
    preferred: Mapping[str, str] = field(default_factory=dict)  # name to version, where it fits


def uv_path() -> Path:
    """Return the path of the uv binary."""
    return find_tool("uv", variable="BUILDER_UV", hint=UV_HINT)


def uv_environment(cache: Cache) -> dict[str, str]:
    """Return uv's environment beside the base: this cache, no colours, no Python downloads."""
    return {
        "UV_CACHE_DIR": str(cache.root / "uv"),
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "NO_COLOR": "1",
    }


def resolve(
    requirements: Sequence[str], target: Target, limits: Limits, cache: Cache, *, deps: bool = True
) -> list[Resolved]:
    """Resolve ``requirements`` for ``target``, sorted by name.

    Raises UnresolvedError, with uv's own explanation, if there is no solution; FetchError if the
    index does not answer; LockError if uv fails otherwise.
    """
    wheels = extra_wheels()
    with cache.workspace() as work:
        output = work / "pylock.toml"
        command = [
            str(uv_path()),
            *["pip", "compile", "--quiet", "--no-config", "--no-header"],
            # An sdist is built by whichever Python fits best. Else uv need not look for one: it
            # would start each that PATH has, which costs more than the resolution.
            *([] if limits.sdists else ["--python", sys.executable]),
            *["--python-version", target.minor],
            *["--python-platform", target.platform],
            *["--only-binary", ":all:"],
            *(["--find-links", str(wheels)] if wheels else []),
            *(word for name in limits.sdists for word in ("--no-binary", name)),
            *(["--exclude-newer", _zulu(limits.until)] if limits.until else []),
            *([] if deps else ["--no-deps"]),
            *["--constraints", str(_write_lines(work / "constraints.txt", limits.constraints))],
            *["--output-file", str(output)],
            str(_write_lines(work / "requirements.in", requirements)),
        ]
        if limits.preferred:
            _write_preferences(output, limits.preferred, target.minor)
        try:
            run(command, env=uv_environment(cache))
        except ToolError as error:
            raise _failure(error, requirements, target) from error
        return parse_pylock(output.read_text(encoding="utf-8"), target)


def _failure(error: ToolError, requirements: Sequence[str], target: Target) -> BuilderError:
    silence = find_silence(error.message)
    if silence:
        return FetchError(f"the index does not answer: {silence}", hint=_INDEX)
    reason = find_reason(error.message)
    message = f"cannot resolve {', '.join(requirements)}"
    if _NO_SOLUTION in error.message:
        return UnresolvedError(message, reason=reason, target=target, hint=_DECIDES)
    return LockError(_text(message, target, [reason]), hint=_ASKED)


def find_reason(message: str) -> str:
    """Return uv's own words from the error of a failed run, without its command line. Pure.

    What uv appends to an explanation is advice on its own options.
    """
    said = textwrap.dedent(message.partition("\n")[2]).strip()
    causes = _CAUSES.search(said) if _NO_SOLUTION in said else None
    if causes is None:
        return said
    first, _, others = causes["text"].partition("\n")
    return f"{first}\n{textwrap.dedent(others)}".strip()


def _text(message: str, target: Target, below: Iterable[str]) -> str:
    head = f"{message} for {target.platform}, Python {target.minor}:"
    return "\n".join([head, *(textwrap.indent(text, "  ") for text in below)])


def find_silence(message: str) -> str:
    """Return why the index did not answer, by what uv printed; empty where it did. Pure.

    Without credentials, uv ends as if the index had nothing.
    """
    refused = _REFUSED.search(message)
    if refused:
        return f"{refused['url']}: {refused['reason']}"
    failed = _FAILED.search(message)
    if failed is None:
        return ""
    reasons = _CAUSE.findall(message, failed.end())
    return f"{failed['url']}: {reasons[-1]}" if reasons else failed["url"]


def locate(
    pins: Iterable[str], target: Target, sdists: Iterable[str], cache: Cache
) -> dict[str, str]:
    """Locate the files of exactly these pins on the index; returns file name to URL."""
    pinned = sorted(pins)
    if not pinned:
        return {}
    found = resolve(pinned, target, Limits(sdists=tuple(sdists)), cache, deps=False)
    return {file.name: file.url for distribution in found for file in distribution.files}


def parse_pylock(text: str, target: Target) -> list[Resolved]:
    """Parse a PEP 751 lock that uv wrote: distributions with the best wheel for ``target``.

    Its facts on files come from the index: raises LockError if they are not as they should be.
    """
    try:
        packages = parse_toml(text).get("packages", [])
        found = [_parse_package(distribution, target) for distribution in packages]
        return sorted(found, key=lambda distribution: distribution.name)
    except (TextError, KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise LockError(
            f"what uv resolved cannot be read: {reason}",
            hint="is the index as it should be? try UV_DEFAULT_INDEX with another one",
        ) from error


def _parse_package(package: dict[str, Any], target: Target) -> Resolved:
    # uv lists every wheel that fits the platform; the choice among them is ours.
    wheels = {file.name: file for file in map(_parse_file, package.get("wheels", []))}
    best = best_wheel(wheels, python=target.minor, machine=target.arch.machine, glibc=target.glibc)
    sdist = _parse_file(package["sdist"]) if "sdist" in package else None
    return Resolved(
        name=package["name"],
        version=package["version"],
        wheel=wheels[best] if best else None,
        sdist=sdist,
        files=(*wheels.values(), *([sdist] if sdist else [])),
    )


def _parse_file(table: dict[str, Any]) -> IndexFile:
    url = table["url"]
    return IndexFile(
        name=check_file_name(table.get("name") or unquote(PurePosixPath(urlsplit(url).path).name)),
        url=url,
        sha256=table["hashes"]["sha256"],
        size=table.get("size") or _size_here(url),
    )


def _size_here(url: str) -> int:
    """Return the size of a file of this host; 0 if it is elsewhere, and the index is silent."""
    split = urlsplit(url)
    path = Path(unquote(split.path))
    return path.stat().st_size if split.scheme == "file" and path.is_file() else 0


def _write_preferences(path: Path, versions: Mapping[str, str], minor: str) -> None:
    """Write versions as an earlier output at ``path``: uv prefers the versions in it."""
    lines = ['lock-version = "1.0"', 'created-by = "uv"', f'requires-python = ">={minor}"']
    for name, version in sorted(versions.items()):
        lines += ["[[packages]]", f'name = "{name}"', f'version = "{version}"']
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
