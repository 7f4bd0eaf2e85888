"""The only module that talks to the manager, and only to its subgraphs."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
from multidict import CIMultiDict

from graphql_gateway.config import Settings, SubgraphSpec
from graphql_gateway.errors import Error, SubgraphError

# Headers of a single connection, or of a body that is not forwarded unchanged. The others identify
# the client and the user to the manager.
_OWN_HEADERS = {
    "accept", "accept-encoding", "connection", "content-encoding", "content-length",
    "content-type", "expect", "host", "keep-alive", "proxy-authenticate",
    "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-protocol",
    "sec-websocket-version",
}  # fmt: skip
_PROTOCOL = "graphql-transport-ws"
_LAST = ("error", "complete")
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
    def of(cls, table: object, subgraph: str) -> "Reply":
        """Parse a response; SubgraphError if it is not valid."""
        if not isinstance(table, dict) or not ("data" in table or "errors" in table):
            raise SubgraphError(subgraph, "the manager answered, but not by GraphQL")
        return cls(data=table.get("data"), errors=list(table.get("errors") or ()))


def headers_to_forward(given: Mapping[str, str]) -> CIMultiDict[str]:
    """Return a client's headers for the manager, its authentication unchanged."""
    return CIMultiDict(
        (name, value) for name, value in given.items() if name.lower() not in _OWN_HEADERS
    )


class Upstream:
    """The manager, through a session that keeps no cookies and follows no redirection."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Settings,
        subgraphs: tuple[SubgraphSpec, ...],
    ) -> None:
        self._session = session
        self._urls = {
            subgraph.name: f"{settings.manager_url}{subgraph.path}" for subgraph in subgraphs
        }

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, subgraphs: tuple[SubgraphSpec, ...]
    ) -> AsyncIterator["Upstream"]:
        """Open the session for the block."""
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds),
            # Every subscription holds a connection for as long as somebody looks at a page.
            connector=aiohttp.TCPConnector(limit=0),
            trust_env=False,
        ) as session:
            yield cls(session, settings, subgraphs)

    async def ask(
        self, subgraph: str, payload: Mapping[str, object], headers: Mapping[str, str]
    ) -> Reply:
        """Return a subgraph's response, parsed; SubgraphError if it gives none."""
        body = await self.ask_raw(subgraph, payload, headers)
        try:
            table = json.loads(body)
        except ValueError as error:
            raise SubgraphError(subgraph, f"the manager's answer is no JSON: {error}") from error
        return Reply.of(table, subgraph)

    async def ask_raw(
        self, subgraph: str, payload: Mapping[str, object], headers: Mapping[str, str]
    ) -> bytes:
        """Return the bytes of its response; SubgraphError if it is unreachable, or refuses."""
        try:
            async with self._session.post(
                self._urls[subgraph],
                data=json.dumps(payload).encode(),
                headers=_with_type(headers),
                allow_redirects=False,
            ) as response:
                body = await response.read()
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
        said: dict[str, Any] = {"type": ""}
        try:
            async with self._session.ws_connect(
                self._urls[subgraph],
                protocols=(_PROTOCOL,),
                headers=headers,
                heartbeat=30.0,
                timeout=aiohttp.ClientWSTimeout(ws_close=5.0),
            ) as socket:
                await socket.send_json({"type": "connection_init", "payload": {}})
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    said = json.loads(message.data)
                    if said["type"] in _LAST:
                        break
                    if said["type"] == "next":
                        yield Reply.of(said["payload"], subgraph)
                    if said["type"] in _ANSWERS:
                        await socket.send_json(_answer(said["type"], payload))
                if said["type"] == "error":
                    yield Reply(errors=list(said["payload"]))
        except aiohttp.WSServerHandshakeError as error:
            raise _refusal(subgraph, error.status, error.message, b"") from error
        except TimeoutError as error:
            raise SubgraphError(subgraph, "the manager took too long") from error
        except (aiohttp.ClientError, ValueError, KeyError) as error:
            raise SubgraphError(subgraph, f"the manager broke off: {error}") from error


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
    except ValueError:
        content = text[:_SHOWN]
    detail = content.get("msg") or content.get("title") if isinstance(content, dict) else None
    return SubgraphError(
        subgraph,
        str(detail or f"the manager answered {status} {reason or ''}".rstrip()),
        {"status": status, "statusText": reason or "", "body": content},
    )
