"""The account's numbers: what the maintainer scripts read is what a parser of TOML reads."""

import os
import tomllib
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import Result, run

# Prints the numbers that an account is made with.
_SHOW = '\nread_account && printf "%s %s\\n" "$account_uid" "$account_gid"\n'


def read_account(tmp_path: Path, site: str | None, env: dict[str, str] | None = None) -> Result:
    """What the shell makes of a site.toml."""
    text = (PROJECT / "postinst/shell/account.sh").read_text()
    text = text.replace("{{ package.name }}", "backendai-common")
    path = tmp_path / "site.toml"
    if site is not None:
        path.write_text(site, newline="")
    script = tmp_path / "script"
    script.write_text(text.replace("/etc/backend.ai/site.toml", str(path)) + _SHOW)
    return run(["sh", script], env={**os.environ, **(env or {})}, check=False)


@pytest.mark.parametrize(
    "site",
    [
        "",
        "[account]\nuid = 1200\ngid = 1300\n",
        "\t[ account ] # ours\n\tuid=1200#x\n  gid = 1300 \r\n",
        "[account]\r\nuid = 1200\r\n\r\n[etcd]\r\nuid = 5\r\n",
        "etcd.addresses = ['a']\n[account]\ngid = 1300\n",
        'x = """\n[account]\nuid = 5\n"""\n[account]\nuid = 1200\n',
        "x = '''\n[account]\nuid = 5\n\\'''\n[account]\nuid = 1200\n",
        'x = """\n\\"""\n[account]\nuid = 5\n"""\n',
        '[etcd]\naddresses = [\n  "a", # ]\n  "[account]",\n]\n[account]\nuid = 1200\n',
        '[etcd]\nx = { account = { uid = 5 } }\naccount.uid = 7\n"uid" = 8\n',
        "[etcd.account]\nuid = 5\n[[account-s]]\nuid = 6\n",
        "[account]\nname = 'uid = 5'\nuid = 1200\n",
        '[account]\nnote = "#"\nlist = [\n"uid",\n]\nuid = 1200\n',
        "# account.uid = 5\n  # [account]\n",
    ],
)
def test_it_reads_what_toml_says(tmp_path: Path, site: str) -> None:
    account = tomllib.loads(site.replace("\r\n", "\n")).get("account", {})
    done = read_account(tmp_path, site)
    assert done.stdout == f"{account.get('uid', 1100)} {account.get('gid', 1100)}\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "site",
    [
        "account.uid = 1200\n",
        "account . uid = 1200\n",
        '"account".uid = 1200\n',
        "'account' . uid = 1200\n",
        "account = { uid = 1200, gid = 1200 }\n",
        '"acc\\u006funt" = { uid = 1200 }\n',
        '["account"]\nuid = 1200\n',
        "[ 'account' ]\nuid = 1200\n",
        '["acc\\u006funt"]\nuid = 1200\n',
        '[account]\n"uid" = 1200\n',
        "[account]\n'uid' = 1200\n",
        '[account]\n"u\\u0069d" = 1200\n',
        "[account]\n[account.uid]\n",
        "[[account]]\nuid = 1200\n",
        "\ufeff[account]\nuid = 1200\n",
        "\u00a0[account]\nuid = 1200\n",
        "\x0c[account]\nuid = 1200\n",
        "[account]\x0c\nuid = 1200\n",
        "[account]\nuid = 1200\nuid = 1300\n",
        "[account]\n\u00a0uid = 1200\n",
        "[account]\nuid\u00a0= 1200\n",
        '[etcd]\nname = "open\n[account]\nuid = 1200\n',
        "[account]\nuid = 0x4B0\n",
        "[account]\nuid = 1_200\n",
        "[account]\nuid = +1200\n",
        "[account]\nuid = '1200'\n",
        "[account]\nuid = 1200 1300\n",
    ],
)
def test_it_refuses_what_it_cannot_see(tmp_path: Path, site: str) -> None:
    done = read_account(tmp_path, site)
    assert done.status == 1
    assert done.stdout == ""
    assert "backendai-common: error: " in done.stderr
    assert "backendai-common: hint: " in done.stderr


def test_variables_need_no_file(tmp_path: Path) -> None:
    env = {"BACKENDAI_ACCOUNT_UID": "1200", "BACKENDAI_ACCOUNT_GID": "1300"}
    assert read_account(tmp_path, "account.uid = 5\n", env).stdout == "1200 1300\n"
    assert read_account(tmp_path, "account.uid = 5\n", {"BACKENDAI_ACCOUNT_UID": "1"}).status == 1


def test_the_line_is_named(tmp_path: Path) -> None:
    done = read_account(tmp_path, '[etcd]\n\n[account]\n"uid" = 5\n')
    assert "site.toml, line 4: cannot find account.uid here" in done.stderr
