"""`backendai-ctl credentials`: JSON is JSON, and a secret is shown where it was asked for."""

import json
import os

import pytest
from backendai_ctl import cli
from backendai_ctl.base.errors import Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.accounts import Account, write_accounts

ADMIN = Account(
    email="admin@example.com",
    role="superadmin",
    active=True,
    password="the-password",
    access_key="AKIAEXAMPLE",
    secret_key="the-secret",
)


@pytest.fixture
def seeded(layout: Layout) -> Layout:
    """A host with the first accounts, of which one is active."""
    folder = layout.state / "credentials"
    folder.mkdir()
    other = Account(email="user@example.com", role="user", active=False, password="other")
    write_accounts(folder / "manager.toml", [ADMIN, other])
    return layout


def run(layout: Layout, *words: str) -> int:
    return cli.main(["--root", os.fspath(layout.root), "credentials", *words])


@pytest.mark.parametrize(("words", "shown"), [(("--json",), False), (("--json", "--show"), True)])
def test_json_with_and_without_show(
    seeded: Layout, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], *, shown: bool
) -> None:
    assert run(seeded, *words) == Status.OK
    printed = capsys.readouterr().out
    (account,) = json.loads(printed)
    assert (account["email"], account["access_key"]) == (ADMIN.email, ADMIN.access_key)
    assert account["file"].endswith("/credentials/manager.toml")
    secrets = (account["password"], account["secret_key"])
    assert secrets == ((ADMIN.password, ADMIN.secret_key) if shown else (None, None))
    assert (ADMIN.password in printed) is shown


def test_for_people_the_file_or_the_account(
    seeded: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    run(seeded)
    assert capsys.readouterr().out == f"{seeded.state}/credentials/manager.toml\n"
    run(seeded, "--show")
    assert f"password    {ADMIN.password}\n" in capsys.readouterr().out


def test_without_accounts(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(layout, "--json") == Status.NOT_READY
    assert "no accounts were made" in capsys.readouterr().err
