"""[tls] of site.toml: what the webserver makes of it, and each answer that it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import Done
from backendai_ctl.services import tls_answers

from tests.unit.postinst.certificates import make_pair
from tests.unit.postinst.configs import Configured, made

ANSWERS = '[tls]\ncertificate = "/etc/ssl/node.pem"\nkey = "/etc/ssl/node.key"\n'
FILES = '[storage-proxy]\nclient-url = "https://files.example.com"\n'
NAMED = '[node]\npublic-host = "node.example.com"\n'


def name_pair(layout: Layout, text: str = ANSWERS) -> Path:
    """Write site.toml, and return the folder that the certificate is due in."""
    layout.site.write_text(text)
    return layout.root / "etc/ssl"


def test_without_answers_the_web_ui_is_plain(services: Layout, configured: Configured) -> None:
    configured("webserver")
    found = made(services, "webserver.conf")
    assert not {key for key in found["service"] if key.startswith("ssl")}
    assert found["security"]["cookie_secure"] is False


@pytest.mark.parametrize("host", ["", "node.example.com", "10.0.0.5"])
def test_a_certificate_makes_the_web_ui_https(
    services: Layout, configured: Configured, host: str
) -> None:
    named = f'[node]\npublic-host = "{host}"\n{FILES}' if host else ""
    make_pair(name_pair(services, named + ANSWERS))
    said = configured("webserver")
    found = made(services, "webserver.conf")
    assert found["service"]["ssl-enabled"] is True
    assert found["service"]["ssl-cert"] == "/etc/ssl/node.pem"
    assert found["service"]["ssl-privkey"] == "/etc/ssl/node.key"
    assert found["security"]["cookie_secure"] is True
    assert not [line for line in said if line.startswith("warning")]


def test_a_made_file_follows_the_answer_and_an_edited_one_is_kept(
    services: Layout, configured: Configured
) -> None:
    services.site.write_text(NAMED)
    configured("webserver")
    make_pair(name_pair(services, NAMED + ANSWERS))
    configured("webserver")
    assert made(services, "webserver.conf")["service"]["ssl-enabled"] is True
    path = services.etc / "webserver.conf"
    path.write_text(path.read_text() + "# mine\n")
    edited = path.read_text()
    services.site.write_text(NAMED)
    configured("webserver")
    assert path.read_text() == edited
    assert "ssl-enabled" not in made(services, "webserver.conf.new")["service"]


def missing(folder: Path) -> None:
    """Only the key is there."""
    make_pair(folder)[0].unlink()


def foreign_key(folder: Path) -> None:
    """The key of another certificate."""
    certificate, _ = make_pair(folder)
    text = certificate.read_text()
    make_pair(folder)
    certificate.write_text(text)


def swapped(folder: Path) -> None:
    """Each file in the place of the other."""
    certificate, key = make_pair(folder)
    texts = certificate.read_text(), key.read_text()
    certificate.write_text(texts[1])
    key.write_text(texts[0])


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (missing, "tls.certificate = /etc/ssl/node.pem: no such file or directory"),
        (foreign_key, "tls.key = /etc/ssl/node.key: does not belong to the certificate"),
        (swapped, "tls.certificate = /etc/ssl/node.pem: holds no certificate in PEM"),
        (lambda folder: make_pair(folder)[1].write_text("x"), "holds no private key in PEM"),
        (lambda folder: make_pair(folder)[1].chmod(0o644), "every user of this host can read it"),
        (lambda folder: make_pair(folder, days=-1), "tls.certificate = /etc/ssl/node.pem: has ex"),
        (lambda folder: make_pair(folder, days=500), "is not valid yet"),
        (lambda folder: make_pair(folder, is_for_servers=False), "is not for servers"),
        (lambda folder: make_pair(folder, pass_phrase=b"of-the-key"), "has a pass phrase"),
        (lambda folder: (folder / "node.pem").mkdir(parents=True), "is not a file"),
    ],
)
def test_a_pair_that_browsers_could_not_use_is_refused_and_nothing_is_written(
    services: Layout,
    configured: Configured,
    plant: Callable[[Path], object],
    expected: str,
) -> None:
    plant(name_pair(services))
    with pytest.raises(SiteError, match="tls") as caught:
        configured("webserver")
    (problem, *others) = caught.value.problems
    assert expected in problem
    assert not [other for other in others if "node.pem" in other]
    assert not (services.etc / "webserver.conf").exists()
    assert not list(services.generated.glob("webserver*"))


def test_half_an_answer_is_refused(services: Layout, configured: Configured) -> None:
    name_pair(services, '[tls]\ncertificate = "/etc/ssl/node.pem"\n')
    with pytest.raises(SiteError, match=r"tls.key is empty, though tls.certificate is given"):
        configured("webserver")


@pytest.mark.parametrize("host", ["other.example.com", "10.0.0.6", "a..b"])
def test_another_public_host_is_a_doubt(
    services: Layout, configured: Configured, host: str
) -> None:
    make_pair(name_pair(services, f'[node]\npublic-host = "{host}"\n{FILES}{ANSWERS}'))
    said = [line for line in configured("webserver") if line.startswith("warning")]
    (doubt,) = said
    assert f"/etc/ssl/node.pem (tls.certificate) is not for {host} (node.public-host)" in doubt
    assert made(services, "webserver.conf")["service"]["ssl-enabled"] is True


def test_transfers_that_browsers_refuse_are_a_doubt(
    services: Layout, configured: Configured
) -> None:
    make_pair(name_pair(services, NAMED + ANSWERS))
    (doubt,) = (line for line in configured("webserver") if line.startswith("warning"))
    assert "storage-proxy.client-url = http://node.example.com:6021: browsers refuse" in doubt


def test_a_certificate_that_ends_soon_is_a_doubt(services: Layout, configured: Configured) -> None:
    make_pair(name_pair(services), days=9.5)
    assert any("ends in 9 days" in line for line in configured("webserver"))


def test_what_the_account_cannot_read_is_refused(
    services: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pair(name_pair(services))
    ran: list[str] = []

    def refuse(command: list[str], **_: object) -> Done:
        ran.append(" ".join(command))
        return Done(status=int(command[-1].endswith("key")), stdout="", stderr="")

    monkeypatch.setattr(tls_answers, "run_program", refuse)
    stranger = Owner(uid=54321, gid=54321)
    with pytest.raises(SiteError) as caught:
        tls_answers.check_tls_answers(services, load_site(services), stranger, print)
    (problem,) = caught.value.problems
    assert problem.startswith("tls.key = /etc/ssl/node.key: the account backendai cannot read it")
    assert all("--init-groups -- test -r" in line for line in ran)
    assert len(ran) == 2


def test_what_units_do_not_see_is_refused(services: Layout, configured: Configured) -> None:
    make_pair(services.root / "root/tls")
    name_pair(services, ANSWERS.replace("/etc/ssl", "/root/tls"))
    with pytest.raises(SiteError, match="services do not see /root"):
        configured("webserver")
