"""The only module that talks to the manager, and only to its subgraphs."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import aiohttp
from multidict import CIMultiDict

from graphql_gateway.config import Settings, SubgraphSpec
from graphql_gateway.errors import Error, SubgraphError
from graphql_gateway.limits import MAX_EVENT_BYTES, MAX_REPLY_BYTES, MAX_UPSTREAM

# Headers of a single connection, or of a body that is not forwarded unchanged. The others identify
# the client and the user to the manager.
_OWN_HEADERS = {
    "accept", "accept-encoding", "connection", "content-encoding", "content-length",
    "content-type", "expect", "host", "keep-alive", "proxy-authenticate",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-protocol",
    "sec-websocket-version",
}  # fmt: skip
_PROTOCOL = "graphql-transport-ws"
# Replies to the manager's messages, by the message's type.
_ANSWERS: Mapping[str, Mapping[str, object]] = {
    "connection_ack": {"type": "subscribe", "id": "1"},
    "ping": {"type": "pong"},
}
_SHOWN = 2000  # characters of a body that is not GraphQL


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The response of a subgraph."""

    data: dict[str, Any] | None = None
    errors: list[Error] = field(default_factory=list)

    @classmethod
    def parse(cls, body: bytes, subgraph: str) -> "Reply":
        """Parse a response's JSON; SubgraphError if it is not valid."""
        try:
            table = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise SubgraphError(subgraph, f"the manager's answer is no JSON: {error}") from error
        return cls.of(table, subgraph)

    @classmethod
    def of(cls, table: object, subgraph: str) -> "Reply":
        """Check a response; SubgraphError if it has not the form of GraphQL's."""
        if not isinstance(table, dict) or not ("data" in table or "errors" in table):
            raise SubgraphError(subgraph, "the manager answered, but not by GraphQL")
        data, errors = table.get("data"), table.get("errors")
        if data is not None and not isinstance(data, dict):
            raise SubgraphError(subgraph, "the data of the manager's answer is no object")
        return cls(data=data, errors=read_errors(errors, subgraph))


def read_errors(errors: object, subgraph: str) -> list[Error]:
    """Check the errors of a response; SubgraphError if they have not the form of GraphQL's."""
    if errors is None:
        return []
    if not isinstance(errors, list) or not all(_is_error(error) for error in errors):
        raise SubgraphError(subgraph, "the errors of the manager's answer are not GraphQL's")
    return list(errors)


def _is_error(error: object) -> bool:
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return False
    path = error.get("path")
    return path is None or (
        isinstance(path, list)
        and all(isinstance(step, str | int) and not isinstance(step, bool) for step in path)
    )


def headers_to_forward(given: Mapping[str, str]) -> CIMultiDict[str]:
    """Return a client's headers for the manager, its authentication unchanged."""
    named = {
        name.strip().lower()
        for key, value in given.items()
        if key.lower() == "connection"
        for name in value.split(",")
    }
    return CIMultiDict(
        (name, value)
        for name, value in given.items()
        if name.lower() not in _OWN_HEADERS and name.lower() not in named
    )


class Upstream:
    """The manager, through a session that keeps no cookies and follows no redirection.

    ``worker`` is the one thread for long work: several would take turns with the event loop.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Settings,
        subgraphs: tuple[SubgraphSpec, ...],
        worker: Executor,
    ) -> None:
        self.worker = worker
        self._session = session
        self._at_once = asyncio.Semaphore(MAX_UPSTREAM)
        self._urls = {
            subgraph.name: f"{settings.manager_url}{subgraph.path}" for subgraph in subgraphs
        }

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, subgraphs: tuple[SubgraphSpec, ...]
    ) -> AsyncIterator["Upstream"]:
        """Open the session for the block."""
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_refuse_redirection)
        with ThreadPoolExecutor(max_workers=1) as worker:
            async with aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds),
                # Every subscription holds a connection for as long as somebody looks at a page.
                connector=aiohttp.TCPConnector(limit=0),
                trust_env=False,
                trace_configs=[tracing],
            ) as session:
                yield cls(session, settings, subgraphs, worker)

    async def ask_raw(
        self, subgraph: str, payload: Mapping[str, object], headers: Mapping[str, str]
    ) -> bytes:
        """Return the bytes of its response; SubgraphError if it is unreachable, or refuses."""
        try:
            async with (
                self._at_once,
                self._session.post(
                    self._urls[subgraph],
                    data=json.dumps(payload).encode(),
                    headers=_with_type(headers),
                    allow_redirects=False,
                ) as response,
            ):
                body = await _read(response, subgraph)
                if response.status != HTTPStatus.OK:
                    raise _refusal(subgraph, response.status, response.reason, body)
                return body
        except TimeoutError as error:
            raise SubgraphError(subgraph, "the manager took too long") from error
        except aiohttp.ClientError as error:
            raise SubgraphError(subgraph, f"the manager does not answer: {error}") from error

    async def subscribe(
        self, subgraph: str, payload: Mapping[str, object], headers: Mapping[str, str]
    ) -> AsyncIterator[Reply]:
        """Yield its responses, one after the other, until it has no more."""
        try:
            async with self._session.ws_connect(
                self._urls[subgraph],
                protocols=(_PROTOCOL,),
                headers=headers,
                heartbeat=30.0,
                timeout=aiohttp.ClientWSTimeout(ws_close=5.0),
                max_msg_size=MAX_EVENT_BYTES,
            ) as socket:
                await socket.send_json({"type": "connection_init", "payload": {}})
                async for reply in _events(socket, subgraph, payload):
                    yield reply
        except _RedirectionError as error:
            raise _refusal(subgraph, error.status, "", b"") from error
        except aiohttp.WSServerHandshakeError as error:
            raise _refusal(subgraph, error.status, error.message, b"") from error
        except TimeoutError as error:
            raise SubgraphError(subgraph, "the manager took too long") from error
        except (aiohttp.ClientError, ValueError, RecursionError) as error:
            raise SubgraphError(subgraph, f"the manager broke off: {error}") from error


async def _events(
    socket: aiohttp.ClientWebSocketResponse, subgraph: str, payload: Mapping[str, object]
) -> AsyncIterator[Reply]:
    """Yield the responses in the messages of a socket; SubgraphError if it ends too early."""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            break
        said = _message(message.data)
        if said["type"] == "next":
            yield Reply.of(said.get("payload"), subgraph)
        elif said["type"] == "error":
            yield Reply(errors=read_errors(said.get("payload"), subgraph))
            return
        elif said["type"] == "complete":
            return
        elif said["type"] in _ANSWERS:
            await socket.send_json(_answer(said["type"], payload))
    raise SubgraphError(subgraph, f"the manager ended it without a reason ({socket.close_code})")


class _RedirectionError(Exception):
    """The manager sends a handshake elsewhere."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


async def _refuse_redirection(
    _session: aiohttp.ClientSession,
    _context: SimpleNamespace,
    params: aiohttp.TraceRequestRedirectParams,
) -> None:
    """Refuse before anything is sent there: a handshake has no setting for it."""
    raise _RedirectionError(params.response.status)


async def _read(response: aiohttp.ClientResponse, subgraph: str) -> bytes:
    """Return the body, up to the limit."""
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > MAX_REPLY_BYTES:
            raise SubgraphError(subgraph, f"the manager's answer is over {MAX_REPLY_BYTES} bytes")
    return bytes(found)


def _message(data: str) -> dict[str, Any]:
    """Parse a message; ValueError if it has no type."""
    found = json.loads(data)
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise ValueError("a message has no type")  # noqa: TRY004 - as for other bad JSON
    return found


def _answer(said: str, payload: Mapping[str, object]) -> Mapping[str, object]:
    answer = _ANSWERS[said]
    return {**answer, "payload": payload} if "id" in answer else answer


def _with_type(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers with a content type; a plain mapping would lose repeated headers."""
    found = CIMultiDict(headers)
    found["Content-Type"] = "application/json"
    return found


def _refusal(subgraph: str, status: int, reason: str | None, body: bytes) -> SubgraphError:
    """Return the error with the manager's problem document, which the client can handle."""
    text = body.decode(errors="replace")
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        content = text[:_SHOWN]
    detail = content.get("msg") or content.get("title") if isinstance(content, dict) else None
    return SubgraphError(
        subgraph,
        str(detail or f"the manager answered {status} {reason or ''}".rstrip()),
        {"status": status, "statusText": reason or "", "body": content},
    )
