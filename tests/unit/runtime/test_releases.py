"""Refreshing pins: judged by SHA256SUMS, written without touching anything else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.base.errors import FetchError, SpecError, UsageError
from builder.base.model import Arch
from builder.base.paths import RUNTIMES_FILE
from builder.runtime.pins import Pins, asset_stem, load_pins
from builder.runtime.releases import (
    check_pins,
    check_tag,
    fetch_sums,
    find_newest_tag,
    find_updates,
    refuse_wrong,
    write_updates,
)
from tests.helpers.servers import ReleaseServer, release_server

FLAVOUR = "install_only_stripped"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with release_server() as running:
        yield running


def sums_of(tag: str, *versions: str) -> dict[str, str]:
    """A release with these versions for both architectures, and the usual neighbours."""
    names = []
    for version in versions:
        for arch in Arch:
            stem = asset_stem(version, tag, arch, FLAVOUR)
            names += [f"{stem}.tar.gz", stem.replace("-gnu-", "-musl-") + ".tar.gz"]
            names += [stem.removesuffix("_stripped") + ".tar.gz"]
    return {name: f"{number:064x}" for number, name in enumerate(names, start=1)}


def text_of(sums: dict[str, str]) -> bytes:
    return "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()


def test_sums_are_read_from_the_release(server: ReleaseServer) -> None:
    sums = sums_of("20261101", "3.13.16")
    server.add("/20261101/SHA256SUMS", text_of(sums) + b"not a sum\n")
    assert fetch_sums(server.url, "20261101") == sums


def test_a_page_instead_of_sums_is_refused(server: ReleaseServer) -> None:
    server.add("/20261101/SHA256SUMS", b"<html>log in please</html>")
    with pytest.raises(FetchError, match="SHA256SUMS lists nothing"):
        fetch_sums(server.url, "20261101")


def test_newest_tag_of_a_folder(tmp_path: Path) -> None:
    for name in ("20250918", "20260814", "notes", "99999999x"):
        (tmp_path / name).mkdir()
    assert find_newest_tag(tmp_path.as_uri()) == "20260814"
    assert find_newest_tag("https://mirror.invalid/tree") is None
    with pytest.raises(UsageError, match="'v1' is no tag"):
        check_tag("v1")


def test_pins_that_the_release_confirms_are_fine() -> None:
    pins = load_pins()
    sums = {pin.asset: pin.sha256 for pin in pins.standalone}
    assert check_pins(pins.standalone, "20260814", sums) == []


def test_pins_that_the_release_contradicts_are_all_named() -> None:
    pins = load_pins()
    sums = {pin.asset: pin.sha256 for pin in pins.standalone if pin.tag == "20260814"}
    gone, wrong = sorted(sums)[:2]
    del sums[gone]
    sums[wrong] = "0" * 64
    problems = check_pins(pins.standalone, "20260814", sums)
    assert len(problems) == 2
    with pytest.raises(SpecError) as caught:
        refuse_wrong(problems)
    assert f"{gone} is pinned, but SHA256SUMS of 20260814 does not list it" in str(caught.value)
    assert f"SHA256SUMS of 20260814 has {'0' * 64}" in str(caught.value)


def test_newer_versions_and_rebuilds_are_updates() -> None:
    pins = load_pins()
    sums = sums_of("20261101", "3.12.14", "3.13.16", "3.13.2", "3.14.1")
    updates = find_updates(pins, "20261101", sums)
    reported = [(u.old and u.old.version, u.new.version, u.new.arch.value) for u in updates]
    assert reported == [
        ("3.12.14", "3.12.14", "amd64"),  # the same version, built again
        ("3.12.14", "3.12.14", "arm64"),
        ("3.13.15", "3.13.16", "amd64"),
        ("3.13.15", "3.13.16", "arm64"),
    ]
    assert all(update.new.sha256 == sums[update.new.asset] for update in updates)
    assert all("-gnu-install_only_stripped" in update.new.asset for update in updates)


def test_an_older_release_updates_nothing() -> None:
    assert find_updates(load_pins(), "20250101", sums_of("20250101", "3.13.7", "3.12.14")) == []


def test_a_new_minor_is_added_on_request() -> None:
    sums = sums_of("20261101", "3.14.1")
    updates = find_updates(load_pins(), "20261101", sums, ["3.14"])
    assert [(u.old, u.new.version) for u in updates] == [(None, "3.14.1")] * 2


def test_the_file_is_rewritten_and_all_else_in_it_kept(tmp_path: Path) -> None:
    path = tmp_path / "runtimes.toml"
    before = RUNTIMES_FILE.read_text()
    path.write_text(before)
    sums = sums_of("20261101", "3.13.16", "3.14.1")
    write_updates(path, find_updates(load_pins(path), "20261101", sums, ["3.14"]))
    after = load_pins(path)
    versions = {(pin.version, pin.tag) for pin in after.standalone}
    assert {("3.13.16", "20261101"), ("3.14.1", "20261101"), ("3.13.7", "20250918")} <= versions
    assert ("3.13.15", "20260814") not in versions
    assert after.source == load_pins().source
    assert find_updates(after, "20261101", sums, ["3.14"]) == []
    text = path.read_text()
    comments = [line for line in before.splitlines() if "#" in line]
    assert [line for line in text.splitlines() if "#" in line] == comments
    assert list(tmp_path.iterdir()) == [path]
    # In the style of the rest: one empty line before each table, none doubled.
    assert "\n\n\n" not in text
    assert text.count("\n\n[[") == text.count("[[standalone]]\n") + text.count("[[source]]\n")


def test_a_file_without_standalone_pins_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "runtimes.toml"
    path.write_text("# mine\n")
    sums = sums_of("20261101", "3.13.16")
    write_updates(path, find_updates(Pins(), "20261101", sums, ["3.13"]))
    assert [pin.version for pin in load_pins(path).standalone] == ["3.13.16", "3.13.16"]
    assert path.read_text().startswith("# mine\n")
