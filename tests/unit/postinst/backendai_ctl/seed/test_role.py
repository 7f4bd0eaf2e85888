"""The role that is looked with is the role that is made, whatever an admin has edited."""

from collections.abc import Callable

import pytest
from backendai_ctl import cli
from backendai_ctl.answers.resolve import Answers
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.session import Session

from builder.base.paths import PROJECT
from tests.unit.postinst.conftest import install_recipe

_CHANGED = {"user": "o'hara", "password": "new\\word", "name": 'my "db"'}


@pytest.fixture
def edited(layout: Layout, configured: Callable[..., list[str]]) -> Layout:
    """A manager whose role, password and database an admin has changed in manager.toml."""
    layout.seed_data.mkdir(parents=True)
    shipped = PROJECT / "postinst/services/manager/seed.toml"
    (layout.seed_data / "manager.toml").write_text(shipped.read_text())
    packages = layout.prefix("manager") / "lib/python3.13/site-packages"
    (packages / "backend_ai_manager-26.9.6.dist-info").mkdir(parents=True)
    configured()
    path = layout.etc / "manager.toml"
    lines = path.read_text().splitlines()
    missing = dict(_CHANGED)
    for number in range(lines.index("[db]"), len(lines)):
        key = lines[number].partition(" = ")[0]
        if key in missing:
            lines[number] = f"{key} = '''{missing.pop(key)}'''"
    assert not missing
    path.write_text("\n".join(lines))
    return layout


def test_the_role_that_is_made_is_the_one_that_logs_in(edited: Layout, store: SecretStore) -> None:
    answers = Answers(site=load_site(edited), secrets=store)
    session = Session.open(edited, answers, lambda _: None)
    with session.open_databases() as (manager,):
        target, sql = manager.target, manager.sql
    assert {"user": target.user, "password": target.password, "name": target.name} == _CHANGED
    assert "rolname = E'o''hara'" in sql
    assert r"""ALTER ROLE "o'hara" PASSWORD E'new\\word';""" in sql
    assert """datname = E'my "db"'""" in sql
    assert str(answers.value("database.password")) not in sql


@pytest.mark.parametrize("service", ["manager", "halfstack"])
def test_sql_is_that_of_the_configuration(
    edited: Layout, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install_recipe(edited, service)
    command = ["--root", str(edited.root), "--as-caller", "sql", service]
    assert cli.main(command) == 0
    assert "rolname = E'o''hara'" in capsys.readouterr().out
