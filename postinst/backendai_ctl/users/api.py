"""The manager's API, called with an administrator's key pair.

The signature is that of Backend.AI's API, version 4 and later: an HMAC of the request's
properties, with a key derived from the day and the host.
"""

import hashlib
import hmac
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from backendai_ctl.base.errors import NotReadyError, RefusedError, TargetError

_UTC = timezone.utc  # noqa: UP017 - CPython 3.10 has no UTC
_PATH = "/admin/gql"
_API_VERSION = "v7.20230615"  # the oldest version that the supported releases accept
_TYPE = "application/json"
_SECONDS = 60.0
_UNAUTHORIZED = (401, 403)


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """The caller's key pair. Neither half is ever printed."""

    access_key: str
    secret_key: str


@dataclass(frozen=True, kw_only=True)
class ManagerApi:
    """Sends requests to the manager at ``url``."""

    url: str
    keys: KeyPair
    # A file of authorities that are trusted beside those of the distribution, if it exists.
    authorities: Path | None = None

    def query(self, text: str, **variables: object) -> Mapping[str, Any]:
        """Return the data of a GraphQL query or mutation.

        Raises NotReadyError if the manager is unreachable, RefusedError if it does not accept the
        key pair, TargetError with the manager's own words if it reports an error.
        """
        body = json.dumps({"query": text, "variables": variables}).encode()
        answer = self._post(body)
        errors = answer.get("errors") or []
        if errors:
            raise TargetError("; ".join(_words(error) for error in errors))
        data = answer.get("data")
        return data if isinstance(data, dict) else {}

    def _post(self, body: bytes) -> Mapping[str, Any]:
        base = self.url.rstrip("/")
        request = urllib.request.Request(
            base + _PATH, data=body, headers=self._headers(datetime.now(_UTC)), method="POST"
        )
        # Not through a proxy of the environment: the manager is on the nodes' network.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=self._trust()),
        )
        try:
            with opener.open(request, timeout=_SECONDS) as response:
                answer = json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise _failure(self.url, error) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise NotReadyError(
                f"the manager does not answer on {self.url}: {reason}",
                hint="sudo backendai-ctl status --wait",
            ) from error
        return answer if isinstance(answer, dict) else {}

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.authorities is not None and self.authorities.exists():
            context.load_verify_locations(self.authorities)
        return context

    def _headers(self, now: datetime) -> Mapping[str, str]:
        date = now.replace(microsecond=0)
        return {
            "Content-Type": _TYPE,
            "Date": date.isoformat(),
            "X-BackendAI-Version": _API_VERSION,
            "Authorization": (
                "BackendAI signMethod=HMAC-SHA256, "
                f"credential={self.keys.access_key}:{self._signature(date)}"
            ),
        }

    def _signature(self, date: datetime) -> str:
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/") + _PATH
        signed = "\n".join(
            [
                "POST",
                path,
                date.isoformat(),
                f"host:{parts.netloc}",
                f"content-type:{_TYPE}",
                f"x-backendai-version:{_API_VERSION}",
                hashlib.sha256(b"").hexdigest(),  # the body is not part of the signature
            ]
        )
        key = _hmac(self.keys.secret_key.encode(), date.strftime("%Y%m%d")).digest()
        return _hmac(_hmac(key, parts.netloc).digest(), signed).hexdigest()


def _hmac(key: bytes, text: str) -> "hmac.HMAC":
    return hmac.new(key, text.encode(), hashlib.sha256)


def _failure(url: str, error: urllib.error.HTTPError) -> TargetError:
    if error.code in _UNAUTHORIZED:
        return RefusedError(
            f"the manager on {url} does not accept the administrator's key pair",
            hint="give one that it accepts in BACKEND_ACCESS_KEY and BACKEND_SECRET_KEY",
        )
    try:
        words = str(json.loads(error.read()).get("title") or error.reason)
    except (ValueError, AttributeError, OSError):
        words = str(error.reason)
    return TargetError(f"the manager on {url} reports: {words} (HTTP {error.code})")


def _words(error: object) -> str:
    return str(error.get("message", error)) if isinstance(error, Mapping) else str(error)
