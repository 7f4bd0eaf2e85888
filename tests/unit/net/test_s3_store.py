"""A bucket as a remote cache: signatures by Amazon's own examples, a store that checks them."""

import hashlib
import hmac
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from builder.base.errors import UsageError
from builder.net.remote_cache import RemoteCache, open_remote_cache
from builder.net.remote_stores import StoreError
from builder.net.s3_store import S3Store, bucket_address, open_s3_store

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
_KEY_ID, _SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
_EMPTY = hashlib.sha256(b"").hexdigest()
_CONTENT = b"a wheel\n" * 1000
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()
OpenStore = Callable[..., S3Store]
OpenCache = Callable[[], RemoteCache]


def _signature(scope: str, method: str, target: str, headers: dict[str, str]) -> str:
    """Sign as the documentation says, with nothing but the standard library."""
    path, _, query = target.partition("?")
    names = ";".join(headers)
    listed = "".join(f"{name}:{value.strip()}\n" for name, value in headers.items())
    quoted = quote(unquote(path), safe="/-_.~")
    canonical = "\n".join([method, quoted, query, listed, names, headers["x-amz-content-sha256"]])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    key = f"AWS4{_SECRET}".encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("target", "more", "expected"),
    [
        (
            "/test.txt",
            {"range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("/?lifecycle=", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "/?max-keys=2&prefix=J",
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_checking_store_signs_as_amazons_examples(
    target: str, more: dict[str, str], expected: str
) -> None:
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "x-amz-content-sha256": _EMPTY,
        "x-amz-date": "20130524T000000Z",
        **more,
    }
    scope = "20130524/us-east-1/s3/aws4_request"
    assert _signature(scope, "GET", target, dict(sorted(headers.items()))) == expected


class _Bucket(http.server.ThreadingHTTPServer):
    """A store that verifies each signature, hash and condition."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.conditions = True
        self.token = ""
        self.answer: int | None = None  # to everything


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def _problem(self, body: bytes) -> int | None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers))
        if self.server.answer:
            return int(self.server.answer)
        words = dict(
            word.strip().split("=", 1)
            for word in headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
        )
        key_id, _, scope = words["Credential"].partition("/")
        named = words["SignedHeaders"].split(";")
        made = _signature(scope, self.command, self.path, {name: headers[name] for name in named})
        right = key_id == _KEY_ID and hmac.compare_digest(made, words["Signature"])
        right = right and {"host", "x-amz-content-sha256", "x-amz-date"} <= set(named)
        datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")  # noqa: DTZ007
        if not right or headers.get("x-amz-security-token", "") != self.server.token:
            return HTTPStatus.FORBIDDEN
        if hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
            return HTTPStatus.BAD_REQUEST
        return None

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        problem = self._problem(b"")
        found = self.server.objects.get(self.path)
        if problem or found is None:
            self._answer(problem or HTTPStatus.NOT_FOUND)
        else:
            self._answer(HTTPStatus.OK, found)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        condition = self.headers.get("If-None-Match")
        status = self._problem(body)
        if status is None and condition and not self.server.conditions:
            status = HTTPStatus.NOT_IMPLEMENTED
        if status is None and condition and self.path in self.server.objects:
            status = HTTPStatus.PRECONDITION_FAILED
        if status is None:
            self.server.objects[self.path] = body
        self._answer(status or HTTPStatus.OK)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[_Bucket]:
    """A store on a loopback port, which the environment names."""
    with _Bucket() as server:
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", _KEY_ID)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name, raising=False)
        yield server
        server.shutdown()


@pytest.fixture
def open_store(bucket: _Bucket) -> Iterator[OpenStore]:
    """Opens stores, and closes them at the end."""
    del bucket
    with ExitStack() as stack:

        def open_it(place: str = "s3://site-cache") -> S3Store:
            store = open_s3_store(place)
            stack.callback(store.close)
            return store

        yield open_it


@pytest.fixture
def open_cache(bucket: _Bucket) -> Iterator[OpenCache]:
    """Opens the cache that the environment names as another build does."""
    del bucket
    with ExitStack() as stack:

        def open_it() -> RemoteCache:
            variables = {"BUILDER_REMOTE_CACHE": "s3://site-cache/builder"}
            remote = open_remote_cache(offline=False, environment=variables)
            assert remote is not None
            assert isinstance(remote.store, S3Store)
            stack.callback(remote.store.close)
            return remote

        yield open_it


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A file to store."""
    path = tmp_path / "given"
    path.write_bytes(_CONTENT)
    return path


def test_what_is_put_is_got(
    bucket: _Bucket, given: Path, tmp_path: Path, open_store: OpenStore
) -> None:
    store = open_store("s3://site-cache/builder/line 26+")
    assert store.get("blobs/ab/abcd", tmp_path / "got") is None
    assert not store.has("blobs/ab/abcd")
    store.put("blobs/ab/abcd", given, _SHA256)
    assert store.has("blobs/ab/abcd")
    assert store.get("blobs/ab/abcd", tmp_path / "got") == _SHA256
    assert (tmp_path / "got").read_bytes() == _CONTENT
    (path,) = bucket.objects
    assert unquote(path) == "/site-cache/builder/line 26+/blobs/ab/abcd"


def test_a_second_writer_keeps_the_first_ones_entry(
    bucket: _Bucket, given: Path, open_store: OpenStore
) -> None:
    store = open_store()
    bucket.objects["/site-cache/blobs/x"] = b"the first one's"
    store.put("blobs/x", given, _SHA256)
    assert bucket.objects["/site-cache/blobs/x"] == b"the first one's"
    store.put("blobs/x", given, _SHA256, replace=True)
    assert bucket.objects["/site-cache/blobs/x"] == _CONTENT


def test_a_store_without_conditions_is_written_without(
    bucket: _Bucket, given: Path, open_store: OpenStore
) -> None:
    bucket.conditions = False
    store = open_store()
    store.put("blobs/x", given, _SHA256)
    store.put("blobs/y", given, _SHA256)
    assert set(bucket.objects) == {"/site-cache/blobs/x", "/site-cache/blobs/y"}
    assert len([request for request in bucket.requests if request[0] == "PUT"]) == 3


def test_a_session_token_is_sent_and_signed(
    bucket: _Bucket, given: Path, monkeypatch: pytest.MonkeyPatch, open_store: OpenStore
) -> None:
    bucket.token = "a token of a role"
    monkeypatch.setenv("AWS_SESSION_TOKEN", bucket.token)
    open_store().put("blobs/x", given, _SHA256)
    (request,) = bucket.requests
    assert "x-amz-security-token" in request[2]["authorization"]
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another")
    with pytest.raises(StoreError, match="answered 403 Forbidden: the credentials need s3:Get"):
        open_store().put("blobs/x", given, _SHA256)


def test_an_upload_that_is_not_what_was_hashed_is_refused(
    bucket: _Bucket, given: Path, open_store: OpenStore
) -> None:
    with pytest.raises(StoreError, match="answered 400"):
        open_store().put("blobs/x", given, _EMPTY)
    assert bucket.objects == {}


@pytest.mark.parametrize(
    ("bucket_name", "endpoint", "style", "expected"),
    [
        ("cache", None, "auto", "https://cache.s3.eu-west-1.amazonaws.com"),
        ("cache", None, "path", "https://s3.eu-west-1.amazonaws.com/cache"),
        ("a.b", None, "auto", "https://s3.eu-west-1.amazonaws.com/a.b"),
        ("cache", "http://minio:9000/", "auto", "http://minio:9000/cache"),
        ("cache", "https://o.example.org", "virtual", "https://cache.o.example.org"),
    ],
)
def test_addresses(bucket_name: str, endpoint: str | None, style: str, expected: str) -> None:
    found = bucket_address(bucket_name, endpoint=endpoint, region="eu-west-1", style=style)
    assert found == expected


def test_settings_are_those_of_the_aws_tools(
    bucket: _Bucket, tmp_path: Path, open_store: OpenStore
) -> None:
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n"
    )
    store = open_store()
    assert not store.has("blobs/x")
    assert "/eu-west-1/s3/aws4_request" in bucket.requests[0][2]["authorization"]


@pytest.mark.parametrize(
    "place", ["s3://", "s3://a", "s3:///x", "s3://key:secret@bucket", "s3://b?x"]
)
def test_another_place_is_refused(bucket: _Bucket, place: str) -> None:
    del bucket
    with pytest.raises(UsageError, match="s3://BUCKET/PREFIX is needed") as caught:
        open_s3_store(place)
    assert "secret" not in caught.value.message


def test_a_cache_shares_by_a_bucket(
    bucket: _Bucket, given: Path, tmp_path: Path, open_cache: OpenCache
) -> None:
    open_cache().give_blob(_SHA256, given)
    other = open_cache()
    assert other.take_blob(_SHA256, tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == _CONTENT
    ((path, _),) = bucket.objects.items()
    bucket.objects[path] = b"poison"
    poisoned = open_cache()
    assert not poisoned.take_blob(_SHA256, tmp_path / "again")
    poisoned.give_blob(_SHA256, given)  # what is damaged there is replaced
    assert bucket.objects[path] == _CONTENT


@pytest.mark.parametrize("answer", [301, 403, 500, 503])
def test_a_store_that_refuses_stops_no_build(
    bucket: _Bucket, given: Path, tmp_path: Path, answer: int, open_cache: OpenCache
) -> None:
    bucket.answer = answer
    remote = open_cache()
    assert not remote.take_blob(_SHA256, tmp_path / "taken")
    remote.give_blob(_SHA256, given)
    assert not remote.take_blob("0" * 64, tmp_path / "taken")
    assert len(bucket.requests) == 1  # then it is left alone


def test_without_credentials_or_a_server_a_build_goes_on(
    bucket: _Bucket,
    given: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_cache: OpenCache,
) -> None:
    bucket.shutdown()
    bucket.server_close()
    assert not open_cache().take_blob(_SHA256, tmp_path / "taken")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    remote = open_cache()
    assert not remote.take_blob(_SHA256, tmp_path / "taken")
    remote.give_blob(_SHA256, given)
    assert remote.counts["uploads"] == 0
