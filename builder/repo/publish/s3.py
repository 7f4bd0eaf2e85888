"""Publishes to a bucket of an S3-compatible store.

An upload appears whole or not at all, and the store compares the sha256 that comes with
it. Credentials are those that boto3 finds: environment, ``~/.aws``, the machine's role.
"""

import base64
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from builder.base.errors import RepoError
from builder.repo.config import S3Target
from builder.repo.model import FileFacts, check_place
from builder.repo.publish.claim import CLAIMS
from builder.repo.publish.source import check_source
from builder.repo.publish.web import cache_control, content_type, never_changes
from builder.repo.spill import batches

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef, PutObjectRequestTypeDef

_CONNECTIONS = 16
_CONNECT_TIMEOUT_S = 15
_READ_TIMEOUT_S = 120
_ATTEMPTS = 5
_PAGE = 1000  # the most objects that one request may list or delete
_SHA256 = "sha256"
_HINTS = {
    "AccessDenied": "the credentials need s3:ListBucket, GetObject, PutObject and DeleteObject",
    "InvalidAccessKeyId": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "NoSuchBucket": "make the bucket first, or fix 'bucket' in repo.toml",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID",
    "BadDigest": "the upload was damaged on its way: publish again",
}
_DEFAULT_HINT = "check endpoint, region and bucket in repo.toml; publishing again goes on from here"
_CLAIM = CLAIMS / "lock"
_MISSING = ("404", "NoSuchKey", "NotFound")
# 409: two conditional writes at one moment.
_CHANGED = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")
_NO_CONDITIONS = ("501", "NotImplemented")


def open_s3(target: S3Target) -> "S3Publisher":
    """Open the bucket that a target of ``repo.toml`` names."""
    # A session of its own: boto3's default one keeps credentials it found earlier.
    client = boto3.Session().client(
        "s3",
        endpoint_url=target.endpoint,
        region_name=target.region,
        config=Config(
            max_pool_connections=_CONNECTIONS,
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"mode": "standard", "max_attempts": _ATTEMPTS},
            # A store that is not Amazon's may not know the newer checksums; the sha256
            # below goes with every upload anyway.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    return S3Publisher(client, target.bucket, target.prefix)


class S3Publisher:
    """A bucket, or the part of it under a prefix."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._conditions = True  # until the store rejects them

    def list(self) -> Iterator[tuple[PurePosixPath, int]]:
        """Yield every object with its size."""
        with self._wording("list", self._prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(
                Bucket=self._bucket, Prefix=self._prefix, PaginationConfig={"PageSize": _PAGE}
            ):
                for item in page.get("Contents", []):
                    path = PurePosixPath(item["Key"].removeprefix(self._prefix))
                    if path != _CLAIM:
                        yield path, item["Size"]

    def claims(self) -> Mapping[str, bytes]:
        """Return the claim of a publisher, by its name; there is one place for it."""
        try:
            with self.open(_CLAIM) as file:
                return {_CLAIM.name: file.read()}
        except _MissingError:
            return {}

    def claim(self, name: str, data: bytes) -> str | None:  # noqa: ARG002 - all have one name
        """Write a claim if there is none.

        A store without conditional writes is read before and after the write; there, two
        publishers that begin at the same moment may not notice each other.
        """
        key = self._key(_CLAIM)
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": key,
            "Body": data,
            "ContentType": "application/json",
            "CacheControl": cache_control(_CLAIM),
        }
        conditional: PutObjectRequestTypeDef = {**request, "IfNoneMatch": "*"}
        try:
            with self._wording("write", key):
                self._client.put_object(**conditional)
        except _ChangedError:
            return None
        except _NoConditionsError:
            self._conditions = False
            if self.claims():
                return None
            with self._wording("write", key):
                self._client.put_object(**request)
        return _CLAIM.name

    def unclaim(self, names: Iterable[str]) -> None:
        """Remove the claim."""
        self.delete(CLAIMS / name for name in names)

    def has(self, path: PurePosixPath, facts: FileFacts) -> bool:
        """Return whether this very file is there, by the size and hash noted with the upload."""
        key = self._key(path)
        try:
            with self._wording("look at", key):
                head = self._client.head_object(Bucket=self._bucket, Key=key)
        except _MissingError:
            return False
        return head["ContentLength"] == facts.size and head["Metadata"].get(_SHA256) == facts.sha256

    def put(self, path: PurePosixPath, source: Path, facts: FileFacts) -> None:
        """Place a file; a file whose name promises its bytes is never replaced by others."""
        check_source(path, source, facts)
        once = never_changes(path) and self._conditions
        try:
            self._upload(path, source, facts, once=once)
        except _ChangedError as error:
            if not self.has(path, facts):
                raise RepoError(
                    f"{self._where(self._key(path))} exists with different content than {source}",
                    hint="a name that promises its bytes was written by another publisher; "
                    "find out who wrote it, delete the object, and publish again",
                ) from error
        except _NoConditionsError:
            self._conditions = False
            self._upload(path, source, facts, once=False)

    def _upload(self, path: PurePosixPath, source: Path, facts: FileFacts, *, once: bool) -> None:
        key = self._key(path)
        digest = base64.b64encode(bytes.fromhex(facts.sha256)).decode()
        with self._wording("write", key), source.open("rb") as body:
            request: PutObjectRequestTypeDef = {
                "Bucket": self._bucket,
                "Key": key,
                "Body": body,
                "ContentLength": facts.size,
                "ContentType": content_type(path),
                "CacheControl": cache_control(path),
                "ChecksumSHA256": digest,
                "Metadata": {_SHA256: facts.sha256},
            }
            if once:
                request["IfNoneMatch"] = "*"
            self._client.put_object(**request)
        if not self.has(path, facts):
            raise RepoError(
                f"{self._where(key)} is not what was uploaded from {source}", hint=_DEFAULT_HINT
            )

    def open(self, path: PurePosixPath) -> BinaryIO:
        """Open a copy of a file to read it."""
        key, copy = self._key(path), tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            with self._wording("read", key):
                shutil.copyfileobj(
                    self._client.get_object(Bucket=self._bucket, Key=key)["Body"], copy
                )
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return cast("BinaryIO", copy)

    def delete(self, paths: Iterable[PurePosixPath]) -> None:
        """Remove objects; an absent object is no error to the store."""
        for some in batches(paths, _PAGE):
            keys: list[ObjectIdentifierTypeDef] = [{"Key": self._key(path)} for path in some]
            with self._wording("delete", keys[0]["Key"]):
                answer = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
                )
            for error in answer.get("Errors", []):
                code = error.get("Code", "")
                raise RepoError(
                    f"cannot delete {self._where(error.get('Key', ''))}: {code}",
                    hint=_HINTS.get(code, _DEFAULT_HINT),
                )

    def _key(self, path: PurePosixPath) -> str:
        return f"{self._prefix}{check_place(path)}"

    def _where(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    @contextmanager
    def _wording(self, what: str, key: str) -> Iterator[None]:
        """Turn boto3's errors into this project's."""
        where = self._where(key)
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            message = f"cannot {what} {where}: {error}"
            kind = _kind(code)
            raise kind(message, hint=_HINTS.get(code, _DEFAULT_HINT)) from error
        except NoCredentialsError as error:
            raise RepoError(
                f"cannot {what} {where}: no credentials found",
                hint=_HINTS["InvalidAccessKeyId"],
            ) from error
        except BotoCoreError as error:
            raise RepoError(f"cannot {what} {where}: {error}", hint=_DEFAULT_HINT) from error


class _MissingError(RepoError):
    """The object does not exist."""


class _ChangedError(RepoError):
    """An object of that name is there already."""


class _NoConditionsError(RepoError):
    """The store has no conditional requests."""


def _kind(code: str) -> type[RepoError]:
    if code in _MISSING:
        return _MissingError
    if code in _CHANGED:
        return _ChangedError
    return _NoConditionsError if code in _NO_CONDITIONS else RepoError
