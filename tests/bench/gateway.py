"""``make bench-gateway``: the GraphQL gateway in front of mocks of the release's schemas.

Upstream's own choice runs beside it, from the npm registry, where Node is there.
"""

import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from builder.base.paths import PROJECT, cache_root

_PROGRAM = PROJECT / "postinst/services/graphql"
sys.path.insert(0, str(_PROGRAM))

from graphql import GraphQLObjectType, get_named_type  # noqa: E402
from graphql_gateway.config import load_release  # noqa: E402
from graphql_gateway.plan import plan_operation  # noqa: E402
from graphql_gateway.server import PATH  # noqa: E402
from graphql_gateway.supergraph import Supergraph, compose  # noqa: E402
from graphql_gateway.texts import fingerprint, release_sites  # noqa: E402

_SPEC = _PROGRAM / "subgraphs.toml"
_NODE = ("@graphql-hive/gateway", "@theguild/federation-composition", "graphql")
_SECONDS = 5.0  # of each measurement
_CLIENTS = 16
_STARTING = 120.0
_HEADERS = {"X-BackendAI-Token": "bench"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one gateway did."""

    name: str
    start_seconds: float
    memory_bytes: int
    rates: Mapping[str, float]  # requests a second, by query
    p50_ms: Mapping[str, float]
    ping_p95_ms: float | None  # beside queries of 900 aliases; None: it closed the connections


def main() -> None:
    """Measure, and print a table, or JSON with ``--json``."""
    files = sorted(
        cache_root().glob("derived/graphql/*/schemas.json"), key=lambda file: file.stat().st_mtime
    )
    if not files:
        sys.exit("error: no schemas in the cache\nhint: run 'make packages'")
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder:
        results = asyncio.run(_measure_all(files[-1], Path(folder)))
    if "--json" in sys.argv:
        print(json.dumps([vars(result) for result in results], indent=2))  # noqa: T201
        return
    table = Table("gateway", "start s", "memory MB", "query", "requests/s", "p50 ms", "ping p95 ms")
    for result in results:
        for name, rate in result.rates.items():
            table.add_row(
                result.name,
                f"{result.start_seconds:.1f}",
                f"{result.memory_bytes / 1e6:.0f}",
                name,
                f"{rate:.0f}",
                f"{result.p50_ms[name]:.1f}",
                "closed" if result.ping_p95_ms is None else f"{result.ping_p95_ms:.0f}",
            )
    Console().print(table)


async def _measure_all(schemas: Path, work: Path) -> list[Result]:
    texts = json.loads(schemas.read_text(encoding="utf-8"))["described"]
    queries = {"plain": "{ __typename }", **_queries(compose(texts))}
    port, found = _free_port(), []
    mock = [sys.executable, "-m", "tests.bench.gateway_mock", str(schemas), str(port)]
    async with _running(mock, work, {}, f"http://127.0.0.1:{port}/"):
        try:
            for name, command, environment, url, ready in _gateways(schemas, work, port):
                begun = time.monotonic()
                async with _running(command, work, environment, ready) as process:
                    seconds = time.monotonic() - begun
                    found.append(await _measure(name, seconds, process, url, queries))
        except (OSError, subprocess.CalledProcessError) as error:  # TimeoutError is an OSError
            if not found:
                raise
            Console(stderr=True).print(f"warning: upstream's choice is not measured: {error}")
    return found


def _gateways(
    schemas: Path, work: Path, mock: int
) -> Iterator[tuple[str, Sequence[str], Mapping[str, str], str, str]]:
    """Yield name, command, environment, address and a path to poll of each gateway."""
    port = _free_port()
    spec = load_release(_SPEC)
    table = json.loads(schemas.read_text(encoding="utf-8"))
    kept = {**table, "release": fingerprint(spec, release_sites())}
    (work / "schemas.json").write_text(json.dumps(kept), encoding="utf-8")
    (work / "graphql.toml").write_text(
        f'[gateway]\naddress = {{ host = "127.0.0.1", port = {port} }}\nintrospection = false\n'
        f'max-request-bytes = 10485760\n[manager]\nurl = "http://127.0.0.1:{mock}"\n'
        "timeout-seconds = 300\n",
        encoding="utf-8",
    )
    code = f"import sys; sys.path.insert(0, {str(_PROGRAM)!r}); import graphql_gateway.cli as c; "
    command = [sys.executable, "-c", f"{code}c.main(['serve', {str(work / 'graphql.toml')!r}])"]
    base = f"http://127.0.0.1:{port}"
    yield "this", command, {"STATE_DIRECTORY": str(work)}, base + PATH, base + "/readiness"
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return
    subprocess.run(  # noqa: TID251 - measured from outside, not through builder
        [npm, "install", "--silent", "--no-save", "--prefix", str(work), *_NODE],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    paths = json.dumps({subgraph.name: subgraph.path for subgraph in spec.subgraphs})
    compose_script = work / "compose.mjs"
    shutil.copyfile(PROJECT / "tests/bench/compose.mjs", compose_script)
    composed = [str(schemas), f"http://127.0.0.1:{mock}", paths, "supergraph.graphql"]
    subprocess.run([node, str(compose_script), *composed], cwd=work, check=True)  # noqa: TID251
    other = _free_port()
    binary = str(work / "node_modules/.bin/hive-gateway")
    url = f"http://127.0.0.1:{other}"
    arguments = ["supergraph", "supergraph.graphql", "-p", str(other), "-h", "127.0.0.1"]
    yield "upstream's choice", [binary, *arguments], {}, f"{url}/graphql", f"{url}/healthcheck"


@asynccontextmanager
async def _running(
    command: Sequence[str], work: Path, environment: Mapping[str, str], ready: str
) -> AsyncIterator[int]:
    """Run a server for the block; yields its process id once it answers."""
    given = {**os.environ, "PYTHONPATH": str(PROJECT), **environment}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=work, env=given, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(_STARTING):
            while True:
                try:
                    async with session.get(ready) as response:
                        if response.status < 500:
                            break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _measure(
    name: str, seconds: float, process: int, url: str, queries: Mapping[str, str]
) -> Result:
    async with aiohttp.ClientSession(headers=_HEADERS) as session:
        rates, middles = dict[str, float](), dict[str, float]()
        for label, query in queries.items():
            await _ask(session, url, query)
            spent: list[float] = []
            begun = time.monotonic()
            end = begun + _SECONDS
            await asyncio.gather(
                *(_repeat(session, url, query, end, spent) for _ in range(_CLIENTS))
            )
            rates[label] = len(spent) / (time.monotonic() - begun)
            middles[label] = statistics.median(spent) * 1000
        memory = _memory(process)
        try:
            ping = await _ping(session, url, queries["crossing"])
        except aiohttp.ClientError:
            ping = None
    return Result(
        name=name,
        start_seconds=seconds,
        memory_bytes=memory,
        rates=rates,
        p50_ms=middles,
        ping_p95_ms=ping,
    )


async def _repeat(
    session: aiohttp.ClientSession, url: str, query: str, end: float, spent: list[float]
) -> None:
    while time.monotonic() < end:
        begun = time.monotonic()
        await _ask(session, url, query)
        spent.append(time.monotonic() - begun)


async def _ping(session: aiohttp.ClientSession, url: str, crossing: str) -> float:
    """Return how long a small query takes beside eight new ones of 900 aliases."""
    field = crossing.removeprefix("{").removesuffix("}").strip()

    async def burden(number: int) -> None:
        names = " ".join(f"a{number}x{n}: {field}" for n in range(900))
        await _ask(session, url, f"{{ {names} }}")

    tasks = [asyncio.create_task(burden(number)) for number in range(8)]
    spent: list[float] = []
    try:
        while not all(task.done() for task in tasks) or len(spent) < 20:
            begun = time.monotonic()
            await _ask(session, url, "{ __typename }")
            spent.append(time.monotonic() - begun)
            await asyncio.sleep(0.01)
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)
    return statistics.quantiles(spent, n=20)[-1] * 1000


async def _ask(session: aiohttp.ClientSession, url: str, query: str) -> Any:
    async with session.post(url, json={"query": query}) as response:
        return await response.read()


def _queries(supergraph: Supergraph) -> dict[str, str]:
    """Return a query of one subgraph, and one whose entities another one has to complete."""
    found: dict[str, str] = {}
    root = supergraph.schema.query_type
    assert root is not None
    for path, kind, leaf in _leaves(root, (), 4):
        has_it = supergraph.owners("Query", path[0])[0].resolves(kind, leaf)
        label = "one schema" if has_it else "crossing"
        if label in found:
            continue
        words = " ".join(f"{name} {{" for name in path)
        query = f"{{ {words} {leaf} {'}' * len(path)} }}"
        if has_it or plan_operation(supergraph, query, None).parts[0].hops:
            found[label] = query
        if len(found) == 2:
            return found
    raise SystemExit("error: the schemas have no query that crosses them")


def _leaves(
    kind: GraphQLObjectType, path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield the fields without arguments of the objects that queries without arguments find."""
    for name, field in sorted(kind.fields.items()):
        if any(str(argument.type).endswith("!") for argument in field.args.values()):
            continue
        below = get_named_type(field.type)
        if isinstance(below, GraphQLObjectType):
            if depth:
                yield from _leaves(below, (*path, name), depth - 1)
        elif path and not hasattr(below, "types") and not hasattr(below, "fields"):
            yield path, kind.name, name


def _memory(root: int) -> int:
    """Return the resident memory of a process and its children, in bytes."""
    total, left = 0, [root]
    while left:
        process = left.pop()
        try:
            status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
            children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
        except OSError:
            continue
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
        total += int(line.split()[1]) * 1024
        left += map(int, children.split())
    return total


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
