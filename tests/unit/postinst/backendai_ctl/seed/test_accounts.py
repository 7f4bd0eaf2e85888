"""The first accounts: made from a secret, never the release's own, kept for root alone."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backendai_ctl.base.errors import RecipeError
from backendai_ctl.registries.model import Registry
from backendai_ctl.seed.accounts import Deriver, read_accounts, write_accounts
from backendai_ctl.seed.data import Accounts, Registries, SeedProfile, Setting
from backendai_ctl.seed.fixtures import Fixtures, Values, prepare

USERS: dict[str, list[dict[str, Any]]] = {
    "scaling_groups": [{"name": "default", "token": "everybody knows"}],
    "users": [
        {"uuid": "u1", "email": "a@b.c", "password": "p1", "status": "active", "role": "user"},
        {
            "uuid": "u2",
            "email": "x@b.c",
            "password": "p2",
            "status": "active",
            "role": "superadmin",
        },
    ],
}
PAIRS: dict[str, list[dict[str, Any]]] = {
    "keypairs": [
        {
            "access_key": "A1",
            "secret_key": "S1",
            "is_active": True,
            "user": "u1",
            "user_id": "a@b.c",
        },
        {
            "access_key": "A2",
            "secret_key": "S2",
            "is_active": True,
            "user": "u2",
            "user_id": "x@b.c",
        },
    ]
}
MAIN = {"__mode": "update", "users": [{"uuid": "u2", "main": "A2"}, {"uuid": "u1", "main": "A1"}]}
PRESETS = {"__mode": "insert", "presets": [{"shm": "1024"}, {"shm": 5}, {}]}
REGISTRIES = {
    "registries": [
        {"id": "1", "registry_name": "cr", "url": "https://cr", "type": "h", "project": "stable"},
        {"id": "2", "registry_name": "cr", "url": "https://cr", "type": "h", "project": "extra"},
    ]
}
OWN = Registry(section="r", name="cr", url="https://cr", type="h", projects=("stable",))
PROFILE = SeedProfile(
    since=(26,),
    fixtures=("users", "pairs", "main", "presets", "registries", "newer"),
    optional=frozenset({"main", "newer"}),
    integers=("presets.shm",),
    settings=(Setting(table="scaling_groups", column="token", value={"secret": "t"}),),
    accounts=Accounts(
        users="users",
        keypairs="keypairs",
        emails=("keypairs.user_id",),
        access_keys=("users.main",),
    ),
    registries=Registries(table="registries", since=(24, 9)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The fixtures of a release."""
    parts = {
        "users": USERS,
        "pairs": PAIRS,
        "main": MAIN,
        "presets": PRESETS,
        "registries": REGISTRIES,
    }
    for name, table in parts.items():
        (tmp_path / f"example-{name}.json").write_text(json.dumps(table))
    return tmp_path


def prepared(folder: Path, secret: str = "one", registry: Registry = OWN) -> Fixtures:
    """The fixtures, made the installation's whose secret this is."""
    values = Values(
        deriver=Deriver(secret=secret),
        admin_email="kim@example.org",
        resolve=lambda _: "fresh",
        registries=(registry,),
    )
    return prepare(folder, PROFILE, values)


def test_no_public_account_is_left(folder: Path) -> None:
    made = prepared(folder)
    text = json.dumps(made.files)
    for known in ("p1", "p2", '"A1"', '"A2"', "S1", "S2", "everybody knows"):
        assert known not in text
    assert made.files["users"]["scaling_groups"][0]["token"] == "fresh"
    assert list(made.files) == ["users", "pairs", "main", "presets", "registries"]


def test_what_names_a_key_pair_names_the_new_one(folder: Path) -> None:
    made = prepared(folder)
    first, two = (pair["access_key"] for pair in made.files["pairs"]["keypairs"])
    rows = [{"uuid": "u2", "main": two}, {"uuid": "u1", "main": first}]
    assert made.files["main"] == {"__mode": "update", "users": rows}
    (folder / "example-main.json").unlink()
    assert "main" not in prepared(folder).files


def test_only_the_superadmin_is_active_and_has_the_sites_address(folder: Path) -> None:
    made = prepared(folder)
    other, admin = made.files["users"]["users"]
    assert (other["status"], other["email"]) == ("inactive", "a@b.c")
    assert (admin["status"], admin["email"]) == ("active", "kim@example.org")
    pairs = made.files["pairs"]["keypairs"]
    assert [pair["is_active"] for pair in pairs] == [False, True]
    assert [pair["user_id"] for pair in pairs] == ["a@b.c", "kim@example.org"]
    first, second = made.accounts
    assert (first.role, first.active, first.email) == ("superadmin", True, "kim@example.org")
    assert (second.active, second.access_key) == (False, pairs[0]["access_key"])
    assert first.password == admin["password"]


def test_a_second_run_makes_the_same_and_another_site_others(folder: Path) -> None:
    assert prepared(folder) == prepared(folder)
    first, two = prepared(folder).accounts, prepared(folder, "two").accounts
    for mine, theirs in zip(first, two, strict=True):
        assert mine.password != theirs.password
        assert mine.access_key != theirs.access_key
        assert mine.secret_key != theirs.secret_key


def test_what_is_broken_is_fixed_and_reported(folder: Path) -> None:
    made = prepared(folder)
    assert made.files["presets"]["presets"] == [{"shm": 1024}, {"shm": 5}, {}]
    assert made.normalised == ("presets.shm: 1 texts made numbers",)


@pytest.mark.parametrize(
    ("changed", "stays"),
    [({}, True), ({"url": "https://mine"}, False), ({"projects": ("stable", "mine")}, False)],
)
def test_the_releases_own_registries_are_loaded_where_they_are_the_sites(
    folder: Path, changed: dict[str, Any], stays: bool
) -> None:
    made = prepared(folder, registry=replace(OWN, **changed))
    assert made.files.get("registries") == (REGISTRIES if stays else None)


def test_a_fixture_that_is_missing_is_the_packages_fault(folder: Path) -> None:
    (folder / "example-pairs.json").unlink()
    with pytest.raises(RecipeError, match=r"example-pairs\.json"):
        prepared(folder)


def test_a_password_has_what_the_web_ui_asks_for() -> None:
    made = {Deriver(secret="s").password(str(user)) for user in range(200)}
    assert len(made) == 200
    for password in made:
        kinds = (str.islower, str.isupper, str.isdigit, lambda letter: letter == "-")
        assert all(any(map(kind, password)) for kind in kinds), password
        assert len(password) == 21


def test_letters_are_all_about_as_likely() -> None:
    text = Deriver(secret="s").text("purpose", "ABCDEFGHIJ", 20_000)
    counts = [text.count(letter) for letter in "ABCDEFGHIJ"]
    assert min(counts) > 1_800
    assert max(counts) < 2_200


def test_the_file_is_for_its_owner_alone(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    accounts = list(prepared(folder).accounts)
    write_accounts(path, accounts)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_accounts(path) == accounts
    before = path.stat().st_mtime_ns, path.stat().st_ino
    write_accounts(path, copy.deepcopy(accounts))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
