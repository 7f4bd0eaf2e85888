"""Makes the configuration tool importable, as it lies in postinst/."""

import functools
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.base.paths import PROJECT

sys.path.insert(0, str(PROJECT / "postinst"))

from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.account import Owner
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout

from tests.unit.postinst.samples import SAMPLES

MANAGER_SAMPLE = """\
[etcd]
namespace = "local"
addr = { host = "127.0.0.1", port = 8120 }
user = ""
password = ""

[db]
type = "postgresql"
addr = { host = "localhost", port = 8100 }
name = "backend"
user = "postgres"
password = "develove"   # change me
pool-recycle = 50

[manager]
num-proc = 4
service-addr = { host = "0.0.0.0", port = 8081 }
internal-addr = { host = "0.0.0.0", port = 18080 }
#user = "nobody"
pid-file = "./manager.pid"             # env: BACKEND_PID_FILE

[logging.console]
colored = true

[logging.file]
path = "./logs"
"""
ALEMBIC_SAMPLE = """\
[alembic]
# file_template = %%(rev)s_%%(slug)s
script_location = ai.backend.manager.models:alembic
sqlalchemy.url = postgresql+asyncpg://postgres:develove@localhost:8100/backend

[loggers]
keys = root
"""


def fake_pair(folder: Path, name: str) -> None:
    """Stands for ZeroMQ's, which only a service's CPython has."""
    (folder / f"{name}.key").write_text("PUBLIC-HALF\n")
    (folder / f"{name}.key_secret").write_text("SECRET-HALF\n")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A target with the manager's package installed and nothing configured."""
    layout = Layout(root=tmp_path)
    samples = layout.samples("manager")
    for folder in (samples, layout.recipes, layout.etc, layout.state):
        folder.mkdir(parents=True)
    (samples / "manager.toml").write_text(MANAGER_SAMPLE)
    (samples / "alembic.ini").write_text(ALEMBIC_SAMPLE)
    install_recipe(layout, "manager")
    questions = PROJECT / "postinst/site/questions.toml"
    layout.questions.write_text(questions.read_text())
    return layout


def install_recipe(layout: Layout, service: str) -> None:
    """Put the recipe of ``service`` where its package would."""
    text, templates = _recipe(service)
    (layout.recipes / f"{service}.toml").write_text(text)
    for name, content in templates.items():
        (layout.shipped / name).parent.mkdir(parents=True, exist_ok=True)
        (layout.shipped / name).write_text(content)


@functools.cache
def _recipe(service: str) -> tuple[str, dict[str, str]]:
    """Return the recipe and its templates; it is parsed once for all tests."""
    folder = PROJECT / "postinst/services"
    text = (folder / service / "recipe.toml").read_text()
    named = [config["template"] for config in tomllib.loads(text)["config"] if "template" in config]
    found = {name: folder / name for name in named}
    return text, {name: path.read_text() for name, path in found.items() if path.is_file()}


@pytest.fixture
def services(layout: Layout) -> Layout:
    """That target with every other service's package installed, too."""
    for service, name, text in SAMPLES:
        layout.samples(service).mkdir(parents=True, exist_ok=True)
        (layout.samples(service) / name).write_text(text)
        install_recipe(layout, service)
    return layout


@pytest.fixture
def store(layout: Layout) -> SecretStore:
    """The secrets of that target, owned by whoever runs the tests."""
    return SecretStore(folder=layout.secrets, writer=Writer(owner=caller()), make_pair=fake_pair)


def caller() -> Owner:
    """Whoever runs the tests, in the place of root and of the account."""
    return Owner(uid=os.geteuid(), gid=os.getegid())


@pytest.fixture
def configured(layout: Layout, store: SecretStore) -> Callable[..., list[str]]:
    """Configures a service of that target; returns what was said."""
    from backendai_ctl.services.configure import Host, configure  # noqa: PLC0415

    def run(service: str = "manager", **environment: str) -> list[str]:
        said: list[str] = []
        host = Host(account=caller(), environment=environment, say=said.append)
        configure(service, layout=layout, secrets=store, host=host)
        return said

    return run


@pytest.fixture
def node(layout: Layout) -> Layout:
    """A node with an agent and a storage proxy, and their volume."""
    (layout.recipes / "manager.toml").unlink()
    for service in ("agent", "storage-proxy"):
        install_recipe(layout, service)
    write_agent(layout)
    (layout.etc / "watcher.toml").write_text("[watcher]\n")
    (layout.etc / "storage-proxy.toml").write_text('[volume.volume1]\npath = "/srv/v/volume1"\n')
    layout.site.write_text(
        f'[storage]\npath = "/srv/v/volume1"\n[account]\nuid = {max(os.geteuid(), 1)}\n'
        f"gid = {max(os.getegid(), 1)}\n"
    )
    volume = layout.root / "srv/v/volume1"
    volume.mkdir(parents=True)
    (volume / "version.txt").write_text("3\n")
    return layout


def write_agent(layout: Layout, mount: str = "/srv/v", more: str = "") -> None:
    """agent.toml, as far as the checks look."""
    (layout.etc / "agent.toml").write_text(
        f'[agent]\nmount-path = "{mount}"\nrpc-listen-addr = {{ host = "127.0.0.1", port = 1 }}\n'
        f"{more}"
    )
