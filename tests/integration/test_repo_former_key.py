"""After a key was replaced: dnf still installs what the former one signed, apt forgets it."""

import json
import re
from pathlib import Path

import docker
import pytest

from tests.integration.images import Images
from tests.integration.site import NAME, Site, make_key, open_client, open_site, set_up_dnf

pytestmark = pytest.mark.docker

_DNF = "dnf --quiet --assumeyes"


def _use(site: Site, keys: list[tuple[str, str]], former: list[str]) -> None:
    config = site.root / "repo.toml"
    names = json.dumps([name for name, _ in keys])
    lines = f"keys = {names}\nformer-keys = {json.dumps(former)}"
    text = re.sub(r"(?m)^former-keys = .*\n", "", config.read_text())
    config.write_text(re.sub(r"(?m)^keys = .*$", lines, text))
    site.key_file.write_text("".join(secret for _, secret in keys))


def test_a_package_of_a_former_key_installs_only_while_it_is_named(
    engine: docker.DockerClient, images: Images, tmp_path: Path
) -> None:
    with open_site(tmp_path) as site, open_client(engine, images.rpm(), "former") as client:
        old, new = (site.fingerprint, site.key_file.read_text()), make_key("Next <n@localhost>")
        site.add("1.0")
        site.publish()
        _use(site, [new, old], [])
        site.add("1.1")
        site.publish()
        _use(site, [new], [old[0]])
        site.publish()
        site.builder("check")
        set_up_dnf(client, site)
        client.run(f"{_DNF} install {NAME}-1.0")
        client.run(f"{_DNF} upgrade")
        assert client.has() == "1.1"
        _use(site, [new], [])
        site.publish()
        result = site.builder("check", check=False)
        assert result.status != 0
        assert re.search(rf"{NAME}-1.0-1.noarch.rpm: rpm says: .*NOKEY", result.stderr)
        client.run(f"{_DNF} remove {NAME}; rpm -e --allmatches gpg-pubkey")
        set_up_dnf(client, site)
        client.run(f"{_DNF} install {NAME}-1.1")
        refused = client.run(f"{_DNF} downgrade {NAME}-1.0", check=False)
        assert refused.status != 0
        assert client.has() == "1.1"
