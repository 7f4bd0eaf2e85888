"""The commands: `serve`, which the unit runs; `dump`, which `serve` and the build run as a
child; and `gate`, which the build runs.
"""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from graphql_gateway.config import (
    SETTINGS,
    ReleaseSpec,
    Settings,
    load_release,
    load_settings,
)
from graphql_gateway.errors import GatewayError
from graphql_gateway.gate import gate
from graphql_gateway.server import Gateway
from graphql_gateway.supergraph import Supergraph, compose
from graphql_gateway.texts import dump, find_schemas, release_sites
from graphql_gateway.upstream import Upstream

log = logging.getLogger("graphql_gateway")
_USAGE = 2
_GRACE_SECONDS = 10.0
_SWITCH_SECONDS = 0.001


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # The journal adds the time.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        match words:
            case [] | ["serve"]:
                asyncio.run(_serve(SETTINGS))
            case ["serve", file]:
                asyncio.run(_serve(Path(file)))
            case ["dump", *sites]:
                folders = [Path(site) for site in sites] or release_sites()
                sys.stdout.write(dump(load_release(), folders) + "\n")
            case ["gate", release, schemas, *wheels]:
                return gate(release, Path(schemas), [Path(wheel) for wheel in wheels])
            case _:
                sys.stderr.write(
                    "usage: serve [FILE] | dump [SITE…] | gate RELEASE SCHEMAS [WHEEL…]\n"
                )
                return _USAGE
    except GatewayError as error:
        log.error("%s", error)  # noqa: TRY400 - its words are the whole story
        return 1
    return 0


async def _serve(file: Path) -> None:
    settings, spec = load_settings(file), load_release()
    supergraph = await _supergraph(spec, settings)
    # The schema stays: it need not be looked through for garbage again and again.
    gc.collect()
    gc.freeze()
    gc.enable()
    # While a query is planned, the event loop gets its turn after this time.
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Upstream.open(settings, spec.subgraphs) as upstream:
        runner = web.AppRunner(
            Gateway(supergraph, upstream, settings).application(),
            access_log=None,
            shutdown_timeout=_GRACE_SECONDS,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise GatewayError(
                f"cannot listen on {settings.host}:{settings.port}: {error}"
            ) from error
        names = ", ".join(subgraph.name for subgraph in supergraph.subgraphs)
        log.info("%d types of %s", len(supergraph.schema.type_map), names)
        log.info("on %s:%d, for %s", settings.host, settings.port, settings.manager_url)
        await stop.wait()
        await runner.cleanup()


async def _supergraph(spec: ReleaseSpec, settings: Settings) -> Supergraph:
    """Return the joined schema of the installed release."""
    gc.disable()  # nothing of it is garbage
    schemas = await find_schemas(spec, sys.argv[0])
    texts = schemas.described if settings.introspection else schemas.plain
    listed = [subgraph for subgraph in spec.subgraphs if subgraph.name in texts]
    supergraph = compose(
        {subgraph.name: texts[subgraph.name] for subgraph in listed},
        optional=[subgraph.name for subgraph in listed if subgraph.optional],
        open_=[subgraph.name for subgraph in listed if subgraph.open],
    )
    for warning in supergraph.warnings:
        log.warning("%s", warning)
    return supergraph
