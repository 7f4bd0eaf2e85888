"""Hides secrets in text: the password or token in a URL, and known secrets. Pure."""

import re
from collections.abc import Iterable

HIDDEN = "(not shown)"

_USERINFO = re.compile(r"(?<=://)[^\s\"'<>]*@")
_PARAMETER = re.compile(
    r"([?&;][\w.~%-]*(?:auth|credential|key|passphrase|passw|secret|sig|signature|token)"
    r"[\w.~%-]*=)[^&;#\s\"'<>]+",
    re.IGNORECASE,
)
_SHORTEST = 4  # shorter texts occur anywhere by chance


def redact_urls(text: str) -> str:
    """Hide the user name and password of each URL, and secret parameters in its query."""
    return _PARAMETER.sub(rf"\1{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", text))


def hide(text: str, secrets: Iterable[str]) -> str:
    """Hide each of ``secrets``, the longest first: one may be a part of another."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    return text
