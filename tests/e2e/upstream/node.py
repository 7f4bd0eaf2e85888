"""A packaged node made ready for upstream's suite: accounts, settings, a model, the suite."""

import fcntl
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.paths import cache_root
from builder.base.run import run
from builder.index.uv import uv_environment, uv_path
from tests.e2e import kernel, models
from tests.e2e.nodes import API, WEB_PORT, Login, Node
from tests.integration.stores import run_sql

SUITE = "backend.ai-test"
PYTHON = "3.13"
HOME = "/srv/suite"
USER = "user"
SUPERADMIN = "superadmin"
_PACKAGES = f"{HOME}/packages"
_RECIPE = 1
_PLATFORM = "x86_64-manylinux_2_36"
_MODEL = "suite-model"
# The packaged client, which is what users have, without the suite's modules on its path.
_CLIENT = """\
#!/bin/sh
unset PYTHONPATH BACKEND_BUILD_ROOT
exec /usr/bin/backend.ai "$@"
"""
# Users see images of registries that their domain names.
_GRANT = """\
UPDATE domains SET allowed_docker_registries = array_append(allowed_docker_registries, 'local')
WHERE name = 'default' AND NOT 'local' = ANY (allowed_docker_registries)
"""
_MORE_CONTAINERS = ("--max-containers-per-session", "4", "default")


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who runs specs, and where the driver finds its settings and leaves its results."""

    name: str
    login: Login

    @property
    def folder(self) -> str:
        """The account's folder on the node."""
        return f"{HOME}/{self.name}"

    @property
    def settings(self) -> str:
        """The suite's settings for the account."""
        return f"{self.folder}/tester.toml"

    @property
    def results(self) -> str:
        """The driver's results for the account."""
        return f"{self.folder}/results.jsonl"

    @property
    def profile(self) -> str:
        """The profile by which the tests of the command line act as the account."""
        return f"{self.folder}/profile.sh"


def mounts(version: str) -> dict[Path, str]:
    """The suite of a version, installed here and shown to the node."""
    return {_install(version): _PACKAGES}


def prepare(node: Node) -> list[Account]:
    """Make accounts and everything that the suite's settings name; who can run it then."""
    admin = node.login()
    kernel.have_image(node)
    _make_room(node, admin)
    node.client(admin, "admin", "keypair-resource-policy", "update", *_MORE_CONTAINERS)
    user, second = (_add_user(node, admin, name) for name in ("suite-user", "suite-second"))
    models.make_model(node, user, _MODEL)
    node.host.run(f"mkdir -p {HOME} && chown nobody {HOME}")
    node.host.write(f"{HOME}/backend.ai", _CLIENT, mode=0o755)
    for program in ("driver.py", "patience.py"):
        node.host.copy_in(Path(__file__).parent / program, f"{HOME}/{program}")
    project = _project(node)
    run_sql(node.host, _GRANT, database="backend")
    accounts = [
        Account(name=USER, login=user),
        Account(name="second", login=second),
        Account(name=SUPERADMIN, login=admin),
    ]
    for account in accounts:
        _write_files(node, account, project)
    return accounts


def drive(node: Node, account: Account, janitor: Account, words: Sequence[str], limit: int) -> str:
    """Call the driver as an ordinary account of the host; what it prints."""
    files = ["--config", account.settings, "--janitor", janitor.settings]
    command = ["python3", f"{HOME}/driver.py", *files, "--results", account.results, *words]
    script = 'cd "$0" && exec "$@"'
    return node.host.run(
        ["sh", "-c", script, account.folder, *command],
        user="nobody",
        env={"HOME": HOME, "PYTHONPATH": _PACKAGES},
        timeout=limit,
    ).stdout


def run_command_line(node: Node, accounts: Sequence[Account], limit: int) -> str:
    """Run the suite's tests of the client on the packaged client; their JUnit report."""
    report = f"{HOME}/cli.xml"
    profiles = ("user_file", "user2_file", "admin_file")
    # One that fails is no reason to skip those after it.
    plugins = ("patience", "no:cacheprovider", "no:dependency")
    options = [*(word for name in plugins for word in ("-p", name)), f"--junitxml={report}"]
    folders = [f"ai.backend.test.cli_integration.{name}" for name in ("admin", "user")]
    script = 'mkdir -p cli && cd cli && exec python3 -m pytest --pyargs "$@"'
    node.host.run(
        ["sh", "-c", f"cd {HOME} && {script}", "sh", *folders, *options],
        user="nobody",
        env={
            "HOME": HOME,
            "PYTHONPATH": f"{_PACKAGES}:{HOME}",
            "BACKEND_BUILD_ROOT": HOME,  # where the tests find the client
            "TERM": "xterm",
            **{name: account.profile for name, account in zip(profiles, accounts, strict=True)},
        },
        timeout=limit,
        check=False,  # its status says that tests failed, and the report says which
    )
    return node.host.read(report)


def _install(version: str) -> Path:
    """The suite with what it needs, in a folder of the cache."""
    folder = cache_root() / "images" / f"suite-{key_of(version, PYTHON, _PLATFORM, _RECIPE)[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    ready = folder / ".complete"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            log.step(f"installing {SUITE} {version}")
            command = [
                *[str(uv_path()), "pip", "install", "--quiet", "--no-config"],
                *["--target", str(folder), "--python-version", PYTHON],
                *["--python-platform", _PLATFORM, f"{SUITE}=={version}"],
            ]
            run(command, env=uv_environment(Cache(root=cache_root())))
            ready.touch()
    return folder


def _make_room(node: Node, admin: Login) -> None:
    """Let sessions have every core: some specs need two at a time."""
    file = "/etc/backend.ai/agent.toml"
    settings = tomlkit.parse(node.host.read(file))
    settings.setdefault("resource", tomlkit.table())["reserved-cpu"] = 0
    node.host.run(["install", "-m", "600", file, "/root/agent.toml"])
    node.host.write("/root/agent.toml", tomlkit.dumps(settings), mode=0o600)
    # Not replaced: the file keeps its owner and mode.
    node.host.run(f"cat /root/agent.toml >{file} && systemctl restart backendai-agent")
    node.wait_for("agent")
    node.host.wait_until(
        "the agent is ALIVE",
        lambda: "ALIVE" in node.client(admin, "admin", "agent", "list"),
        timeout=180,
    )


def _add_user(node: Node, admin: Login, name: str) -> Login:
    """An ordinary user, as an administrator adds one."""
    email, password = f"{name}@example.com", secrets.token_urlsafe(12)
    node.client(admin, "admin", "user", "add", "--username", name, "default", email, password)
    (pair,) = node.query(admin, "admin", "keypair", "list", "--user-id", email)["items"]
    access_key, secret_key = pair["access_key"], pair["secret_key"]
    return Login(email=email, password=password, access_key=access_key, secret_key=secret_key)


def _project(node: Node) -> str:
    """The number of the project that every user belongs to."""
    question = "SELECT id FROM groups WHERE name = 'default' AND domain_name = 'default'"
    return run_sql(node.host, question, database="backend").strip()


def _write_files(node: Node, account: Account, project: str) -> None:
    node.host.run(f"mkdir -p {account.folder} && chown nobody {account.folder}")
    uid = int(node.host.run(["id", "-u", "nobody"]).stdout)
    machine = node.host.run(["uname", "-m"]).stdout.strip()
    texts = {
        account.settings: tomlkit.dumps(_settings(account.login, project, machine)),
        account.profile: _profile(account.login),
    }
    for path, text in texts.items():
        node.host.write(path, text, mode=0o600, owner=uid)


def _profile(login: Login) -> str:
    values = {
        "BACKEND_ENDPOINT": API,
        "BACKEND_ENDPOINT_TYPE": "api",
        "BACKEND_ACCESS_KEY": login.access_key,
        "BACKEND_SECRET_KEY": login.secret_key,
    }
    return "".join(f"export {name}={value}\n" for name, value in values.items())


def _settings(login: Login, project: str, machine: str) -> dict[str, object]:
    """What the suite reads from tester.toml."""
    named = {name: {"name": "default"} for name in ("domain", "scaling-group", "group")}
    return {
        "runner": {"concurrency": 1},
        "context": {
            **named,
            "user-resource-policy": {"name": "default"},
            "endpoint": {
                "api-endpoint": API,
                "login-endpoint": f"http://127.0.0.1:{WEB_PORT}",
            },
            "keypair": {"access-key": login.access_key, "secret-key": login.secret_key},
            "login-credential": {"user-id": login.email, "password": login.password},
            "image": {"name": kernel.IMAGE, "architecture": machine},
            "session": {"resources": {"cpu": 1, "mem": "512mb"}},
            "batch-session": {"startup-command": "ls -la"},
            "session-imagify": {"new-image-name": "suite-image"},
            "sse": {"timeout": 180.0},
            "vfolder": {
                "group": project,
                "permission": "rw",
                "share-permission": "ro",
                "cloneable": True,
            },
            "model-service": {
                "model-vfolder-name": _MODEL,
                "runtime-variant": "custom",
                "replicas": 1,
                "group-name": "model-store",
                "model-mount-destination": "/models",
                "model-definition-path": "model-definition.yaml",
            },
        },
    }
