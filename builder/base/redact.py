"""Masks secrets in printed text: in the userinfo of a URL and in its query. Pure."""

import re

# The password of a URL, also an empty user's, and also one that has an unquoted "@" or "/";
# or a token in place of the user. "host:8080/@scope" has a port, not a password.
_PASSWORD = re.compile(r"(://[^/:@\s]*:)(?!\d*/)[^\s\"'<>]*@")
_TOKEN = re.compile(r"(://)[^/?#:@\s\"'<>]+@")
_PARAMETER = re.compile(
    r"([?&;][\w.~%-]*(?:token|secret|passw|passphrase|key|signature|sig|credential|auth)"
    r"[\w.~%-]*=)[^&;#\s\"'<>]+",
    re.IGNORECASE,
)
_MASK = "***"


def redact(text: str) -> str:
    """Mask passwords, tokens and signatures of every URL in ``text``."""
    for pattern in (_PASSWORD, _TOKEN):
        text = pattern.sub(rf"\1{_MASK}@", text)
    return _PARAMETER.sub(rf"\1{_MASK}", text)
