"""A remote cache in a bucket of S3 or what is compatible with it.

Requests are those of a plain HTTP store, signed by version 4 with the sha256 of what is sent, so
that the store refuses what was damaged on its way. Credentials, region and endpoint are those
that the AWS tools find: environment, ``~/.aws``, the role of a machine or a CI job.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from builder.base.errors import UsageError
from builder.base.redact import redact
from builder.net.remote_stores import HttpStore, StoreError

if TYPE_CHECKING:
    import httpx

SCHEME = "s3"
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGION = "us-east-1"  # of a store that has none
_NOTHING = hashlib.sha256(b"").hexdigest()
_BUCKET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,61}[a-zA-Z0-9]")
_IN_A_NAME = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]")  # of a bucket that can be part of a host's
_REDIRECTED, _FORBIDDEN, _THERE, _UNKNOWN = (301, 307), 403, (409, 412), 501
_HINTS = {
    _FORBIDDEN: "the credentials need s3:GetObject, s3:PutObject and s3:ListBucket; without the "
    "last one a missing entry is answered like this",
    **dict.fromkeys(_REDIRECTED, "the bucket is in another region: set AWS_REGION"),
}


def open_s3_store(place: str) -> S3Store:
    """Return the store of ``s3://BUCKET/PREFIX``; raises UsageError if that is no such place."""
    parts = urlsplit(place)
    if not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise UsageError(
            f"BUILDER_REMOTE_CACHE is {redact(place)!r}: s3://BUCKET/PREFIX is needed",
            hint="credentials are those of the AWS tools: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role",
        )
    account = _Account()
    address = bucket_address(
        parts.netloc, endpoint=account.endpoint, region=account.region, style=account.style
    )
    prefix = quote(parts.path.strip("/"), safe="/-_.~")
    return S3Store(url=f"{address}/{prefix}".rstrip("/"), account=account)


def bucket_address(bucket: str, *, endpoint: str | None, region: str, style: str = "auto") -> str:
    """Return the URL of a bucket.

    The bucket is part of the host's name at Amazon, and of the path elsewhere, unless ``style``
    is ``virtual`` or ``path``, or the name cannot be part of a host's.
    """
    base = urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
    virtual = style == "virtual" or (style == "auto" and endpoint is None)
    if virtual and _IN_A_NAME.fullmatch(bucket):
        return f"{base.scheme}://{bucket}.{base.netloc}{base.path.rstrip('/')}"
    return f"{base.scheme}://{base.netloc}{base.path.rstrip('/')}/{bucket}"


class _Account:
    """Who asks, and where, as the AWS tools find it; read at the first request."""

    @cached_property
    def _session(self) -> Any:
        # Not loaded where the cache lies elsewhere.
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        session = Session()
        try:
            session.get_scoped_config()
        except BotoCoreError as error:
            raise UsageError(f"BUILDER_REMOTE_CACHE: {error}") from error
        return session

    @property
    def _settings(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._session.get_scoped_config()
        return found

    @property
    def region(self) -> str:
        """The region of the bucket."""
        return (
            os.environ.get("AWS_REGION") or self._session.get_config_variable("region") or _REGION
        )

    @property
    def endpoint(self) -> str | None:
        """The address of the store; None is Amazon's."""
        named = next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
        found = named or self._settings.get("endpoint_url")
        if found and urlsplit(found).scheme not in ("http", "https"):
            raise UsageError(
                f"AWS_ENDPOINT_URL is {redact(found)!r}: an http:// or https:// URL is needed"
            )
        return found

    @property
    def style(self) -> str:
        """How addresses name the bucket, by ``s3 = addressing_style`` of ~/.aws/config."""
        own = self._settings.get("s3")
        return str(own.get("addressing_style", "auto")) if isinstance(own, Mapping) else "auto"

    def sign(self, method: str, url: str, sha256: str) -> dict[str, str]:
        """Return the headers of a signed request whose body has this sha256."""
        from botocore.auth import S3SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        class Signature(S3SigV4Auth):
            def payload(self, request: AWSRequest) -> str:  # noqa: ARG002 - hashed already
                return sha256

        try:
            credentials = self._session.get_credentials()
            if credentials is None:
                raise StoreError(
                    "no credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                    "AWS_PROFILE"
                )
            request = AWSRequest(method=method, url=url)
            Signature(credentials.get_frozen_credentials(), SCHEME, self.region).add_auth(request)
        except BotoCoreError as error:
            raise StoreError(f"no credentials: {error}") from error
        return dict(request.headers.items())


@dataclass(kw_only=True)
class S3Store(HttpStore):
    """A bucket, or the part of it under a prefix."""

    account: _Account
    _conditions: bool = True  # until the store rejects them

    def put(self, name: str, source: Path, sha256: str, *, replace: bool = False) -> None:
        """Upload a file, unless another machine was faster."""
        if_none = {"If-None-Match": "*"} if self._conditions and not replace else {}
        answer = self._upload(name, source, sha256, if_none)
        if answer.status_code == _UNKNOWN and if_none:
            self._conditions = False
            answer = self._upload(name, source, sha256, {})
        if not (if_none and answer.status_code in _THERE):
            self._check(answer)

    def _headers(self, method: str, name: str, sha256: str = "") -> dict[str, str]:
        return self.account.sign(method, self._place(name), sha256 or _NOTHING)

    def _check(self, answer: httpx.Response) -> None:
        try:
            super()._check(answer)
        except StoreError as error:
            hint = _HINTS.get(answer.status_code)
            raise StoreError(f"{error}: {hint}" if hint else str(error)) from error
