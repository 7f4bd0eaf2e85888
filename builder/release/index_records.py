"""Known vulnerabilities of wheels as the Python index itself reports them, as OSV's records.

PyPI has them in the JSON of each version, where pip-audit reads them, too; mirrors rarely do.
https://docs.pypi.org/api/json/
"""

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from builder.base import log
from builder.base.errors import FetchError
from builder.base.parse import TextError, parse_json_object
from builder.base.redact import redact
from builder.net.http import DEFAULT_POLICY, check_status, open_client, retry, stream

_PUBLIC = "https://pypi.org/simple"
_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
_AT_ONCE = 8
_NOT_FOUND = 404
_HINT = "this index has no advisory data; give OSV's snapshot: --db FILE|URL"


def index_address() -> str:
    """Return the address below which the index has the JSON of versions."""
    named = next(filter(None, map(os.environ.get, _VARIABLES)), _PUBLIC)
    _, sign, address = named.partition("=")
    plain = address if sign and "://" in address else named
    return plain.rstrip("/").removesuffix("/simple")


def fetch_index_records(
    distributions: Collection[tuple[str, str]], index: str
) -> list[dict[str, Any]]:
    """Return a record for each vulnerability of a distribution and version.

    Raises FetchError if the index knows none of them. One that it does not know is a warning.
    """
    wanted = sorted(set(distributions))
    with open_client() as client, ThreadPoolExecutor(_AT_ONCE) as pool:

        def fetch(distribution: tuple[str, str]) -> Mapping[str, Any] | None:
            url = f"{index}/pypi/{distribution[0]}/{distribution[1]}/json"
            return retry(url, DEFAULT_POLICY, lambda: _read(client, url), lambda: 0)

        pages = dict(zip(wanted, pool.map(fetch, wanted), strict=True))
    unknown = [f"{name} {version}" for (name, version), page in pages.items() if page is None]
    if unknown and len(unknown) == len(wanted):
        raise FetchError(f"{redact(index)} knows no version of what is audited", hint=_HINT)
    for shown in unknown:
        log.warn(f"{shown} is not looked up: the index does not know it")
    return [
        record
        for (name, version), page in pages.items()
        for record in _records(name, version, page or {})
    ]


def _read(client: Any, url: str) -> Mapping[str, Any] | None:
    with stream(client, url, {"Accept": "application/json"}) as answer:
        if answer.status_code == _NOT_FOUND:
            return None
        check_status(answer, url)
        data = answer.read()
    try:
        page = parse_json_object(data)
    except TextError as error:
        raise FetchError(f"{redact(url)}: {error}", hint=_HINT) from error
    if not isinstance(page.get("vulnerabilities"), list):
        raise FetchError(f"{redact(url)}: has no list of vulnerabilities", hint=_HINT)
    return page


def _records(name: str, version: str, page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a page says of its one version; withdrawn rows do not count. Pure."""
    return [
        {
            "id": str(row.get("id", "")),
            "aliases": [str(alias) for alias in row.get("aliases") or ()],
            "summary": _summary(row),
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": name},
                    "versions": [version],
                    # Without "introduced": it is known of this version, and of no other.
                    "ranges": [{"type": "ECOSYSTEM", "events": _fixes(row)}],
                }
            ],
        }
        for row in page.get("vulnerabilities", ())
        if isinstance(row, dict) and not row.get("withdrawn")
    ]


def _fixes(row: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"fixed": str(version)} for version in row.get("fixed_in") or ()]


def _summary(row: Mapping[str, Any]) -> str:
    text = str(row.get("summary") or row.get("details") or "")
    return text.strip().partition("\n")[0]
