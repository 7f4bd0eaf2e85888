"""The proxies with TLS that the guide shows: what each program takes, with this machine's files."""

import json
import re
import shutil
from pathlib import Path

import pytest

from builder.base.paths import PROJECT
from builder.base.run import run
from tests.unit.postinst.certificates import make_pair

_EXAMPLES = PROJECT / "docs/examples"
_ADDRESS, _PORT = "192.0.2.10", re.compile(r"127\.0\.0\.1:(\d+)")
# The ports that users reach; the worker's are passed on by their number.
_PORTS = {"8081", "6021", "8090", "10200"}


def text(name: str) -> str:
    """An example as it is."""
    return (_EXAMPLES / name).read_text()


def here(name: str) -> str:
    """An example on an address of this machine, without ports that root alone can open."""
    return text(name).replace(f"{_ADDRESS}:443", "127.0.0.1:18443").replace(_ADDRESS, "127.0.0.1")


@pytest.mark.parametrize("name", ["nginx.conf", "caddy.json"])
def test_every_port_of_users_is_passed_on(name: str) -> None:
    assert set(_PORT.findall(text(name))) == _PORTS
    for port in ("443", "8081", "6021", "10200", "10201", "10205-10300"):
        assert f"{_ADDRESS}:{port}" in text(name)


def test_nginx_takes_its_example(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if nginx is None:
        pytest.skip("no nginx: apt-get install nginx")
    certificate, key = make_pair(tmp_path)
    site = re.sub(r"/etc/letsencrypt/\S+fullchain.pem", str(certificate), here("nginx.conf"))
    site = re.sub(r"/etc/letsencrypt/\S+privkey.pem", str(key), site)
    (tmp_path / "site.conf").write_text(site)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; include {tmp_path}/site.conf; }}\n"
    )
    found = run([nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], check=False)
    assert found.status == 0, found.stderr


def test_caddy_takes_its_example(tmp_path: Path) -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("no caddy: apt-get install caddy")
    config = json.loads(here("caddy.json"))
    config["storage"] = {"module": "file_system", "root": str(tmp_path / "storage")}
    path = tmp_path / "caddy.json"
    path.write_text(json.dumps(config))
    env = {"HOME": str(tmp_path)}
    found = run([caddy, "validate", "--config", str(path)], env=env, check=False)
    assert found.status == 0, found.stderr
