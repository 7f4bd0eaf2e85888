"""The gateway as a web server: GraphQL over HTTP, and events for subscriptions."""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from graphql import OperationType

from graphql_gateway.config import Settings
from graphql_gateway.errors import Error, RequestError, make_error
from graphql_gateway.plan import Plan, plan_operation
from graphql_gateway.run import Run
from graphql_gateway.supergraph import Supergraph
from graphql_gateway.upstream import Upstream, headers_to_forward

log = logging.getLogger("graphql_gateway")

# The webserver forwards requests from its own /func/admin/gql to this path.
PATH = "/admin/gql"
_READY_PATHS = ("/readiness", "/healthcheck")
# Characters of queries whose plans are kept: the Web UI has 250,000 in all. A plan uses
# some fifty times as many bytes.
_KEPT = 1_000_000
_EVENT_SECONDS = 12.0  # between keep-alive messages, for proxies that close silent connections


class Gateway:
    """Answers requests with one supergraph."""

    def __init__(self, supergraph: Supergraph, upstream: Upstream, settings: Settings) -> None:
        self._supergraph = supergraph
        self._upstream = upstream
        self._settings = settings
        self._plans: OrderedDict[tuple[str, str | None], Plan] = OrderedDict()
        self._kept = 0

    def application(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(client_max_size=self._settings.max_request_bytes)
        app.router.add_post(PATH, self.answer)
        for path in _READY_PATHS:
            app.router.add_get(path, self.ready)
        return app

    async def ready(self, _request: web.Request) -> web.Response:
        """Report readiness, which the webserver checks first; the schema exists by then."""
        return web.json_response({"ready": True})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one operation."""
        try:
            table = read_request(await request.read())
        except web.HTTPRequestEntityTooLarge as error:
            message = f"a request may have {self._settings.max_request_bytes} bytes"
            return _refuse(make_error(message, "PAYLOAD_TOO_LARGE"), error.status)
        except ValueError as error:
            return _refuse(make_error(str(error), "BAD_REQUEST"), HTTPStatus.BAD_REQUEST)
        try:
            run = await self._run(table, request)
            if run.plan.kind is OperationType.SUBSCRIPTION:
                return await _send_events(request, run.answers())
            return web.Response(body=await run.answer(), content_type="application/json")
        except RequestError as error:
            return web.json_response({"errors": error.errors})
        except RecursionError:
            return web.json_response({"errors": [make_error("nested too deeply", "BAD_REQUEST")]})

    async def _run(self, table: Mapping[str, object], request: web.Request) -> Run:
        query, name = str(table["query"]), table.get("operationName")
        plan = await self._plan(query, str(name) if name else None)
        variables = table.get("variables") or {}
        assert isinstance(variables, dict)
        return Run(
            supergraph=self._supergraph,
            upstream=self._upstream,
            plan=plan,
            variables=variables,
            headers=headers_to_forward(request.headers),
        )

    async def _plan(self, query: str, name: str | None) -> Plan:
        """Return the plan of a query from a cache: the Web UI repeats its queries."""
        same = (query, name)
        if same in self._plans:
            self._plans.move_to_end(same)
            return self._plans[same]
        # Outside of the loop: a long query must not keep others waiting.
        plan = await asyncio.to_thread(
            plan_operation,
            self._supergraph,
            query,
            name,
            introspection=self._settings.introspection,
        )
        self._keep(same, plan)
        return plan

    def _keep(self, same: tuple[str, str | None], plan: Plan) -> None:
        if same not in self._plans:
            self._kept += len(same[0])
        self._plans[same] = plan
        while self._kept > _KEPT:
            (query, _), _ = self._plans.popitem(last=False)
            self._kept -= len(query)


def read_request(body: bytes) -> dict[str, Any]:
    """Parse the request; ValueError if it is not valid."""
    try:
        table: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the request is no JSON: {error}") from error
    match table:
        case {"query": str(), **rest} if isinstance(rest.get("variables") or {}, dict):
            return table
    raise ValueError("the request is no object with a query, and variables by name")


def _refuse(error: Error, status: int) -> web.Response:
    return web.json_response({"errors": [error]}, status=status)


async def _send_events(request: web.Request, answers: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send server-sent events as in graphql-sse: a request is one stream."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)

    async def send_all() -> None:
        async for answer in answers:
            await response.write(b"event: next\ndata: " + answer + b"\n\n")
        await response.write(b"event: complete\ndata:\n\n")

    async def keep_alive() -> None:
        while True:
            await asyncio.sleep(_EVENT_SECONDS)
            await response.write(b":\n\n")

    # A client that has left is noticed at the next write; then nothing else is awaited.
    tasks = [asyncio.create_task(send_all()), asyncio.create_task(keep_alive())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for problem in ended:
        if isinstance(problem, ConnectionResetError):
            log.debug("a client left its subscription")
        elif isinstance(problem, Exception):
            raise problem
    return response
