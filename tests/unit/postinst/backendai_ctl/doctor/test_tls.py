"""A login page over plain HTTP, and a certificate that ends or does not fit, are found."""

from pathlib import Path

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.doctor.checks.tls import check_tls
from backendai_ctl.doctor.model import Finding, Severity

from tests.unit.postinst.certificates import make_pair
from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.host_views import host_view

SERVED = """\
ssl-enabled = true
ssl-cert = "/etc/ssl/node.pem"
ssl-privkey = "/etc/ssl/node.key"
"""


def look(layout: Layout, settings: str = "", *, ip: str = "0.0.0.0") -> list[Finding]:
    """What is found of a webserver with these settings."""
    install_recipe(layout, "webserver")
    text = f'[service]\nip = "{ip}"\nport = 8090\n{settings}'
    (layout.etc / "webserver.conf").write_text(text)
    return list(check_tls(host_view(layout)))


def folder(layout: Layout) -> Path:
    """Where the certificate is due."""
    return layout.root / "etc/ssl"


@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "10.0.0.5"])
def test_a_login_page_that_is_open_to_the_network_is_noted(layout: Layout, ip: str) -> None:
    (found,) = look(layout, ip=ip)
    assert found.severity is Severity.NOTE
    assert "over plain HTTP" in found.what
    assert "answer [tls] in site.toml" in found.remedy


def test_what_only_this_host_reaches_is_well(layout: Layout) -> None:
    assert not look(layout, ip="127.0.0.1")
    assert not look(layout, 'force-endpoint-protocol = "https"\n')


def test_a_certificate_that_is_well_is_not_found(layout: Layout) -> None:
    make_pair(folder(layout))
    assert not look(layout, SERVED)


def test_a_certificate_that_ends_is_found(layout: Layout) -> None:
    make_pair(folder(layout), days=9.5)
    (found,) = look(layout, SERVED)
    assert (found.severity, found.value) == (Severity.WARNING, "9")
    make_pair(folder(layout), days=-1)
    (found,) = look(layout, SERVED)
    assert found.severity is Severity.ERROR
    assert "has expired" in found.what


def test_a_missing_or_foreign_file_is_found(layout: Layout) -> None:
    (found,) = look(layout, SERVED)
    assert found.what == "webserver has no certificate: no such file or directory"
    certificate, key = make_pair(folder(layout))
    other = key.read_text()
    make_pair(folder(layout))
    key.write_text(other)
    (found,) = look(layout, SERVED)
    assert (found.severity, found.where) == (Severity.ERROR, "/etc/ssl/node.key")
    assert certificate.exists()
