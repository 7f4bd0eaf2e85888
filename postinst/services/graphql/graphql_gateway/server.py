"""The gateway as a web server: GraphQL over HTTP, and events for subscriptions."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from graphql import OperationType

from graphql_gateway import limits
from graphql_gateway.cache import PlanCache
from graphql_gateway.config import Settings
from graphql_gateway.credentials import CREDENTIALS, credentials_of
from graphql_gateway.errors import RequestError, make_error
from graphql_gateway.run import Run
from graphql_gateway.supergraph import Supergraph
from graphql_gateway.upstream import Upstream, headers_to_forward

log = logging.getLogger("graphql_gateway")

# The webserver forwards requests from its own /func/admin/gql to this path.
PATH = "/admin/gql"
_READY_PATHS = ("/readiness", "/healthcheck")
_EVENT_SECONDS = 12.0  # between keep-alive messages, for proxies that close silent connections


class _BadRequestError(RequestError):
    """A request that is none of GraphQL's."""

    def __init__(self, message: str, status: HTTPStatus, code: str = "BAD_REQUEST") -> None:
        super().__init__([make_error(message, code)])
        self.status = status


class Gateway:
    """Answers requests with one supergraph."""

    def __init__(self, supergraph: Supergraph, upstream: Upstream, settings: Settings) -> None:
        self._supergraph = supergraph
        self._upstream = upstream
        self._settings = settings
        self._plans = PlanCache(supergraph, upstream.worker, introspection=settings.introspection)
        self._streams = Counter[str]()  # open subscriptions, by their credentials

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
            table = await self._read(request)
            run = await self._run(table, request)
            if run.plan.kind is OperationType.SUBSCRIPTION:
                return await self._stream(request, run)
            return web.Response(body=await run.answer(), content_type="application/json")
        except _BadRequestError as error:
            return web.json_response({"errors": error.errors}, status=error.status)
        except RequestError as error:
            return web.json_response({"errors": error.errors})
        except RecursionError:
            return web.json_response({"errors": [make_error("nested too deeply", "BAD_REQUEST")]})

    async def _read(self, request: web.Request) -> Mapping[str, object]:
        """Return the request's JSON; _BadRequestError if it is none, or comes too slowly."""
        if request.content_type != "application/json":
            # A page of another site can send other types without asking the browser.
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            raise _BadRequestError("the body must be application/json", status)
        try:
            return read_request(await asyncio.wait_for(request.read(), limits.BODY_SECONDS))
        except TimeoutError as error:
            message = f"the body took more than {limits.BODY_SECONDS:g} s"
            raise _BadRequestError(message, HTTPStatus.REQUEST_TIMEOUT) from error
        except web.HTTPRequestEntityTooLarge as error:
            message = f"a request may have {self._settings.max_request_bytes} bytes"
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise _BadRequestError(message, status, "PAYLOAD_TOO_LARGE") from error
        except ValueError as error:
            raise _BadRequestError(str(error), HTTPStatus.BAD_REQUEST) from error

    async def _run(self, table: Mapping[str, object], request: web.Request) -> Run:
        query, name = str(table["query"]), table.get("operationName")
        variables = table.get("variables") or {}
        assert isinstance(variables, dict)
        plan = await self._plans.plan(
            query,
            str(name) if name else None,
            variables,
            is_open=not any(header in request.headers for header in CREDENTIALS),
        )
        return Run(
            supergraph=self._supergraph,
            upstream=self._upstream,
            plan=plan,
            variables=variables,
            headers=headers_to_forward(request.headers),
        )

    async def _stream(self, request: web.Request, run: Run) -> web.StreamResponse:
        """Send the events of a subscription, unless there are too many already."""
        whose = credentials_of(request.headers)
        is_full = self._streams.total() >= limits.MAX_SUBSCRIPTIONS
        if is_full or self._streams[whose] >= limits.MAX_SUBSCRIPTIONS_EACH:
            raise RequestError.of("too many subscriptions are open", "TOO_MANY_SUBSCRIPTIONS")
        self._streams[whose] += 1
        try:
            return await _send_events(request, run.answers())
        finally:
            self._streams[whose] -= 1
            if not self._streams[whose]:
                del self._streams[whose]


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
