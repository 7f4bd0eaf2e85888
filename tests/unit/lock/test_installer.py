"""What a release's own installer does: its parts, and what is new among them."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.base.errors import ExitCode, LockError
from builder.cli import main
from builder.lock import load_lock
from builder.lock.installer import (
    check_installer,
    known_path,
    load_known,
    new_parts,
    read_parts,
    save_known,
)
from builder.spec import Spec

CODE = """\
class Context:
    async def configure_manager(self):
        self.copy("manager.toml")  # from the samples

    async def load_fixtures(self):
        await self.run(["mgr", "fixture", "populate"])

    def copy(self, name):
        return name

    def log_in(self):
        return "of no interest"

class PackageContext(Context):
    async def configure(self):
        await self.configure_manager()
        await self.load_fixtures()
"""
FIXTURE = {"users": [{"uuid": "1", "name": "admin"}]}


def make_wheel(folder: Path, code: str = CODE, fixture: str | None = None) -> Path:
    """A wheel in the shape of the installer's."""
    path = folder / "backend_ai_install-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ai/backend/install/context.py", code)
        archive.writestr(
            "ai/backend/install/fixtures/example-users.json", fixture or json.dumps(FIXTURE)
        )
        archive.writestr("ai/backend/install/configs/manager.toml", "[db]\n")
        archive.writestr("ai/backend/install/configs/grafana/other.toml", "")
        archive.writestr("ai/backend/install/configs/docker-compose.yml", "")
    return path


def test_its_parts_are_what_its_main_steps_lead_to(tmp_path: Path) -> None:
    assert list(read_parts(make_wheel(tmp_path))) == [
        "configs/manager.toml",
        "fixtures/example-users.json",
        "steps/Context.configure_manager",
        "steps/Context.copy",
        "steps/Context.load_fixtures",
        "steps/PackageContext.configure",
    ]


def test_comments_and_layout_are_no_difference(tmp_path: Path) -> None:
    known = read_parts(make_wheel(tmp_path))
    code = CODE.replace("    async def load", "    # This is new.\n\n    async def load")
    laid_out = json.dumps(FIXTURE, indent=4, sort_keys=True)
    assert read_parts(make_wheel(tmp_path, code, laid_out)) == known


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ('"populate"])', '"populate", "-v"])', ["steps/Context.load_fixtures: changed"]),
        (
            "self.load_fixtures()",
            "self.provision()",
            ["steps/PackageContext.configure: changed", "steps/Context.load_fixtures: gone"],
        ),
        (
            "        return name",
            "        return self.log_in()",
            ["steps/Context.copy: changed", "steps/Context.log_in: new"],
        ),
    ],
)
def test_a_new_step_is_seen(tmp_path: Path, old: str, new: str, reported: list[str]) -> None:
    known = read_parts(make_wheel(tmp_path))
    assert old in CODE
    assert new_parts(known, read_parts(make_wheel(tmp_path, CODE.replace(old, new)))) == reported


def test_a_changed_fixture_stops_the_build_until_somebody_looks(
    tmp_path: Path, real_spec: Spec
) -> None:
    release = real_spec.release(None)
    save_known(tmp_path, release.name, read_parts(make_wheel(tmp_path)))
    check_installer(tmp_path, release, make_wheel(tmp_path))
    changed = make_wheel(tmp_path, fixture='{"users": []}')
    with pytest.raises(LockError, match="nobody has looked at") as caught:
        check_installer(tmp_path, release, changed)
    assert "fixtures/example-users.json: changed" in caught.value.message
    assert f"builder installer --release {release.name} --accept" in (caught.value.hint or "")
    save_known(tmp_path, release.name, read_parts(changed))
    check_installer(tmp_path, release, changed)


def test_a_release_that_nobody_has_looked_at_is_not_built(tmp_path: Path, real_spec: Spec) -> None:
    with pytest.raises(LockError, match=r"configs/manager\.toml: new"):
        check_installer(tmp_path, real_spec.release(None), make_wheel(tmp_path))


def test_another_line_is_what_a_new_one_is_compared_with(
    tmp_path: Path, real_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path / "cache"))
    known = load_known(real_spec.root, "26.8")
    wheel = make_wheel(tmp_path)
    monkeypatch.setattr("builder.cli.installer.fetch_installer", lambda *_: wheel)
    done = CliRunner().invoke(main, ["installer", "--against", "26.8", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["release"] == real_spec.release(None).version
    assert report["new"] == new_parts(known, read_parts(wheel))
    refused = CliRunner().invoke(main, ["installer", "--against", "26.8", "--accept"])
    assert refused.exit_code == ExitCode.USAGE
    assert load_known(real_spec.root, "26.8") == known


@pytest.mark.parametrize("code", ["class Context:\n    pass\n", "class Other", ""])
def test_another_shape_of_installer_is_an_error(tmp_path: Path, code: str) -> None:
    with pytest.raises(LockError, match="not an installer as it is known here"):
        read_parts(make_wheel(tmp_path, code))


def test_somebody_has_looked_at_every_release_that_is_built(real_spec: Spec) -> None:
    for release in real_spec.releases.values():
        assert known_path(real_spec.root, release.name).is_file()
        known = load_known(real_spec.root, release.name)
        assert "steps/PackageContext.configure" in known
        assert load_lock(real_spec.root, release.name, "backendai-manager").sample
