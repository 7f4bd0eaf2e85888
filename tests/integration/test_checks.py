"""The checks on a host find what they are for: each is shown one fault."""

import docker
import pytest

from builder.verify.hosts import Host, HostSetup
from builder.verify.listing import differences, take_listing
from tests.integration import checks
from tests.integration.images import Images, Suite

pytestmark = pytest.mark.docker

_SECRET = "long-and-random-enough"
_PREPARE = f"""
set -eu
groupadd --gid 1100 backendai
useradd --uid 1100 --gid 1100 --no-create-home backendai
mkdir -p {checks.ROOT}/manager/bin {checks.SETTINGS} {checks.SECRETS} /var/log/backendai
chown root:backendai {checks.SETTINGS} {checks.SECRETS}
chmod 0750 {checks.SETTINGS} {checks.SECRETS}
umask 027
cat >{checks.SETTINGS}/manager.toml <<END
[db]
password = "{_SECRET}"
[manager]
secret = ""
END
chgrp backendai {checks.SETTINGS}/manager.toml
umask 022
echo code >{checks.ROOT}/manager/bin/code
"""


def test_checks_find_faults(engine: docker.DockerClient, images: Images) -> None:
    setup = HostSetup(image=images.base(Suite.TRIXIE), name="checks")
    with Host(engine, setup) as host:
        before = take_listing(host)
        host.run(_PREPARE)
        sound = take_listing(host)
        assert checks.check_code(host) == []
        assert checks.check_world_writable(before, sound) == []
        assert checks.check_settings(host, ("manager.toml",)) == []
        assert checks.check_secrets(host) == []
        assert checks.check_untouched(sound, sound) == []

        code = f"{checks.ROOT}/manager/bin/code"
        host.run(
            f"chown backendai {code}; ln -s nowhere {checks.ROOT}/link; mkdir -m 777 /var/open"
        )
        assert checks.check_code(host) == [
            f"{code}: backendai:root 644",
            f"{code}: backendai may write it",
            f"{checks.ROOT}/link: leads nowhere",
        ]
        faulty = take_listing(host)
        assert checks.check_world_writable(before, faulty) == ["/var/open: mode 777"]
        assert f"{checks.ROOT}/link: appeared" in checks.check_untouched(sound, faulty)
        assert "+ /var/open" in differences(sound, faulty)

        host.run(f"chmod o+r {checks.SETTINGS}/manager.toml")
        assert checks.check_settings(host, ("manager.toml", "site.toml")) == [
            f"{checks.SETTINGS}/manager.toml: is root:backendai 644, not root:backendai 640",
            f"{checks.SETTINGS}/site.toml: is missing, not root:backendai 640",
            f"{checks.SETTINGS}/manager.toml: others may use it",
        ]
        host.run(f"logger 'password is {_SECRET}'; echo {_SECRET} >/var/log/backendai/log")
        host.run(f"systemd-run --quiet sh -c 'sleep 60; : {_SECRET}'; journalctl --sync")
        found = "\n".join(checks.check_secrets(host))
        assert "a secret is in the journal" in found
        assert "a secret is in an argument list" in found
        assert "a secret is in a log: /var/log/backendai/log" in found
        assert f"{checks.SETTINGS}/manager.toml" in found
