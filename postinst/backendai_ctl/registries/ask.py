"""Logs in to a registry as the manager and Docker would, to see whether it lets this site in."""

import base64
import email.message
import json
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from backendai_ctl.registries.model import Registry

_SECONDS = 5.0
_OK = 200
_BAD_REQUEST = 400
_UNAUTHORIZED = (401, 403)
_NOT_FOUND = 404
# The cloud renews their passwords, which this tool cannot do.
_BY_CLOUD = ("ecr", "ecr-public")
_REALM = re.compile(r'realm="([^"]+)"')
_SERVICE = re.compile(r'service="([^"]+)"')
_BEARER = "bearer"


class Outcome(Enum):
    """The result of asking a registry."""

    FINE = "fine"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    REFUSED = "refused"
    OTHER = "other"  # something answers, but it is no registry


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An outcome in words, with its remedy."""

    outcome: Outcome
    says: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class _Reply:
    status: int
    headers: email.message.Message
    body: bytes


def ask_registry(registry: Registry, authority: str = "", *, bundle: Path | None = None) -> Verdict:
    """Log in, as the manager and Docker do.

    The certificate is verified against the host's trusted CAs (in ``bundle``, if OpenSSL does
    not find them itself) and against ``authority``.
    """
    opener = _opener(authority, bundle)
    root = registry.url.rstrip("/")
    try:
        reply = _get(opener, f"{root}/v2/", registry)
        return _judge(opener, registry, reply)
    except OSError as error:  # errors of urllib, of the socket and of TLS
        return _failed(registry, error)
    except ValueError as error:
        return Verdict(
            outcome=Outcome.OTHER,
            says=f"{registry.url} answers with something else: {error}",
            remedy=f"check {registry.section}.url in site.toml",
        )


def _opener(authority: str, bundle: Path | None) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    if bundle is not None:
        context.load_verify_locations(cafile=bundle)
    if authority:
        context.load_verify_locations(cadata=authority)
    # The manager uses no proxy of the environment either.
    return urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})
    )


def _get(opener: urllib.request.OpenerDirector, url: str, registry: Registry) -> _Reply:
    request = urllib.request.Request(url)
    if registry.user:
        pair = f"{registry.user}:{registry.password}".encode()
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    try:
        with opener.open(request, timeout=_SECONDS) as reply:
            return _Reply(status=reply.status, headers=reply.headers, body=reply.read(1 << 20))
    except urllib.error.HTTPError as error:
        with error:
            return _Reply(status=error.code, headers=error.headers, body=error.read(1 << 12))


def _judge(opener: urllib.request.OpenerDirector, registry: Registry, reply: _Reply) -> Verdict:
    if reply.status == _OK or registry.type in _BY_CLOUD:
        return Verdict(outcome=Outcome.FINE)
    challenge = str(reply.headers.get("WWW-Authenticate", ""))
    if reply.status in _UNAUTHORIZED and challenge.lower().startswith(_BEARER):
        return _by_token(opener, registry, challenge)
    if reply.status in _UNAUTHORIZED:
        return _refusal(registry)
    if reply.status == _BAD_REQUEST and b"HTTPS" in reply.body:
        return Verdict(
            outcome=Outcome.OTHER,
            says=f"{registry.url}: the server there speaks TLS",
            remedy=f"let {registry.section}.url in site.toml begin with https://",
        )
    what = "there is none" if reply.status == _NOT_FOUND else f"status {reply.status}"
    return Verdict(
        outcome=Outcome.OTHER,
        says=f"{registry.url} does not answer as a registry does: {what} at /v2/",
        remedy=f"check {registry.section}.url in site.toml",
    )


def _by_token(opener: urllib.request.OpenerDirector, registry: Registry, challenge: str) -> Verdict:
    realm, service = _REALM.search(challenge), _SERVICE.search(challenge)
    if realm is None:
        raise ValueError("it names no place to get a token")
    wanted = {"client_id": "docker", "scope": "registry:catalog:*"}
    if service is not None:
        wanted["service"] = service[1]
    reply = _get(opener, f"{realm[1]}?{urllib.parse.urlencode(wanted)}", registry)
    if reply.status == _OK and isinstance(json.loads(reply.body), dict):
        return Verdict(outcome=Outcome.FINE)
    return _refusal(registry)


def _refusal(registry: Registry) -> Verdict:
    section = registry.section
    if not registry.user:
        return Verdict(
            outcome=Outcome.REFUSED,
            says=f"{registry.url} asks for a user and a password",
            remedy=f"give {section}.user and {section}.password in site.toml",
        )
    return Verdict(
        outcome=Outcome.REFUSED,
        says=f"{registry.url} refuses the user '{registry.user}' with this password",
        remedy=f"correct {section}.user and {section}.password in site.toml",
    )


def _failed(registry: Registry, error: OSError) -> Verdict:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    section = registry.section
    if isinstance(reason, ssl.SSLCertVerificationError):
        by = f"{section}.ca" if registry.ca else "the authorities that this host trusts"
        return Verdict(
            outcome=Outcome.UNTRUSTED,
            says=f"the certificate of {registry.url} is not valid by {by}: {reason.verify_message}",
            remedy=f"name the PEM file of the authority that signed it as {section}.ca, and "
            "the host as the certificate has it",
        )
    if isinstance(reason, ssl.SSLError):
        return Verdict(
            outcome=Outcome.OTHER,
            says=f"{registry.url} does not speak TLS",
            remedy=f"let {section}.url in site.toml begin with http://, or give the registry TLS",
        )
    return Verdict(
        outcome=Outcome.UNREACHABLE,
        says=f"{registry.url} is unreachable: {_words(reason)}",
        remedy=f"check {section}.url in site.toml, and the way there",
    )


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, socket.gaierror):
        return "no such host"
    return str(getattr(reason, "strerror", None) or reason).lower()
