"""The configuration is made once, whatever happens, and then the admin's."""

import configparser
import os
import signal
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError, RecipeError, SiteError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.configure import Host, configure
from backendai_ctl.services.recipe import load_recipe

from tests.unit.postinst.conftest import caller

Configured = Callable[..., list[str]]

ANY_ID = "a number from 1 to 2147483647, but not 65534 or 65535"
ADDRESS = "HOST:PORT, for example 10.0.0.5:2379 or [fd00::5]:2379"


def files(root: Path) -> dict[str, str]:
    """Every file below /etc and /var of the target, with its text."""
    return {
        str(path.relative_to(root)): path.read_text()
        for top in ("etc", "var")
        for path in sorted((root / top).rglob("*"))
        if path.is_file()
    }


def manager(layout: Layout) -> Mapping[str, Mapping[str, object]]:
    """manager.toml as the manager reads it."""
    return tomllib.loads((layout.etc / "manager.toml").read_text())


def test_makes_everything_from_defaults(layout: Layout, configured: Configured) -> None:
    said = configured()
    made = manager(layout)
    password = (layout.secrets / "manager-database-password").read_text().strip()
    assert made["etcd"]["addr"] == {"host": "127.0.0.1", "port": 2379}
    assert made["db"] == {
        "type": "postgresql",
        "addr": {"host": "127.0.0.1", "port": 5432},
        "name": "backend",
        "user": "backend",
        "password": password,
        "pool-recycle": 50,
    }
    assert "num-proc" not in made["manager"]
    assert made["manager"]["internal-addr"] == {"host": "127.0.0.1", "port": 18080}
    assert made["manager"]["ipc-base-path"] == "/run/backendai/manager"
    pair = str(made["manager"]["rpc-auth-manager-keypair"])
    assert Path(pair).read_text() == "SECRET-HALF\n"
    assert made["logging"]["drivers"] == ["console"]
    assert made["logging"]["file"] == {"path": "/var/log/backendai/manager", "backup-count": 10}
    assert len(password) >= 40
    assert [line.split()[0] for line in said] == ["made"] * 4
    # What the sample explains is kept.
    assert "# env: BACKEND_PID_FILE" in (layout.etc / "manager.toml").read_text()


def test_secrets_are_for_those_who_read_them(layout: Layout, configured: Configured) -> None:
    configured()
    for folder in (layout.secrets, layout.generated):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    for path in layout.etc.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in layout.secrets.iterdir()}
    # The manager's configuration has a copy of each secret, but only the path of its key.
    assert modes == {
        "manager-database-password": 0o600,
        "manager-rpc.key": 0o600,
        "manager-rpc.key_secret": 0o640,
        "manager-secret": 0o600,
    }


def test_says_no_secret(layout: Layout, configured: Configured) -> None:
    said = "\n".join(configured())
    for path in layout.secrets.iterdir():
        assert path.read_text().strip() not in said


def test_alembic_ini_survives_any_password(layout: Layout, configured: Configured) -> None:
    configured(
        BACKENDAI_DATABASE_PASSWORD="p@ss:w/or%d'\"", BACKENDAI_DATABASE_ADDRESS="[fd00::5]:1"
    )
    parser = configparser.ConfigParser()
    parser.read(layout.etc / "alembic.ini")
    url = parser["alembic"]["sqlalchemy.url"]
    assert url == "postgresql+asyncpg://backend:p%40ss%3Aw%2For%25d%27%22@[fd00::5]:1/backend"
    assert "# file_template = %%(rev)s" in (layout.etc / "alembic.ini").read_text()
    assert manager(layout)["db"]["password"] == "p@ss:w/or%d'\""
    assert manager(layout)["db"]["addr"] == {"host": "fd00::5", "port": 1}
    assert not (layout.secrets / "manager-database-password").exists()


def test_second_run_changes_nothing(layout: Layout, configured: Configured) -> None:
    configured()
    before = files(layout.root)
    assert configured() == []
    assert files(layout.root) == before


def test_several_etcd_members(layout: Layout, configured: Configured) -> None:
    configured(BACKENDAI_ETCD_ADDRESSES="a:1, b:2")
    assert manager(layout)["etcd"]["addr"] == [{"host": "a", "port": 1}, {"host": "b", "port": 2}]


def test_admins_file_is_kept_and_a_new_release_is_offered_once(
    layout: Layout, configured: Configured
) -> None:
    configured()
    edited = (layout.etc / "manager.toml").read_text() + "# mine\n"
    (layout.etc / "manager.toml").write_text(edited)
    sample = layout.samples("manager") / "manager.toml"
    sample.write_text(sample.read_text().replace("pool-recycle = 50", "pool-recycle = 60"))

    said = configured()
    assert (layout.etc / "manager.toml").read_text() == edited
    assert "pool-recycle = 60" in (layout.etc / "manager.toml.new").read_text()
    assert len(said) == 1
    assert "manager.toml.new" in said[0]

    (layout.etc / "manager.toml.new").unlink()
    assert configured() == []
    assert not (layout.etc / "manager.toml.new").exists()


def test_file_from_before_the_installation_is_recorded_as_found(
    layout: Layout, configured: Configured
) -> None:
    (layout.etc / "manager.toml").write_text("# mine\n")
    configured()
    assert (layout.etc / "manager.toml").read_text() == "# mine\n"
    assert not (layout.etc / "manager.toml.new").exists()
    assert (layout.generated / "manager.toml").read_text().startswith("found ")
    assert (layout.generated / "alembic.ini").read_text().startswith("made ")


def test_bad_site_names_file_key_value_and_what_is_allowed(
    layout: Layout, configured: Configured
) -> None:
    layout.site.write_text('[etcd]\naddresses = ["nowhere"]\n[account]\nuid = true\n')
    with pytest.raises(SiteError) as caught:
        configured()
    assert caught.value.problems == [
        f"{layout.site}: account.uid = true: must be {ANY_ID}",
        f'{layout.site}: etcd.addresses = ["nowhere"]: must be a list of {ADDRESS}',
    ]
    assert not (layout.etc / "manager.toml").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[etdc]\n", "unknown section [etdc] (did you mean 'etcd'?)"),
        ("[etcd]\nadresses = 1\n", "[etcd] has no key 'adresses' (did you mean 'addresses'?)"),
        ("etcd = 1\n", "'etcd' is a section: write [etcd]"),
        ("[etcd\n", "is not TOML"),
        ("[database]\npassword = 5\n", "database.password = (not shown): must be one line of text"),
    ],
)
def test_wrong_site(layout: Layout, configured: Configured, text: str, message: str) -> None:
    layout.site.write_text(text)
    with pytest.raises(SiteError) as caught:
        configured()
    assert message in caught.value.message
    assert str(layout.site) in caught.value.message


def test_wrong_variables_are_reported_together_and_nothing_is_made(
    layout: Layout, configured: Configured
) -> None:
    with pytest.raises(SiteError) as caught:
        configured(BACKENDAI_DATABASE_ADRESS="x", BACKENDAI_ACCOUNT_UID="me", BACKENDAI_OTHER="1")
    assert caught.value.problems == [
        "unknown variable BACKENDAI_DATABASE_ADRESS (did you mean 'BACKENDAI_DATABASE_ADDRESS'?)",
        f'BACKENDAI_ACCOUNT_UID = "me": must be {ANY_ID}',
    ]
    assert not layout.site.exists()


def test_variables_do_not_change_an_existing_site(layout: Layout, configured: Configured) -> None:
    layout.site.write_text('[redis]\naddress = "r:1"\n')
    configured(BACKENDAI_REDIS_ADDRESS="other:2")
    assert layout.site.read_text() == '[redis]\naddress = "r:1"\n'


def test_unknown_service(layout: Layout, store: SecretStore) -> None:
    with pytest.raises(TargetError, match="no service 'agent' is installed here") as caught:
        load_recipe(layout, "agent")
    assert caught.value.hint == "installed: manager"


def test_missing_sample_is_the_packages_fault(layout: Layout, configured: Configured) -> None:
    (layout.samples("manager") / "alembic.ini").unlink()
    with pytest.raises(RecipeError, match=r"cannot read the sample .*alembic\.ini"):
        configured()
    assert not (layout.etc / "manager.toml").exists()


def test_empty_secret_is_refused(layout: Layout, configured: Configured) -> None:
    layout.secrets.mkdir()
    (layout.secrets / "manager-secret").write_text("\n")
    with pytest.raises(HostError, match="manager-secret is empty"):
        configured()


def test_only_root_owns_the_real_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="only root") as caught:
        Owner.of_account()
    assert caught.value.hint == "use sudo"


KILL_POINTS = ("mkdir", "open", "fsync", "link", "rename", "unlink", "fchmod", "fchown")


def die_at(call: str, count: int) -> None:
    """Make the count-th use of an os function the last thing that this process does."""
    seen = 0
    original = getattr(os, call)

    def deadly(*arguments: object, **options: object) -> object:
        nonlocal seen
        seen += 1
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(os, call, deadly)


def killed_run(layout: Layout, store: SecretStore, call: str, count: int) -> bool:
    """Configure in a child that dies at a point; says whether it came to that point."""
    child = os.fork()
    if child == 0:
        die_at(call, count)
        host = Host(account=caller(), environment={}, say=lambda _: None)
        configure("manager", layout=layout, secrets=store, host=host)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("call", KILL_POINTS)
def test_killed_anywhere_and_run_again_ends_the_same(
    layout: Layout, store: SecretStore, configured: Configured, call: str
) -> None:
    count = 0
    while killed_run(layout, store, call, count + 1):
        count += 1
        survivors = {path.name: path.read_text() for path in layout.secrets.glob("manager-*")}
        for path in layout.etc.glob("[!.]*"):
            # What has its name is whole.
            assert path.read_text().endswith("\n")
        configured()
        for name, text in survivors.items():
            if name.endswith(("-secret", "-password")):
                assert (layout.secrets / name).read_text() == text
        found = files(layout.root)
        assert sorted(found) == [
            "etc/backend.ai/alembic.ini",
            "etc/backend.ai/manager.env",
            "etc/backend.ai/manager.toml",
            "etc/backend.ai/site.toml",
            "var/lib/backendai/generated/alembic.ini",
            "var/lib/backendai/generated/manager.env",
            "var/lib/backendai/generated/manager.toml",
            "var/lib/backendai/generated/site.toml",
            "var/lib/backendai/secrets/manager-database-password",
            "var/lib/backendai/secrets/manager-rpc.key",
            "var/lib/backendai/secrets/manager-rpc.key_secret",
            "var/lib/backendai/secrets/manager-secret",
        ]
        assert (
            found["var/lib/backendai/secrets/manager-database-password"].strip()
            in found["etc/backend.ai/alembic.ini"]
        )
        for name in found:
            (layout.root / name).unlink()
    assert count > 0, f"the run never calls os.{call}"
