"""What the tests of bundles share: a published repository, and a signer of it."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.base.model import Arch, PackageFormat
from builder.bundle.make import make_bundle
from builder.bundle.model import Bundle, BundleRequest
from builder.repo.core import Repository, open_repository
from builder.repo.gpg import Gpg, private_home
from builder.repo.indexing import build_tree
from builder.repo.sign import KeySource, Signer, open_signer
from tests.helpers.keys import export_secret, has_gpg, make_key
from tests.helpers.repos import NOW, DebPackage, TestKey, add, write_repository, write_rpm

# Long enough for several parts of a megabyte after compression.
_FILLING = random.Random(1).randbytes(2_400_000).hex()


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes bundles of one repository."""

    repository: Repository
    signer: Signer

    def make(self, out: Path, *words: str, **more: object) -> Bundle:
        """Make a bundle in ``out``; by default of both formats."""
        return make_bundle(self.repository, self.signer, self.request(out, *words, **more))

    def request(self, out: Path, *words: str, **more: object) -> BundleRequest:
        """The request for it."""
        values: dict[str, object] = {
            "channel": "stable",
            "words": words,
            "arch": Arch.AMD64,
            "formats": tuple(PackageFormat),
            "out": out,
            **more,
        }
        return BundleRequest(**values)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def key() -> Iterator[TestKey]:
    """A signing key; the test is skipped where there is no gpg."""
    if not has_gpg():
        pytest.skip("gpg is not here: apt-get install gpg gpg-agent")
    with private_home() as home:
        gpg = Gpg(home)
        name = make_key(gpg, "Key <key@example.org>", expires="10y")
        yield TestKey(fingerprint=name, source=KeySource(key=export_secret(gpg, [name])))


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, key: TestKey) -> Path:
    """A repository with a service, what it needs, and more, published; tests copy it."""
    place = tmp_path_factory.mktemp("published")
    root = write_repository(place / "repo", key.fingerprint)
    files = place / "files"
    packages = [
        DebPackage(name="common", version="2.0-1", arch="all", extra="Section: net\n"),
        DebPackage(name="common", version="1.0-1", arch="all", extra="Section: net\n"),
        DebPackage(
            name="tool",
            version="2.0-1",
            content=_FILLING,
            extra="Section: net\nDepends: libc6, common (= 2.0-1), store | halfstack\n",
        ),
        DebPackage(name="halfstack", version="2.0-1", extra="Section: net\n"),
        DebPackage(name="other", version="2.0-1", extra="Section: net\n"),
    ]
    with (
        open_repository(root) as repository,
        open_signer([key.fingerprint], key.source, NOW) as signer,
    ):
        add(repository, *(package.write(files) for package in packages))
        add(repository, write_rpm(files, "tool", "2.0"))
        build_tree(repository, signer, NOW)
    return root


@pytest.fixture
def maker(tmp_path: Path, key: TestKey, published: Path) -> Iterator[Maker]:
    """A copy of that repository, and its signer."""
    root = tmp_path / "repo"
    shutil.copytree(published, root, symlinks=True)
    with (
        open_repository(root) as repository,
        open_signer([key.fingerprint], key.source, NOW) as signer,
    ):
        yield Maker(repository=repository, signer=signer)
