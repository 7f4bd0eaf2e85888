"""The distribution's own Python: what is depended on, and what stands in for it here."""

import sys
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import RuntimeUnavailableError
from builder.base.model import PackageFormat, RuntimeChoice
from builder.runtime import distro
from builder.runtime.distro import DistroProvider, distro_depends
from tests.helpers.trees import FOREIGN, MINOR, VERSION, make_request


def test_dependencies() -> None:
    assert distro_depends("3.11", PackageFormat.DEB) == (
        "python3 (>= 3.11)",
        "python3 (<< 3.12)",
        "python3.11",
    )
    assert distro_depends("3.9", PackageFormat.DEB)[1] == "python3 (<< 3.10)"
    assert distro_depends("3.11", PackageFormat.RPM) == (
        "python(abi) = 3.11",
        "/usr/bin/python3.11",
    )


def test_nothing_is_bundled(tmp_path: Path) -> None:
    runtime = DistroProvider().provide(make_request(FOREIGN), Cache(root=tmp_path))
    assert runtime.provider is RuntimeChoice.DISTRO
    assert runtime.tree is None
    assert runtime.python == Path(sys.executable)
    assert (runtime.version, runtime.minor, runtime.arch) == (VERSION, MINOR, FOREIGN)
    assert list(tmp_path.iterdir()) == []


def test_a_host_without_that_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    request = make_request(minor="3.99", requires_python=">=3.99")
    with pytest.raises(RuntimeUnavailableError) as caught:
        DistroProvider().provide(request, Cache(root=tmp_path))
    assert "this host has no Python 3.99" in caught.value.message
    assert "release 26.9.6" in caught.value.message
    assert "--runtime auto" in (caught.value.hint or "")


def test_a_python_that_the_release_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distro, "ask_version", lambda _python, _origin: "3.8.1")
    with pytest.raises(RuntimeUnavailableError, match=r"is Python 3\.8\.1, but release 26\.9\.6"):
        DistroProvider().provide(make_request(), Cache(root=tmp_path))
