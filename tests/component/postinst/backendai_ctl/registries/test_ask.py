"""Asking a registry, by every way in which one lets nobody in."""

from pathlib import Path

import pytest
from backendai_ctl.registries.ask import Outcome, Verdict, ask_registry

from tests.unit.postinst.backendai_ctl.registries.authorities import make_authority, sign_server
from tests.unit.postinst.backendai_ctl.registries.hub import PASSWORD, registry, serving


def ask(url: str, password: str = "", authority: str = "", kind: str = "docker") -> Verdict:
    """The verdict on a registry that is asked as kim, or as nobody."""
    user = "kim" if password else ""
    asked = registry(url, user=user, password=password, type=kind, ca="/ca" if authority else "")
    verdict = ask_registry(asked, authority)
    assert PASSWORD not in verdict.says + verdict.remedy
    return verdict


@pytest.mark.parametrize(
    ("kind", "password", "outcome", "says"),
    [
        ("open", "", Outcome.FINE, ""),
        ("basic", PASSWORD, Outcome.FINE, ""),
        ("basic", "wrong", Outcome.REFUSED, "refuses the user 'kim' with this password"),
        ("basic", "", Outcome.REFUSED, "asks for a user and a password"),
        ("tokens", PASSWORD, Outcome.FINE, ""),
        ("tokens", "wrong", Outcome.REFUSED, "refuses the user 'kim'"),
        ("tokens", "", Outcome.REFUSED, "asks for a user"),
        ("else", PASSWORD, Outcome.OTHER, "does not answer as a registry does: there is none"),
    ],
)
def test_each_kind_lets_in_whom_it_knows(
    kind: str, password: str, outcome: Outcome, says: str
) -> None:
    with serving(kind) as place:
        verdict = ask(f"http://{place}", password)
    assert verdict.outcome is outcome
    assert says in verdict.says
    assert bool(verdict.remedy) is (outcome is not Outcome.FINE)


def test_a_private_authority_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    other = make_authority(tmp_path, "other").read_text()
    with serving("basic", sign_server(tmp_path, authority)) as place:
        url = f"https://{place}"
        assert ask(url, PASSWORD, authority.read_text()).outcome is Outcome.FINE
        wrong = ask(url, PASSWORD, other)
        assert wrong.outcome is Outcome.UNTRUSTED
        assert "is not valid by registry.ca" in wrong.says
        assert "the authorities that this host trusts" in ask(url, PASSWORD).says
        plain = ask(f"http://{place}", PASSWORD)
        assert plain.outcome is not Outcome.FINE
        name = ask(url.replace("127.0.0.1", "localhost"), PASSWORD, authority.read_text())
        assert name.outcome is Outcome.UNTRUSTED


def test_one_without_tls_is_told_from_one_that_is_not_there() -> None:
    with serving("open") as place:
        spoken = ask(f"https://{place}")
    assert spoken.outcome is Outcome.OTHER
    assert "does not speak TLS" in spoken.says
    gone = ask(f"http://{place}")
    assert gone.outcome is Outcome.UNREACHABLE
    assert "connection refused" in gone.says


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    verdict = ask("https://hub.invalid")
    assert verdict.outcome is Outcome.UNREACHABLE


def test_a_clouds_own_registry_is_not_asked_for_a_password() -> None:
    with serving("basic") as place:
        assert ask(f"http://{place}", kind="ecr").outcome is Outcome.FINE
