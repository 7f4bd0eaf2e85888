"""The parts of the harness that need no engine: what is tested, and what has changed."""

from pathlib import Path

import pytest

from builder.base.model import PackageFormat
from builder.verify.engine import EngineUnavailableError, connect
from builder.verify.listing import Entry, Listing, differences
from tests.integration.dist import NoPackagesError, find_dist, freeze
from tests.integration.stub import Release, oldest_release, stub_provides

PACKAGE = "backendai-manager"


def listing(**modes: str) -> Listing:
    entries = {
        f"/{path.replace('__', '/')}": Entry(
            kind="f", mode=mode, owner="root:root", changed="1", link=""
        )
        for path, mode in modes.items()
    }
    return Listing(entries=entries, settings={})


def test_newest_release_is_tested(tmp_path: Path) -> None:
    names = [
        "backendai-manager_26.9.6-1_amd64.deb",
        "backendai-manager_26.10.0~rc1-1_amd64.deb",
        "backendai-manager-26.9.6-1.x86_64.rpm",
        "backendai-manager-dbg_99.0.0-1_amd64.deb",
        "backendai-common_26.9.6-1_all.deb",
    ]
    for name in names:
        (tmp_path / name).touch()
    assert find_dist(tmp_path).version == "26.10.0~rc1"
    dist = find_dist(tmp_path, release="26.9.6")
    found = dist.names(PackageFormat.DEB, "backendai-common", "backendai-manager")
    assert found == [names[4], names[0]]
    assert dist.names(PackageFormat.RPM, "backendai-manager") == [names[2]]


def test_frozen_packages_outlive_a_rebuild(tmp_path: Path) -> None:
    frozen, name = tmp_path / "frozen", "backendai-manager_26.9.6-1_amd64.deb"
    frozen.mkdir()
    (tmp_path / name).write_text("old")
    dist = freeze(find_dist(tmp_path), frozen)
    (tmp_path / "new").write_text("new")
    (tmp_path / "new").replace(tmp_path / name)
    assert [(frozen / file).read_text() for file in dist.names(PackageFormat.DEB, PACKAGE)] == [
        "old"
    ]


def test_missing_packages_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(NoPackagesError, match="no packages of backendai-manager in") as caught:
        find_dist(tmp_path)
    assert caught.value.hint == "run: make packages, or set BUILDER_DIST"
    (tmp_path / "backendai-manager_26.9.6-1_amd64.deb").touch()
    with pytest.raises(NoPackagesError, match=r"no rpm of backendai-manager 26\.9\.6") as caught:
        find_dist(tmp_path).names(PackageFormat.RPM, "backendai-manager")
    assert caught.value.hint == "run: builder build backendai-manager --format rpm"


def test_no_engine_says_where_it_was_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(EngineUnavailableError, match="at unix:///nonexistent/docker") as caught:
        connect()
    assert caught.value.hint == "run: .ci/engine start"


def test_differences_name_gain_loss_and_change() -> None:
    before = listing(opt__a="755", opt__b="644", etc__passwd="644", var__log__syslog="640")
    after = listing(
        opt__b="666", opt__c="644", etc__passwd="600", var__log__backendai="755", root__x="777"
    )
    assert differences(before, after) == [
        "- /opt/a",
        "~ /opt/b: ('f', '644', 'root:root', '') became ('f', '666', 'root:root', '')",
        "+ /opt/c",
        "+ /var/log/backendai",
    ]


def test_changed_settings_are_found() -> None:
    entries = listing(etc__hosts="644").entries
    before = Listing(entries=entries, settings={"/etc/hosts": "aa"})
    after = Listing(entries=entries, settings={"/etc/hosts": "bb"})
    assert differences(before, after) == ["~ /etc/hosts: other content"]


def test_stub_provides_what_the_distribution_would() -> None:
    provides = stub_provides(Release.EL9)
    for name in ("/bin/sh", "libc.so.6(GLIBC_2.34)(64bit)", "libc.so.6()(64bit)", "systemd = 252"):
        assert name in provides
    assert "libgcc_s.so.1(GCC_11.0)(64bit)" in provides
    # A package that asks for more than its glibc has must not install.
    assert "libm.so.6(GLIBC_2.35)(64bit)" not in provides
    assert "libm.so.6(GLIBC_2.35)(64bit)" in stub_provides(Release.EL10)


@pytest.mark.parametrize(
    ("newest", "release"), [("2.17", Release.EL8), ("2.34", Release.EL9), ("2.35", Release.EL10)]
)
def test_release_follows_the_glibc_that_is_needed(newest: str, release: Release) -> None:
    requires = ["/bin/sh", "libc.so.6(GLIBC_2.4)(64bit)", f"libm.so.6(GLIBC_{newest})(64bit)"]
    assert oldest_release(requires) == release


def test_glibc_of_the_future_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no release has glibc 2\.77"):
        oldest_release(["libc.so.6(GLIBC_2.77)(64bit)"])
