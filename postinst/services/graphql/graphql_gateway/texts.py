"""The text of each subgraph's schema, as the release prints it.

The package ships the texts of its release. Where the installed manager is another, they are
dumped again, by a separate process: importing the manager takes half a minute, and as much
memory as the manager has. Introspection would need a user's key, and is off by default.
"""

import asyncio
import csv
import hashlib
import importlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphql import Node, Visitor, parse, print_ast, visit

from graphql_gateway.config import ReleaseSpec
from graphql_gateway.errors import GatewayError

log = logging.getLogger("graphql_gateway")

RELEASE_PYTHON = "GRAPHQL_RELEASE_PYTHON"
STATE = "STATE_DIRECTORY"  # systemd's name of the folder that the service may write
SHIPPED = Path(__file__).parent.parent / "schemas.json"
_SECONDS = 240.0
_FORMAT = 1  # of the file


@dataclass(frozen=True, kw_only=True)
class Schemas:
    """The texts by subgraph, and the fingerprint of the release that printed them."""

    release: str
    plain: Mapping[str, str]  # without descriptions, which only introspection shows
    described: Mapping[str, str]


def dump(spec: ReleaseSpec, sites: Sequence[Path]) -> str:
    """Return every subgraph's schema as JSON; called by the release's own Python."""
    found: dict[str, str] = {}
    for subgraph in spec.subgraphs:
        module, _, attribute = subgraph.schema.partition(":")
        schema = getattr(importlib.import_module(module), attribute, None)
        if schema is None and subgraph.optional:
            continue
        if schema is None:
            raise GatewayError(f"{module} of this release has no {attribute}")
        # str() of Strawberry's schema is not the schema's text.
        found[subgraph.name] = str(schema.as_str() if hasattr(schema, "as_str") else schema)
    plain = {name: _without_descriptions(text) for name, text in found.items()}
    table = {
        "format": _FORMAT,
        "release": fingerprint(spec, sites),
        "plain": plain,
        "described": found,
    }
    return json.dumps(table, separators=(",", ":"))


def read_schemas(text: str, origin: str) -> Schemas:
    """Parse the output of ``dump``; GatewayError if it is not valid."""
    try:
        table = json.loads(text)
        if table["format"] != _FORMAT:
            raise GatewayError(f"{origin}: has another format")
        return Schemas(release=table["release"], plain=table["plain"], described=table["described"])
    except (ValueError, KeyError, TypeError) as error:
        raise GatewayError(f"{origin}: {error!r}") from error


async def find_schemas(spec: ReleaseSpec, main: str) -> Schemas:
    """Return the schemas of the installed release: shipped, kept, or dumped now.

    ``main`` is the path that this process was started as.
    """
    installed = await asyncio.to_thread(fingerprint, spec, release_sites())
    kept = Path(os.environ[STATE]) / "schemas.json" if os.environ.get(STATE) else None
    for path in (SHIPPED, kept):
        found = _load(path) if path else None
        if found and found.release == installed:
            return found
    log.info("the installed manager is not the one of this package: its schemas are dumped")
    text = await _ask_release(main)
    if kept:
        _keep(kept, text)
    return read_schemas(text, "the release")


def release_sites() -> list[Path]:
    """Return the folders with the release's distributions: the manager's own, and shared ones."""
    prefixes = [Path(_release_python()).parent.parent, Path(sys.prefix)]
    return [site for prefix in prefixes for site in prefix.glob("lib/python3.*/site-packages")]


def fingerprint(spec: ReleaseSpec, sites: Iterable[Path]) -> str:
    """Return a hash of what the texts are made of, the same wherever it is installed."""
    found = list(sites)
    lines = sorted({line for site in found for line in _lines(spec, site)})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _lines(spec: ReleaseSpec, site: Path) -> Iterator[str]:
    names = {_normal(name) for name in spec.distributions}
    for folder in site.glob("*.dist-info"):
        if _normal(folder.name.rpartition("-")[0].rpartition("-")[0]) not in names:
            continue
        # Scripts are written for the place of installation; bytecode is not the wheel's.
        with (folder / "RECORD").open(encoding="utf-8", newline="") as record:
            for row in csv.reader(record):
                if _makes_texts(row[0]):
                    yield f"{folder.name} {row[0]} {row[1]}"
    # An admin may have changed a file, and left RECORD as it was.
    for source in spec.sources:
        for path in (site / source).rglob("*.py"):
            yield f"{path.relative_to(site)} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _makes_texts(path: str) -> bool:
    # A package has no tests of its wheels, and the environment that dumps for it has them.
    is_test = not {"tests", "_tests"}.isdisjoint(path.split("/"))
    return path.endswith(".py") and not path.startswith("../") and not is_test


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _load(path: Path) -> Schemas | None:
    try:
        return read_schemas(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, GatewayError) as error:
        log.warning("%s", error)
        return None


def _keep(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        log.warning("the schemas are dumped at each start: %s", error)


class _Undescribed(Visitor):
    def enter(self, node: Node, *_: object) -> None:
        """Remove the description, of a document that is this module's own."""
        if getattr(node, "description", None):
            node.description = None


def _without_descriptions(text: str) -> str:
    document = parse(text, no_location=True)
    visit(document, _Undescribed())
    return print_ast(document)


def _release_python() -> str:
    # The runtime runs the gateway; what has the schemas is the manager's environment.
    return os.environ.get(RELEASE_PYTHON) or sys.executable


async def _ask_release(main: str) -> str:
    """Run ``dump`` in a separate process."""
    command = [_release_python(), "-I", "-B", main, "dump"]
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        # Its messages go to the journal.
        stderr=None,
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), _SECONDS)
    except TimeoutError as error:
        child.kill()
        await child.wait()
        raise GatewayError(f"the release did not return its schemas in {_SECONDS:g} s") from error
    if child.returncode != 0:
        raise GatewayError(f"the release did not return its schemas: status {child.returncode}")
    # The release may print lines of its own while it is imported.
    return output.decode().strip().rpartition("\n")[2]
