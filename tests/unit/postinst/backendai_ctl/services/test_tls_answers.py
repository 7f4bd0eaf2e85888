"""[tls] of site.toml: what services make of it, and each answer that they refuse."""

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
from tests.unit.postinst.configs import Configured, made, table
from tests.unit.postinst.conftest import caller

_FILES = 'certificate = "/etc/ssl/node.pem"\nkey = "/etc/ssl/node.key"\n'
ANSWERS = f'[tls]\n{_FILES}ca = "/etc/ssl/node.pem"\n'
PROXIES = ("appproxy-coordinator", "appproxy-worker")
_SSL = ("ssl-enabled", "ssl-cert", "ssl-privkey")
_TLS = ("tls_listen", "tls_cert", "tls_privkey")
# The switch and the two files of each service.
SHOWN = (
    ("manager.toml", "manager", _SSL),
    ("storage-proxy.toml", "api.client", _SSL),
    ("webserver.conf", "service", _SSL),
    ("app-proxy-coordinator.toml", "proxy_coordinator", _TLS),
    ("app-proxy-worker.toml", "proxy_worker", _TLS),
)
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


def test_a_certificate_makes_all_that_users_reach_https(
    services: Layout, configured: Configured
) -> None:
    make_pair(name_pair(services, NAMED + ANSWERS))
    for service in ("manager", "storage-proxy", "webserver", *PROXIES):
        assert not [line for line in configured(service) if line.startswith("warning")]
    for file, section, keys in SHOWN:
        found: dict[str, object] = {**made(services, file)}
        for part in section.split("."):
            found = table(found[part])
        assert [found[key] for key in keys] == [True, "/etc/ssl/node.pem", "/etc/ssl/node.key"]
    web = made(services, "webserver.conf")
    assert web["security"]["cookie_secure"] is True
    assert web["api"]["endpoint"] == "https://node.example.com:8081"
    worker = made(services, "app-proxy-worker.toml")["proxy_worker"]
    assert worker["coordinator_endpoint"] == "https://node.example.com:10200"
    assert load_site(services)["storage-proxy.client-url"] == "https://node.example.com:6021"
    assert (services.trust / "site.pem").read_text() == (
        services.root / "etc/ssl/node.pem"
    ).read_text()


def test_the_ports_and_addresses_of_other_answers_count(services: Layout) -> None:
    services.site.write_text(
        f'{NAMED}{ANSWERS}[manager]\naddress = "0.0.0.0:9081"\n'
        '[appproxy]\nurl = "https://proxy.example.com"\n'
    )
    site = load_site(services)
    assert site["manager.url"] == "https://node.example.com:9081"
    assert site["appproxy.url"] == "https://proxy.example.com"


def test_an_address_that_is_written_as_the_default_follows(services: Layout) -> None:
    services.site.write_text(
        f'{NAMED}{ANSWERS}[manager]\nurl = "http://127.0.0.1:8081"\n'
        '[storage-proxy]\nclient-url = "http://files.example.com:6021"\n'
    )
    site = load_site(services)
    assert site["manager.url"] == "https://node.example.com:8081"
    assert site["storage-proxy.client-url"] == "http://files.example.com:6021"


def test_a_proxy_with_tls_in_front_changes_what_browsers_are_told_alone(
    services: Layout, configured: Configured
) -> None:
    services.site.write_text(f"{NAMED}[tls]\nproxied = true\n")
    site = load_site(services)
    assert site["storage-proxy.client-url"] == "https://node.example.com:6021"
    assert site["manager.url"] == "http://127.0.0.1:8081"
    assert site["appproxy.url"] == "http://127.0.0.1:10200"
    configured("appproxy-worker")
    worker = made(services, "app-proxy-worker.toml")["proxy_worker"]
    assert (worker["tls_advertised"], worker["tls_listen"]) == (True, False)
    assert not services.tls.exists()


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
    plant(name_pair(services, f"{NAMED}[tls]\n{_FILES}"))
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


@pytest.mark.parametrize("host", ["other.example.com", "10.0.0.6", "a..b", "127.0.0.1"])
@pytest.mark.parametrize("service", ["webserver", "manager"])
def test_another_public_host_is_refused(
    services: Layout, configured: Configured, host: str, service: str
) -> None:
    make_pair(name_pair(services, f'[node]\npublic-host = "{host}"\n{ANSWERS}'))
    with pytest.raises(SiteError) as caught:
        configured(service)
    expected = f"tls.certificate = /etc/ssl/node.pem: is not for {host} (node.public-host)"
    assert caught.value.problems == [expected]
    assert "set node.public-host to a name of the certificate" in str(caught.value.hint)
    assert not list(services.generated.glob(f"{service}*"))
    assert not (services.trust / "site.pem").exists()


def test_a_certificate_of_another_authority_is_refused(
    services: Layout, configured: Configured
) -> None:
    folder = name_pair(services, f'{NAMED}[tls]\n{_FILES}ca = "/etc/ssl/other/node.pem"\n')
    make_pair(folder)
    make_pair(folder / "other")
    with pytest.raises(SiteError, match=r"tls.ca = /etc/ssl/other/node.pem: does not verify /etc"):
        configured("manager")
    assert not (services.etc / "manager.toml").exists()


def test_a_certificate_that_nobody_trusts_is_refused(
    services: Layout, configured: Configured
) -> None:
    make_pair(name_pair(services, f"{NAMED}[tls]\n{_FILES}"))
    with pytest.raises(SiteError, match="the distribution trusts no authority of it") as caught:
        configured("storage-proxy")
    assert "site set tls.ca" in str(caught.value.hint)


def test_the_distributions_authorities_count(
    services: Layout, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    certificate, _ = make_pair(name_pair(services, f"{NAMED}[tls]\n{_FILES}"))
    bundle = services.root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_text(certificate.read_text())
    configured("manager")
    assert made(services, "manager.toml")["manager"]["ssl-enabled"] is True
    assert not (services.trust / "site.pem").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, "no such file or directory"), ("no PEM", "holds no certificate in PEM")],
)
def test_an_authority_that_cannot_be_read_is_refused_by_what_only_calls(
    services: Layout, text: str | None, expected: str
) -> None:
    name_pair(services, '[tls]\nca = "/etc/ssl/ca.pem"\n').mkdir(parents=True)
    if text is not None:
        (services.root / "etc/ssl/ca.pem").write_text(text)
    with pytest.raises(SiteError, match=f"tls.ca = /etc/ssl/ca.pem: {expected}"):
        tls_answers.take_tls_answers(services, load_site(services), caller(), print, shows=False)


def test_a_certificate_that_ends_soon_is_a_doubt(services: Layout, configured: Configured) -> None:
    make_pair(name_pair(services, NAMED + ANSWERS), days=9.5)
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
        tls_answers.take_tls_answers(services, load_site(services), stranger, print, shows=True)
    (problem,) = caught.value.problems
    assert problem.startswith("tls.key = /etc/ssl/node.key: the account backendai cannot read it")
    assert all("--init-groups -- test -r" in line for line in ran)
    assert len(ran) == 2


def test_what_units_do_not_see_is_refused(services: Layout, configured: Configured) -> None:
    make_pair(services.root / "root/tls")
    name_pair(services, ANSWERS.replace("/etc/ssl", "/root/tls"))
    with pytest.raises(SiteError, match="services do not see /root"):
        configured("webserver")
