"""What python.org and Debian offer, from a server on loopback and from apt's own words."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.base.errors import FetchError, SpecError, ToolError, UsageError
from builder.base.paths import RUNTIMES_FILE
from builder.runtime.offers import (
    SourceOffer,
    find_apt,
    find_upstream,
    list_upstream,
    read_source,
)
from builder.runtime.pins import SourcePin, load_pins, parse_pins
from builder.runtime.source_pins import choose_offer, make_pin, write_source_pin
from tests.helpers.apt import MIRROR, fake_apt
from tests.helpers.servers import ReleaseServer, release_server

SUM, OTHER = "a" * 64, "b" * 64
_PARAGRAPH = f"""\
Package: python3.13
Binary: python3.13, python3.13-venv
Version: 3.13.16-1
Checksums-Sha1:
 {"c" * 40} 100 python3.13_3.13.16.orig.tar.xz
Checksums-Sha256:
 {OTHER} 4040 python3.13_3.13.16-1.dsc
 {SUM} 23160540 python3.13_3.13.16.orig.tar.xz
 {OTHER} 261776 python3.13_3.13.16-1.debian.tar.xz
Directory: pool/main/p/python3.13
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with release_server() as running:
        yield running


def publish(server: ReleaseServer, *, sbom: object = None, states: bool = True) -> str:
    """python.org's tree: 3.13.16 is released, 3.13.17 is a candidate; returns its address."""
    folders = ["3.9.1", "3.12.99", "3.13.2", "3.13.16", "3.13.17"]
    listing = "".join(
        f'<a href="{name}/">{name}/</a>\n' for name in [*folders, "src", "3.13.17rc1"]
    )
    server.add("/ftp/", listing.encode())
    server.add("/ftp/3.13.17/", b'<a href="Python-3.13.17rc1.tar.xz">x</a>')
    file = "Python-3.13.16.tar.xz"
    names = [file, f"{file}.asc", *([f"{file}.spdx.json"] if states else [])]
    server.add("/ftp/3.13.16/", "".join(f'<a href="{name}">x</a>' for name in names).encode())
    own = {
        "downloadLocation": f"https://www.example.org/3.13.16/{file}",
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": "c" * 40},
            {"algorithm": "SHA256", "checksumValue": SUM},
        ],
    }
    expat = {
        "downloadLocation": "https://www.example.org/expat.tar.xz",
        "checksums": [{"algorithm": "SHA256", "checksumValue": OTHER}],
    }
    document = {"packages": [expat, own]} if sbom is None else sbom
    server.add(f"/ftp/3.13.16/{file}.spdx.json", json.dumps(document).encode())
    return f"{server.url}/ftp"


def test_the_newest_release_is_found_and_candidates_are_none(server: ReleaseServer) -> None:
    base = publish(server)
    found = find_upstream("3.13", list_upstream(base), base)
    assert found == SourceOffer(
        version="3.13.16",
        place="python.org",
        url=f"{base}/3.13.16/Python-3.13.16.tar.xz",
        sha256=SUM,
    )


def test_a_minor_version_without_a_folder_is_not_offered(server: ReleaseServer) -> None:
    base = publish(server)
    assert find_upstream("3.99", list_upstream(base), base) is None


def test_a_release_before_sboms_states_no_sum(server: ReleaseServer) -> None:
    base = publish(server, states=False)
    found = find_upstream("3.13", list_upstream(base), base)
    assert found is not None
    assert found.sha256 == ""


@pytest.mark.parametrize(
    "sbom",
    [
        [],
        {"packages": []},
        {"packages": [{"downloadLocation": "x/Python-3.13.16.tar.xz", "checksums": [{}]}]},
        {
            "packages": [
                {
                    "downloadLocation": "x/Python-3.13.16.tar.xz",
                    "checksums": [{"algorithm": "SHA256", "checksumValue": "short"}],
                }
            ]
        },
    ],
)
def test_an_sbom_that_does_not_name_the_tarball_is_refused(
    server: ReleaseServer, sbom: object
) -> None:
    base = publish(server, sbom=sbom)
    with pytest.raises(FetchError, match=r"spdx\.json"):
        find_upstream("3.13", list_upstream(base), base)


def test_debians_index_names_the_upstream_tarball_alone() -> None:
    mirror = "http://deb.example.org/debian"
    assert list(read_source(_PARAGRAPH, mirror, "forky")) == [
        SourceOffer(
            version="3.13.16",
            place="Debian forky",
            url=f"{mirror}/pool/main/p/python3.13/python3.13_3.13.16.orig.tar.xz",
            sha256=SUM,
            debian_file="python3.13_3.13.16.orig.tar.xz",
            debian_pool="pool/main/p/python3.13/",
            debian_suite="forky",
        )
    ]
    assert not list(read_source("", mirror, "forky"))


def test_apt_reads_the_index_in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By stand-ins that note how they are called, and print what apt would."""
    older = _PARAGRAPH.replace("3.13.16", "3.13.9")
    log = fake_apt(tmp_path, monkeypatch, shown=f"{older}\n{_PARAGRAPH}\n")
    found = find_apt().find_debian(["3.13", "3.12"], "trixie")
    assert [(offer.version, offer.place) for offer in found] == [("3.13.16", "Debian trixie")]
    assert log.read_text() == f"deb-src {MIRROR} trixie main\n"


def test_a_suite_that_the_mirror_lacks_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_apt(tmp_path, monkeypatch, unknown=("nosuch",))
    with pytest.raises(UsageError) as caught:
        find_apt().find_debian(["3.13"], "nosuch")
    assert caught.value.message == f"{MIRROR} has no suite nosuch"


def test_a_mirror_that_does_not_answer_is_silent_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """apt calls that a warning, and goes on with nothing."""
    fake_apt(tmp_path, monkeypatch, silent=("trixie",))
    with pytest.raises(FetchError) as caught:
        find_apt().find_debian(["3.13"], "trixie")
    assert caught.value.message == f"Failed to fetch {MIRROR}/dists/trixie  Could not resolve"


def test_a_host_without_apt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.runtime.offers.shutil.which", lambda _: None)
    with pytest.raises(ToolError, match="no apt"):
        find_apt()


def offer(version: str, place: str, sha256: str, suite: str = "") -> SourceOffer:
    names = {}
    if suite:
        names = {
            "debian_file": f"python3.13_{version}.orig.tar.xz",
            "debian_pool": "pool/main/p/python3.13/",
            "debian_suite": suite,
        }
    return SourceOffer(version=version, place=place, url="x", sha256=sha256, **names)


def test_a_pin_needs_one_sum_that_nobody_contradicts() -> None:
    upstream, debian = offer("3.13.16", "python.org", SUM), offer("3.13.16", "Debian", SUM, "sid")
    pin = make_pin([upstream, debian], None)
    assert (pin.sha256, pin.file, pin.debian_suite) == (SUM, "Python-3.13.16.tar.xz", "sid")
    with pytest.raises(SpecError, match="has not one sha256"):
        make_pin([upstream, debian], OTHER)
    with pytest.raises(SpecError, match="has not one sha256"):
        make_pin([upstream, offer("3.13.16", "Debian", OTHER, "sid")], None)
    unstated = offer("3.13.16", "python.org", "")
    with pytest.raises(SpecError) as caught:
        make_pin([unstated], None)
    assert "--sha256" in str(caught.value.hint)
    assert make_pin([unstated], OTHER).debian_file == "python3.13_3.13.16.orig.tar.xz"


def test_the_newest_offer_of_a_minor_version_or_the_named_one_is_chosen() -> None:
    known = [offer("3.13.9", "a", SUM), offer("3.13.16", "b", SUM), offer("3.12.99", "c", SUM)]
    assert [found.place for found in choose_offer(known, "3.13")] == ["b"]
    assert [found.place for found in choose_offer(known, "3.13.9")] == ["a"]
    with pytest.raises(UsageError, match=r"nobody offers a CPython 3\.14"):
        choose_offer(known, "3.14")


def test_a_pin_takes_the_place_of_its_suites_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    path = tmp_path / "runtimes.toml"
    before = RUNTIMES_FILE.read_text()
    path.write_text(before)
    pins = load_pins()
    newest = make_pin([offer("3.13.99", "Debian", SUM, "forky")], None)
    replaced = write_source_pin(path, newest)
    assert replaced is not None
    assert replaced.debian_suite == "forky"
    written = parse_pins(path.read_text(), "x")
    assert written.standalone == pins.standalone
    assert set(written.source) == {*pins.source, newest} - {replaced}
    # Lines of other pins stay as they are, comments included.
    kept = [line for line in before.splitlines() if "#" in line]
    assert set(kept) - set(path.read_text().splitlines()) <= {
        line for line in kept if "forky" in line
    }
    further: SourcePin = make_pin([offer("3.13.100", "python.org", OTHER)], None)
    assert write_source_pin(path, further) is None
    assert further in parse_pins(path.read_text(), "x").source
    for end in ("\n", "\n\n"):
        path.write_text(before.rstrip("\n") + end)
        write_source_pin(path, further)
        assert path.read_text().count("\n\n[[source]]\n") == len(pins.source) + 1
        assert "\n\n\n" not in path.read_text()
