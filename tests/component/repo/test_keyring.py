"""The keyring packages: what they are called, hold and say."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.paths import PROJECT
from builder.inspect.deb822 import parse_fields
from builder.plan.sources import read_sources
from builder.repo.config import RepoConfig
from builder.repo.core import Repository
from builder.repo.keyfiles import make_key_files
from builder.repo.keyring import (
    KeyringInput,
    KeyringRequest,
    build_keyring,
    keyring_release,
    render_repo,
    render_sources,
)
from builder.repo.sign import Signer
from builder.spec import Spec
from tests.helpers.fakenfpm import FakeNfpm


@pytest.fixture
def config(repository: Repository) -> RepoConfig:
    """The configuration of the tests."""
    return repository.config


@pytest.fixture
def given(
    real_spec: Spec, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> KeyringInput:
    """The project's own sources, and a stand-in for nfpm."""
    monkeypatch.setenv("BUILDER_NFPM", str(FakeNfpm(tmp_path / "nfpm").path))
    return KeyringInput(project=real_spec.project, sources=read_sources(PROJECT), cache=cache)


def test_the_sources_of_apt(config: RepoConfig) -> None:
    fields = parse_fields(render_sources(config, "testing").split("\n", 1)[1])
    assert fields == {
        "types": "deb",
        "uris": "https://packages.example.org/",
        "suites": "testing",
        "components": "main extra",
        "signed-by": "/usr/share/keyrings/example-archive-keyring.gpg",
    }


def test_the_repo_file_of_dnf_has_a_section_for_each_component(config: RepoConfig) -> None:
    text = render_repo(config, "stable")
    sections = [line for line in text.splitlines() if line.startswith("[")]
    assert sections == ["[example-stable]", "[example-stable-extra]"]
    base = "https://packages.example.org/rpm/stable"
    for component in ("main", "extra"):
        assert f"mirrorlist={base}/{component}/$basearch/mirrorlist\n" in text
    assert text.count("repo_gpgcheck=1\n") == 2
    assert text.count("gpgcheck=0\n") == 2  # the tests' packages are unsigned
    assert text.count("gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-example\n") == 2


def test_the_version_is_the_day_of_the_newest_key(config: RepoConfig) -> None:
    release = keyring_release(config, datetime(2026, 3, 1, 23, 59, tzinfo=UTC), 2)
    assert (release.package_version, release.revision) == ("2026.3.1", 2)
    assert release.epoch == int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())


def _entries(path: Path) -> dict[str, tuple[str, str]]:
    """Source and kind of each entry, out of the configuration that the stand-in packs."""
    text = path.read_text(encoding="utf-8", errors="replace")
    config, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    return {entry["dst"]: (entry["src"], entry.get("type", "file")) for entry in config["contents"]}


def test_each_format_gets_its_own_files_and_both_keys(
    signed_repository: Repository,
    signer: Signer,
    given: KeyringInput,
    tmp_path: Path,
) -> None:
    request = KeyringRequest(channel="stable", revision=3, out=tmp_path / "out")
    deb, rpm = build_keyring(
        signed_repository.config, make_key_files(signed_repository, signer), request, given
    )
    assert deb.name.startswith("example-archive-keyring_20")
    assert deb.name.endswith("-3_all.deb")
    assert rpm.name.endswith("-3.noarch.rpm")
    assert (tmp_path / "out" / "manifest.json").is_file()
    packed = {path: _entries(path) for path in (deb, rpm)}
    sources, kind = packed[deb]["/etc/apt/sources.list.d/example.sources"]
    assert kind == "config|noreplace"
    assert "Suites: stable" in Path(sources).read_text()
    keyring, _ = packed[deb]["/usr/share/keyrings/example-archive-keyring.gpg"]
    assert Path(keyring).read_bytes() == signer.public_keys(armor=False)
    key, _ = packed[rpm]["/etc/pki/rpm-gpg/RPM-GPG-KEY-example"]
    assert Path(key).read_bytes() == signer.public_keys(armor=True)
    assert packed[rpm]["/etc/yum.repos.d/example.repo"][1] == "config|noreplace"
    assert not set(packed[deb]) & {"/etc/yum.repos.d/example.repo"}
    assert not set(packed[rpm]) & {"/etc/apt/sources.list.d/example.sources"}
