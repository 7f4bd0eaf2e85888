"""`backendai-ctl user`, against a manager that answers as the real one was seen to."""

import json
import os
import re
import stat
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from backendai_ctl import cli
from backendai_ctl.base.errors import Status
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.accounts import Account, write_accounts
from backendai_ctl.users.api import KeyPair, ManagerApi

ACCESS, SECRET = "AKIAEXAMPLE", "the-secret-half"
EMAIL = "ann@example.com"


@dataclass
class Manager:
    """The accounts of a cluster, behind the API."""

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    pairs: dict[str, bool] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, text: str, given: dict[str, Any]) -> dict[str, Any]:
        """The data of a query, or its errors."""
        if "groups_by_name" in text:
            found = [{"id": "1f", "name": "default"}] if given["name"] == "default" else []
            return {"data": {"groups_by_name": found}}
        if "user_list" in text:
            wanted = re.search(r'email == "(.*)"', given["filter"] or "")
            items = [
                person for email, person in self.people.items() if not wanted or email == wanted[1]
            ]
            page = items[given["offset"] :][: given["limit"]]
            return {"data": {"user_list": {"items": page, "total_count": len(items)}}}
        if "mutation" in text:
            return self._change(text, given)
        key = f"AKIA-{given['email']}"
        return {"data": {"keypairs": [{"access_key": key, "secret_key": "made"}]}}

    def _change(self, text: str, given: dict[str, Any]) -> dict[str, Any]:
        props, email = given["props"], given.get("email", "")
        if "modify_keypair" in text:
            self.pairs[given["key"]] = props["is_active"]
        elif "modify_user" in text:
            self.people[email] |= props
        elif props["domain_name"] != "default":
            return {"errors": [{"message": "Entity not found."}]}
        else:
            self.people[email] = {"email": email, **props}
            self.pairs[f"AKIA-{email}"] = True
        done = {"ok": True, "msg": "success"}
        return {"data": dict.fromkeys(("create_user", "modify_user", "modify_keypair"), done)}


@pytest.fixture
def manager() -> Iterator[Manager]:
    """It listens, and refuses whoever is not the administrator."""
    state = Manager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            state.headers = dict(self.headers.items())
            state.bodies.append(body)
            is_admin = f"credential={ACCESS}:" in self.headers["Authorization"]
            given = json.loads(body)
            answer = state.answer(given["query"], given["variables"]) if is_admin else {}
            self.send_response(200 if is_admin else 401)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
        server.shutdown()


@pytest.fixture
def cluster(layout: Layout, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A node that knows that manager, and the first accounts."""
    layout.site.write_text(f'[manager]\nurl = "{manager.url}"\n')
    folder = layout.state / "credentials"
    folder.mkdir(mode=0o700)
    admin = Account(
        email="admin@example.com",
        role="superadmin",
        active=True,
        password="p",
        access_key=ACCESS,
        secret_key=SECRET,
    )
    write_accounts(folder / "manager.toml", [admin])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"BACKEND_{name}", raising=False)
    return layout


def run(layout: Layout, *words: str) -> int:
    return cli.main(["--root", os.fspath(layout.root), "--as-caller", "user", *words])


def kept(layout: Layout) -> Path:
    return layout.state / f"credentials/users/{EMAIL}.toml"


def test_an_account_is_made_active_and_its_password_kept(
    cluster: Layout, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cluster, "add", EMAIL, "--name", "Ann") == Status.OK
    made = manager.people[EMAIL]
    assert (made["status"], made["role"], made["group_ids"]) == ("active", "user", ["1f"])
    assert stat.S_IMODE(kept(cluster).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept(cluster).parent.stat().st_mode) == 0o700
    (account,) = tomllib.loads(kept(cluster).read_text())["account"]
    assert account["password"] == made["password"]
    assert account["secret-key"] == "made"
    printed = capsys.readouterr()
    assert printed.out == f"{kept(cluster)}\n"
    assert made["password"] not in printed.out + printed.err


def test_a_password_has_what_the_web_ui_asks_for(cluster: Layout, manager: Manager) -> None:
    run(cluster, "add", EMAIL)
    password = manager.people[EMAIL]["password"]
    assert re.fullmatch(r"[A-Za-z0-9]{10}-[A-Za-z0-9]{10}", password)
    assert all(re.search(kind, password) for kind in ("[a-z]", "[A-Z]", "[0-9]"))


def test_once_more_changes_nothing(
    cluster: Layout, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    run(cluster, "add", EMAIL)
    before, text = dict(manager.people[EMAIL]), kept(cluster).read_text()
    assert run(cluster, "add", EMAIL) == Status.OK
    assert "exists already" in capsys.readouterr().err
    assert (manager.people[EMAIL], kept(cluster).read_text()) == (before, text)


def test_an_inactive_account_is_turned_on_by_its_own_command(
    cluster: Layout, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    run(cluster, "add", EMAIL)
    assert run(cluster, "deactivate", EMAIL) == Status.OK
    assert manager.people[EMAIL]["status"] == "inactive"
    assert manager.pairs == {f"AKIA-{EMAIL}": False}
    assert run(cluster, "add", EMAIL) == Status.NOT_READY
    assert f"user activate {EMAIL}" in capsys.readouterr().err
    assert run(cluster, "activate", EMAIL) == Status.OK
    assert manager.people[EMAIL]["status"] == "active"
    assert manager.pairs == {f"AKIA-{EMAIL}": True}


def test_a_given_password_is_neither_kept_nor_printed(
    cluster: Layout,
    manager: Manager,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "given").write_text("From-Stdin-1\n")
    with (tmp_path / "given").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run(cluster, "add", EMAIL, "--password-stdin", "--json") == Status.OK
    assert manager.people[EMAIL]["password"] == "From-Stdin-1"
    table = json.loads(capsys.readouterr().out)
    assert (table["password"], table["secret_key"], table["file"]) == (None, None, None)
    assert not kept(cluster).exists()


def test_show_prints_once_and_keeps_no_file(
    cluster: Layout, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cluster, "add", EMAIL, "--show", "--json") == Status.OK
    table = json.loads(capsys.readouterr().out)
    assert table["password"] == manager.people[EMAIL]["password"]
    assert not kept(cluster).exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--project", "nope"), "no project 'nope' in the domain 'default'"),
        (("--domain", "nope"), "Entity not found."),
    ],
)
def test_what_the_cluster_lacks(
    cluster: Layout,
    manager: Manager,
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(cluster, "add", EMAIL, *words) == Status.INTERNAL
    assert message in capsys.readouterr().err
    assert not manager.people
    assert not kept(cluster).exists()


def test_an_unreachable_manager_and_a_refused_key_pair(
    cluster: Layout,
    manager: Manager,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BACKEND_ACCESS_KEY", "AKIAOTHER")
    monkeypatch.setenv("BACKEND_SECRET_KEY", "other-secret")
    assert run(cluster, "list") == Status.REFUSED
    assert "does not accept" in capsys.readouterr().err
    monkeypatch.setenv("BACKEND_ENDPOINT", "http://127.0.0.1:9")
    assert run(cluster, "list") == Status.NOT_READY
    assert "does not answer on http://127.0.0.1:9" in capsys.readouterr().err


def test_without_a_key_pair_it_says_where_there_is_one(
    cluster: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    (cluster.state / "credentials/manager.toml").unlink()
    assert run(cluster, "list") == Status.NOT_READY
    assert "on a manager's node" in capsys.readouterr().err


@pytest.mark.parametrize("email", ["ann", "a b@example.com", "../x@y", 'a"@b', "a@" + "b" * 70])
def test_a_bad_address_is_refused_before_anything(
    cluster: Layout, manager: Manager, email: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(cluster, "add", email)
    assert manager.bodies == []


def test_all_pages_are_listed(
    cluster: Layout, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    for at in range(230):
        manager.people[f"p{at:03}@example.com"] = {
            "email": f"p{at:03}@example.com",
            "role": "user",
            "status": "active",
            "domain_name": "default",
            "full_name": None,
        }
    assert run(cluster, "list", "--json") == Status.OK
    assert len(json.loads(capsys.readouterr().out)) == 230


def test_the_signature_is_the_releases_own() -> None:
    """Compared with what `backend.ai` 26.9.6 computes for the same request."""
    api = ManagerApi(
        url="http://127.0.0.1:8081", keys=KeyPair(access_key=ACCESS, secret_key=SECRET)
    )
    headers = api._headers(datetime(2026, 11, 25, 22, 0, 0, tzinfo=UTC))
    assert headers["Authorization"].endswith(
        f"credential={ACCESS}:cb501bcfaac342842d2c41b0281f74ab3a3b355abe18a80b751c15c7f0457a7d"
    )
    assert headers["Date"] == "2026-11-25T22:00:00+00:00"
