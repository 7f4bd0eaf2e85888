"""Where the tool finds libraries of the release."""

import shutil
import sys
from pathlib import Path

import pytest
import tomlkit
from backendai_ctl.base.libraries import load_library

from builder.base.paths import PROJECT
from builder.base.run import run

_SOURCE = PROJECT / "postinst/backendai_ctl"
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


def test_the_tool_runs_on_a_runtime_that_shares_nothing(tmp_path: Path) -> None:
    """As in a release with one service: tomlkit is in that service's environment alone."""
    target = tmp_path / "target"
    target.mkdir()
    shutil.copy(_SOURCE / "__main__.py", target)
    (target / "backendai_ctl").symlink_to(_SOURCE)
    script = (
        f"import runpy, sys; sys.prefix = {str(tmp_path / 'runtime')!r}; "
        f"runpy.run_path({str(target)!r}, run_name='__main__')"
    )
    # Without site-packages, as in that runtime.
    command = [sys.executable, "-I", "-S", "-B", "-c", script, "--help"]
    refused = run(command, check=False)
    assert refused.status == 1
    assert "no service is installed on this host" in refused.stderr
    folder = tmp_path / "manager" / "lib" / f"python{_MINOR}" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "tomlkit").symlink_to(Path(tomlkit.__file__).parent)
    found = run(command, check=False)
    assert found.status == 0, found.stderr
    assert "seed" in found.stdout
