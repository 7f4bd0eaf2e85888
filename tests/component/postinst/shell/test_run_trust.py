"""By which authorities programs of Backend.AI verify: what each run script makes of the host's."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.postinst.rendered import payload_text

DISTRIBUTION, SITE, REGISTRY = "of the distribution\n", "of the site\n", "of a registry\n"
FILES = {"site.pem": SITE, "registries.pem": REGISTRY, "site-bundle.pem": DISTRIBUTION + SITE}


def trusted(root: Path, service: str, names: list[str], **given: str) -> str:
    """What a program of ``service`` trusts where these files are kept."""
    kept = root / "var/lib/backendai/trust"
    kept.mkdir(parents=True)
    for name in names:
        (kept / name).write_text(FILES[name])
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_text(DISTRIBUTION)
    text = payload_text(f"/opt/backendai/{service}/bin/run-{service}")
    for top in ("/var/lib/backendai", "/run/backendai", "/etc/"):
        text = text.replace(top, f"{root}{top}")
    script = root / "run-it"
    script.write_text(text)
    command = ["/bin/sh", str(script), "sh", "-c", 'cat "$SSL_CERT_FILE"']
    # Not builder.base.run, which gives children this machine's bundle.
    done = subprocess.run(  # noqa: TID251
        command, env={"PATH": "/usr/bin:/bin", **given}, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("service", ["manager", "storage-proxy", "appproxy-worker", "agent"])
def test_a_service_trusts_the_site_beside_the_distribution(tmp_path: Path, service: str) -> None:
    (tmp_path / "run/backendai" / service).mkdir(parents=True)
    has_registries = service in ("manager", "agent")
    shown = trusted(tmp_path, service, list(FILES))
    assert shown == DISTRIBUTION + SITE + (REGISTRY if has_registries else "")
    (folder,) = (tmp_path / "run/backendai").iterdir()
    assert [path.name for path in folder.iterdir()] == ["trusted.pem"]


def test_a_program_in_the_unit_of_another_service_trusts_the_site(tmp_path: Path) -> None:
    """The GraphQL gateway runs by the manager's script, and sees no folder of the manager's."""
    assert trusted(tmp_path, "manager", list(FILES)) == DISTRIBUTION + SITE


def test_a_host_without_authorities_of_its_own_trusts_the_site(tmp_path: Path) -> None:
    (tmp_path / "run/backendai/storage-proxy").mkdir(parents=True)
    given = {"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/nowhere"}
    assert trusted(tmp_path, "storage-proxy", ["site.pem"], **given) == SITE


def test_a_users_command_trusts_the_site(tmp_path: Path) -> None:
    assert trusted(tmp_path, "client", ["site.pem", "site-bundle.pem"]) == DISTRIBUTION + SITE


def test_a_user_decides_for_himself(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_text("of the user\n")
    shown = trusted(tmp_path, "client", ["site-bundle.pem"], SSL_CERT_FILE=str(own))
    assert shown == "of the user\n"


@pytest.mark.parametrize("service", ["client", "webserver"])
def test_without_an_answer_it_is_the_distributions(tmp_path: Path, service: str) -> None:
    assert trusted(tmp_path, service, []) == DISTRIBUTION
