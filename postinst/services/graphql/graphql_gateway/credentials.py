"""Who a client is, as far as its headers say: only the manager checks whether it is true."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping

_TOKEN, _KEY, _COOKIE = "X-BackendAI-Token", "Authorization", "Cookie"
# The headers by which the manager knows a user, the most exact one first.
CREDENTIALS = (_TOKEN, _KEY, _COOKIE)
# The webserver makes a token for each request: these are not the user's.
_PASSING = {"iat", "exp", "nbf", "jti"}


def credentials_of(headers: Mapping[str, str]) -> str:
    """Return what is the same for all requests of one client, and shows none of its secrets."""
    name = next((name for name in CREDENTIALS if name in headers), None)
    value = headers[name] if name else ""
    if name == _TOKEN:
        value = _claims(value)
    elif name == _KEY:
        # "BackendAI signMethod=…, credential=KEY:SIGNATURE", signed anew for each request.
        value = value.partition("credential=")[2].partition(":")[0] or value
    return hashlib.sha256(f"{name}\n{value}".encode(errors="replace")).hexdigest()


def _claims(token: str) -> str:
    """Return the claims of a JSON web token that stay; the token itself if it is none."""
    _, _, rest = token.partition(".")
    body = rest.partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return token
    if not isinstance(claims, dict):
        return token
    kept = {name: value for name, value in claims.items() if name not in _PASSING}
    return json.dumps(kept, sort_keys=True) if kept else token
