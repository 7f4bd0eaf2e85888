"""What the tests of repositories share: a key, a signer, an open repository."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from mypy_boto3_s3.client import S3Client

from builder.repo.core import Repository, open_repository
from builder.repo.gpg import Gpg, private_home
from builder.repo.publish import Place
from builder.repo.publish.folder import FolderPublisher
from builder.repo.publish.rsync import RsyncPublisher
from builder.repo.publish.s3 import S3Publisher
from builder.repo.sign import KeySource, Signer, open_signer
from tests.helpers.keys import export_secret, has_gpg, make_key
from tests.helpers.repos import BUCKET, NOW, SMALL, TestKey, write_repository
from tests.unit.repo.conftest import _no_waiting_for_disks, repository

__all__ = ["_no_waiting_for_disks", "repository"]  # fixtures of here, too


@pytest.fixture(scope="session")
def test_keys() -> Iterator[tuple[TestKey, TestKey]]:
    """Two signing keys; the test is skipped where there is no gpg."""
    if not has_gpg():
        pytest.skip("gpg is not here: apt-get install gpg gpg-agent")
    with private_home() as home:
        gpg = Gpg(home)
        names = [make_key(gpg, f"Key {n} <{n}@example.org>", expires="10y") for n in (1, 2)]
        source = KeySource(key=export_secret(gpg, names))
        first, second = (TestKey(fingerprint=name, source=source) for name in names)
        yield first, second


@pytest.fixture(scope="session")
def signer(test_keys: tuple[TestKey, TestKey]) -> Iterator[Signer]:
    """Signs with the first key."""
    first, _ = test_keys
    with open_signer([first.fingerprint], first.source, NOW) as opened:
        yield opened


@pytest.fixture
def stranger(test_keys: tuple[TestKey, TestKey]) -> Iterator[Signer]:
    """Signs with a key that the repository does not name."""
    with open_signer([test_keys[1].fingerprint], test_keys[1].source, NOW) as opened:
        yield opened


@pytest.fixture
def signed_repository(tmp_path: Path, test_keys: tuple[TestKey, TestKey]) -> Iterator[Repository]:
    """An empty repository, open, that names the first key."""
    root = write_repository(tmp_path / "repo", test_keys[0].fingerprint, config=SMALL)
    with open_repository(root) as opened:
        yield opened


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Client]:
    """A client of a store on a loopback port; the environment has its credentials."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket=BUCKET)
        yield client
        client.close()
    server.stop()


@pytest.fixture(params=["folder", "rsync", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place, empty."""
    if request.param == "folder":
        return FolderPublisher(tmp_path / "www")
    if request.param == "rsync":
        if shutil.which("rsync") is None:
            pytest.skip("rsync is not here: apt-get install rsync")
        return RsyncPublisher(str(tmp_path / "www"))
    client = request.getfixturevalue("s3")
    return S3Publisher(client, BUCKET, tmp_path.name)


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    """A home for keys."""
    with private_home() as home:
        yield Gpg(home)
