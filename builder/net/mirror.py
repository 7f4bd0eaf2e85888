"""Mirrors: the site's own copy of every input, and the name of a mirror.

BUILDER_MIRROR names the output of ``builder fetch --mirror``, as a folder or a URL;
:mod:`builder.jobs.fetch` describes its layout.
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from builder.base.errors import UsageError
from builder.base.redact import redact

SITE_VARIABLE = "BUILDER_MIRROR"


def site_mirror() -> str | None:
    """Return the URL of the site's mirror, without a slash at its end; None if there is none."""
    named = os.environ.get(SITE_VARIABLE)
    return mirror_url(named, SITE_VARIABLE) if named else None


def mirror_url(named: str, origin: str) -> str:
    """Return the URL of a mirror given as URL or folder; ``origin`` is the place of its name."""
    url = named if "://" in named else Path(named).absolute().as_uri()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "file"):
        raise UsageError(
            f"{origin} names {redact(named)!r}, which is no mirror",
            hint="give an http://, https:// or file:// URL, or a folder",
        )
    if parts.scheme == "file" and not Path(unquote(parts.path)).is_dir():
        raise UsageError(
            f"{origin} names the folder {unquote(parts.path)!r}, which does not exist",
            hint="a mirror of standalone builds has one folder a tag, each with its assets; "
            "'builder fetch --mirror' makes one of every input",
        )
    return url.rstrip("/")
