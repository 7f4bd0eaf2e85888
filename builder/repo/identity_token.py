"""Finds the OIDC identity token that sigstore signs by: a file's, or the one that CI has for a job.

A token is a secret: it is in no argument list, message or log.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from builder.base.errors import FetchError, UsageError
from builder.base.parse import TextError, parse_json_object
from builder.net.http import open_client

TOKEN_FILE_VARIABLE = "BUILDER_SIGSTORE_TOKEN_FILE"
_GITLAB = "SIGSTORE_ID_TOKEN"
_GITHUB_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
_GITHUB_BEARER = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_AUDIENCE = "sigstore"
_NO_TOKEN_HINT = (
    "in GitHub Actions give the job 'permissions: id-token: write', in GitLab CI "
    f"'id_tokens: {_GITLAB}: aud: {_AUDIENCE}'; elsewhere name a file by --identity-token"
)
_NEW_TOKEN_HINT = "get a new one and sign at once: a token of CI lives for some minutes"


@dataclass(frozen=True, kw_only=True)
class IdentityToken:
    """A token that is well-formed and valid now; sigstore's authority checks who made it."""

    text: str = field(repr=False)
    subject: str
    issuer: str


def find_token(
    path: Path | None, now: datetime, environment: Mapping[str, str] = os.environ
) -> IdentityToken:
    """Return the token of a file, of GitLab's variable, or from GitHub's service for the job.

    Raises UsageError if there is none, or it cannot be used; FetchError if the service refuses.
    """
    named = path or environment.get(TOKEN_FILE_VARIABLE)
    if named:
        return parse_token(_read(Path(named)), str(named), now)
    if environment.get(_GITLAB):
        return parse_token(environment[_GITLAB], _GITLAB, now)
    if environment.get(_GITHUB_URL) and environment.get(_GITHUB_BEARER):
        text = _request(environment[_GITHUB_URL], environment[_GITHUB_BEARER])
        return parse_token(text, "the token of this job", now)
    raise UsageError("no identity token is here to sign by", hint=_NO_TOKEN_HINT)


def parse_token(text: str, label: str, now: datetime) -> IdentityToken:
    """Return a token, its claims checked for what is known without its issuer. Pure."""
    claims = _claims(text.strip(), label)
    audience = claims.get("aud")
    if _AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise UsageError(
            f"{label}: is a token for {audience!r}, not for '{_AUDIENCE}'",
            hint=f"ask the issuer for one with the audience '{_AUDIENCE}'",
        )
    end = claims.get("exp")
    if not isinstance(end, int | float) or not all(
        isinstance(claims.get(name), str) for name in ("sub", "iss")
    ):
        raise UsageError(f"{label}: is no identity token: it lacks 'sub', 'iss' or 'exp'")
    if end <= now.timestamp():
        raise UsageError(
            f"{label}: the identity token expired at {datetime.fromtimestamp(end, UTC):%F %T} UTC",
            hint=_NEW_TOKEN_HINT,
        )
    return IdentityToken(text=text.strip(), subject=claims["sub"], issuer=claims["iss"])


def _claims(text: str, label: str) -> dict[str, Any]:
    _, _, rest = text.partition(".")
    part, _, _ = rest.partition(".")
    try:
        padded = part + "=" * (-len(part) % 4)
        return parse_json_object(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (TextError, binascii.Error, ValueError) as error:
        raise UsageError(
            f"{label}: is no identity token (a JSON Web Token)", hint=_NO_TOKEN_HINT
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"cannot read {path}: {reason}", hint=_NO_TOKEN_HINT) from error


def _request(url: str, bearer: str) -> str:
    """Request the job's token; GitHub's address has a query already."""
    address = f"{url}{'&' if '?' in url else '?'}{urlencode({'audience': _AUDIENCE})}"
    try:
        with open_client() as client:
            answer = client.get(address, headers={"Authorization": f"bearer {bearer}"})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(
            f"cannot request an identity token for this job: {type(error).__name__}",
            hint=f"{_GITHUB_URL} names the service; try the job again",
        ) from error
    try:
        value = parse_json_object(answer.content).get("value")
    except TextError:
        value = None
    if answer.status_code != httpx.codes.OK or not isinstance(value, str):
        raise FetchError(
            f"the service for identity tokens answers with status {answer.status_code}",
            hint=_NO_TOKEN_HINT,
        )
    return value
