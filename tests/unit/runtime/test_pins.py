"""The pins file: what it accepts, what it says of mistakes, which pin a release gets."""

from pathlib import Path

import pytest

from builder.base.errors import RuntimeUnavailableError, SpecError
from builder.base.model import Arch
from builder.runtime.model import RuntimeRequest
from builder.runtime.pins import (
    check_version,
    choose_sources,
    choose_standalone,
    load_pins,
    parse_pins,
)


def request(minor: str = "3.13", requires: str = ">=3.13,<3.14") -> RuntimeRequest:
    return RuntimeRequest(minor=minor, requires_python=requires, release="26.9.6", arch=Arch.AMD64)


def test_the_committed_pins_cover_every_minor_on_both_architectures() -> None:
    pins = load_pins()
    for arch in Arch:
        minors = {pin.minor for pin in pins.standalone if pin.arch is arch}
        assert minors == {"3.10", "3.11", "3.12", "3.13"}
    assert {pin.minor for pin in pins.source} == {"3.11", "3.13"}


def test_newest_version_of_the_minor_is_chosen() -> None:
    pins = load_pins()
    assert choose_standalone(pins, request()).version == "3.13.15"
    foreign = choose_standalone(pins, request(), Arch.ARM64)
    assert "aarch64" in foreign.asset
    assert [pin.version for pin in choose_sources(pins, request())] == ["3.13.15", "3.13.5"]


def test_upper_bound_of_requires_python_counts() -> None:
    pins = load_pins()
    assert choose_standalone(pins, request(requires=">=3.13,<3.13.10")).version == "3.13.7"
    assert [p.version for p in choose_sources(pins, request(requires="<3.13.10"))] == ["3.13.5"]


def test_unknown_minor_names_release_specifier_and_what_there_is() -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        choose_standalone(load_pins(), request("3.14", ">=3.14,<3.15"))
    assert str(caught.value) == (
        "release 26.9.6 wants Python 3.14 (>=3.14,<3.15), but no such standalone build for amd64"
        " is pinned in pkgspec/runtimes.toml; there are: 3.10.21, 3.11.16, 3.12.14, 3.13.7, 3.13.15"
    )
    assert caught.value.hint is not None
    assert "--refresh --minor 3.14" in caught.value.hint


def test_minor_that_the_release_refuses_is_an_error() -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"wants Python 3\.13 \(>=3\.12,<3\.13\)"):
        choose_sources(load_pins(), request(requires=">=3.12,<3.13"))


def test_check_version_names_both_sides() -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"/x is Python 3\.12\.1, but release 26\.9"):
        check_version("3.12.1", request(), "/x")
    with pytest.raises(
        RuntimeUnavailableError, match=r"26\.9\.6 wants 3\.13: its wheels are locked"
    ):
        check_version("3.12.1", request(requires=">=3.12"), "/x")
    check_version("3.13.9", request(), "/x")


def test_every_problem_is_reported_at_once() -> None:
    text = """
[[standalone]]
version = "3.13"
tag = "2026"
arch = "mips"
flavour = "install_only_stripped"
asset = "../x"
sha256 = "AA"
[[source]]
version = "3.13.5"
file = "Python-3.13.5.tar.xz"
debianfile = "x.tar.xz"
debian_pool = "pool/main/p/python3.13/"
sha256 = "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640"
"""
    with pytest.raises(SpecError) as caught:
        parse_pins(text, "runtimes.toml")
    problems = caught.value.problems
    assert all(problem.startswith("runtimes.toml: ") for problem in problems)
    named = ("version", "tag", "arch", "asset", "sha256")
    for key in named:
        assert any(f"'standalone.0.{key}': " in problem for problem in problems), key
    assert "runtimes.toml: 'source.0.debian_file' is missing" in problems
    assert (
        "runtimes.toml: unknown key 'debianfile' in 'source.0' (did you mean 'debian_file'?)"
        in problems
    )


def test_unknown_table_gets_a_guess() -> None:
    with pytest.raises(SpecError, match=r"unknown key 'sources' \(did you mean 'source'\?\)"):
        parse_pins("[[sources]]\n", "runtimes.toml")


def test_asset_must_agree_with_its_pin() -> None:
    text = """
[[standalone]]
version = "3.13.15"
tag = "20260814"
arch = "arm64"
flavour = "install_only_stripped"
asset = "cpython-3.13.15+20260814-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
sha256 = "985efd78c1c6521b379f7c64c2a25e6a1130f07441d1af8be441aa05260886aa"
"""
    with pytest.raises(SpecError, match=r"standalone\.0': asset .* should be .*aarch64"):
        parse_pins(text, "runtimes.toml")


def test_a_pin_given_twice_is_refused() -> None:
    source = """
[[source]]
version = "3.13.5"
file = "Python-3.13.5.tar.xz"
debian_file = "python3.13_3.13.5.orig.tar.xz"
debian_pool = "pool/main/p/python3.13/"
sha256 = "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640"
"""
    with pytest.raises(SpecError, match=r"3\.13\.5 is pinned twice"):
        parse_pins(source * 2, "runtimes.toml")


def test_broken_toml_and_missing_file_are_spec_errors(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[source")
    with pytest.raises(SpecError, match="not TOML"):
        load_pins(broken)
    with pytest.raises(SpecError, match="no such file"):
        load_pins(tmp_path / "none.toml")
