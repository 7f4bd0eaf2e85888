"""Units, sysusers.d and tmpfiles.d, as systemd reads them."""

import shutil
from pathlib import Path

import pytest

from builder.base.run import run
from tests.unit.postinst.rendered import other, payload_text, render, scripts, spec
from tests.unit.postinst.shell.units import shipped_units

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


@needs_systemd
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    shipped = {**shipped_units(), "other.service": render("systemd/service.service.j2", other())}
    for name, text in shipped.items():
        (units / name).write_text(text)
    # What the distribution has.
    (units / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    result = run(
        ["systemd-analyze", "verify", "--man=no", *sorted(units.iterdir())],
        env={"SYSTEMD_UNIT_PATH": f"{units}:"},
        check=False,
    )
    # The programs are not installed here, which is all that may be said of our units.
    lines = [
        line
        for line in (result.stdout + result.stderr).splitlines()
        if any(name in line for name in shipped) and "is not executable" not in line
    ]
    assert lines == []


@needs_systemd
@pytest.mark.parametrize(
    "name", [name for name, text in shipped_units().items() if "\nUser=" in text]
)
def test_exposure_is_low(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name
    unit.write_text(shipped_units()[name])
    run(["systemd-analyze", "security", "--offline=yes", "--threshold=40", "--no-pager", unit])


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_sysusers_makes_the_account(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/sysusers.d"
    folder.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (folder / "backendai.conf").write_text(payload_text("/usr/lib/sysusers.d/backendai.conf"))
    run(["systemd-sysusers", f"--root={tmp_path}"])
    passwd = (tmp_path / "etc/passwd").read_text()
    assert passwd.startswith("backendai:x:1100:1100:Backend.AI services:/var/lib/backendai:")
    assert (tmp_path / "etc/group").read_text().startswith("backendai:x:1100:")


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_sysusers_makes_the_group_of_each_service(tmp_path: Path) -> None:
    made = {
        entry.target.rpartition("/")[2]: payload_text(entry.target)
        for package in spec().packages.values()
        for entry in package.payload
        if entry.target.startswith("/usr/lib/sysusers.d/")
    }
    folder = tmp_path / "usr/lib/sysusers.d"
    folder.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    for name, text in made.items():
        (folder / name).write_text(text)
    run(["systemd-sysusers", f"--root={tmp_path}", "backendai-manager.conf"])
    run(["systemd-sysusers", f"--root={tmp_path}"])
    groups = [line.split(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()]
    assert {group for group in groups if group.startswith("backendai")} == {
        name.removesuffix(".conf") for name in made
    }
    scripts_with_it = [
        (name, fmt.value)
        for name, fmt, script, text in scripts()
        if script in ("postinst", "post") and f"systemd-sysusers {name}.conf" in text
    ]
    assert sorted(scripts_with_it) == sorted(
        (name.removesuffix(".conf"), fmt)
        for name in made
        if name != "backendai.conf"
        for fmt in ("deb", "rpm")
    )
