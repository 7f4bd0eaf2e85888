"""Where the tool finds libraries of the release."""

import sys
from pathlib import Path

import pytest
from backendai_ctl.base.libraries import load_library

_MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the runtime and of services, for a tool that the runtime runs."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "runtime"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_what_the_runtime_has_is_taken_from_there(services: Path) -> None:
    assert load_library("json").__name__ == "json"
    assert not [path for path in sys.path if path.startswith(str(services))]


def test_what_only_a_service_has_is_found_there(services: Path) -> None:
    folder = services / "manager" / "lib" / f"python{_MINOR}" / "site-packages"
    (folder / "only_the_managers").mkdir(parents=True)
    (folder / "only_the_managers/client.py").write_text("NAME = 'found'\n")
    assert load_library("only_the_managers.client").NAME == "found"


def test_what_nobody_has_is_an_import_error(services: Path) -> None:
    other = services / "manager/lib/python3.1/site-packages/of_another_python"
    other.mkdir(parents=True)
    with pytest.raises(ModuleNotFoundError):
        load_library("of_another_python")
