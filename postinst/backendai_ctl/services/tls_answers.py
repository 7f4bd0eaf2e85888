"""[tls] of site.toml: its files are checked before any service is configured with them."""

import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from backendai_ctl.answers.site import PUBLIC_HOST, Site
from backendai_ctl.base.account import ACCOUNT, Owner
from backendai_ctl.base.certificates import (
    CertificateError,
    examine_certificate,
    read_authorities,
    verify_certificate,
)
from backendai_ctl.base.errors import HostError, NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.libraries import load_library
from backendai_ctl.base.programs import run_program
from backendai_ctl.services.authorities import keep_site_authorities, system_bundle

CERTIFICATE = "tls.certificate"
KEY = "tls.key"
CA = "tls.ca"
SELF_SIGNED = "tls.self-signed"
_SECONDS = 10.0
# The units have folders of their own in the place of these.
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
_HINT = "correct site.toml or the file, then run this again; [tls] without answers means plain HTTP"

Say = Callable[[str], None]


def take_tls_answers(
    layout: Layout, site: Site, account: Owner, say: Say, *, shows: bool
) -> list[Path]:
    """Make the node's own certificate if it is due, check the answers, and keep the authorities.

    With ``shows``, a service is to show the certificate: SiteError if clients would refuse it.
    Returns the files of the node's own certificate that are new.
    """
    made: list[Path] = []
    if site[SELF_SIGNED]:
        _refuse_other_files(layout, site)
        made = _ensure_own(layout, str(site[PUBLIC_HOST]), account)
    authorities = _authorities(layout, str(site[CA]))
    if site[SELF_SIGNED] and authorities != (own := read_authorities(layout.tls / "ca.pem")):
        authorities += own  # beside that of another node
    if shows:
        _check_files(layout, site, account, authorities, say)
    keep_site_authorities(layout, authorities)
    for path in made:
        say(f"made {path}")
    return made


def _ensure_own(layout: Layout, host: str, account: Owner) -> list[Path]:
    try:
        load_library("cryptography")  # before the module that needs it
    except ImportError as error:
        raise HostError(
            f"{SELF_SIGNED} = true: no installed package has the library 'cryptography'",
            hint=f"make a certificate by other means, and name it by {CERTIFICATE} and {KEY}",
        ) from error
    from backendai_ctl.services.self_signed import ensure_certificate  # noqa: PLC0415

    return ensure_certificate(layout, host, account)


def _refuse_other_files(layout: Layout, site: Site) -> None:
    problems = [
        f"{layout.site}: {name} = {site[name]}: must be empty with {SELF_SIGNED} = true"
        for name in (CERTIFICATE, KEY)
        if not PurePosixPath(str(site[name])).is_relative_to("/var/lib/backendai/tls")
    ]
    if problems:
        raise SiteError(problems, hint=_HINT)


def _authorities(layout: Layout, shown: str) -> str:
    if not shown:
        return ""
    try:
        return read_authorities(layout.place(shown))
    except CertificateError as error:
        raise SiteError([f"{CA} = {shown}: {error}"], hint=_HINT) from error


def _check_files(layout: Layout, site: Site, account: Owner, authorities: str, say: Say) -> None:
    given = {name: str(site[name]) for name in (CERTIFICATE, KEY)}
    if not any(given.values()):
        return
    problems = [
        f"{layout.site}: {name} is empty, though {other} is given"
        for name, other in ((CERTIFICATE, KEY), (KEY, CERTIFICATE))
        if not given[name]
    ]
    problems = problems or [
        f"{name} = {shown}: {problem}"
        for name, shown in given.items()
        if (problem := _problem_of_file(layout, shown, account, is_key=name == KEY))
    ]
    if problems:
        raise SiteError(problems, hint=_HINT)
    _check_pair(layout, given, str(site[PUBLIC_HOST]), say)
    _check_trust(layout, given, authorities, str(site[CA]))


def _problem_of_file(layout: Layout, shown: str, account: Owner, *, is_key: bool) -> str:
    """Return why a service cannot use the file; empty if it can."""
    path = layout.place(shown)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return (error.strerror or "unreadable").lower()
    if not stat.S_ISREG(mode):
        return "is not a file"
    if is_key and mode & stat.S_IROTH:
        return "every user of this host can read it: chmod o= and chgrp backendai"
    for folder in _HIDDEN:
        if PurePosixPath(shown).is_relative_to(folder):
            return f"services do not see {folder}: move it, for example to /etc/backend.ai"
    if not _is_readable(path, account):
        return "the account backendai cannot read it, or its folder: chgrp backendai and chmod g+r"
    return ""


def _is_readable(path: Path, account: Owner) -> bool:
    """Whether the account can read the file, with all its groups and by access lists."""
    if account == Owner.caller():
        return os.access(path, os.R_OK)
    test = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={account.gid}", "--init-groups", "--"]
    try:
        return run_program([*test, "test", "-r", os.fspath(path)], seconds=_SECONDS).status == 0
    except NotReadyError:
        return True  # nobody can be asked: the service will say it


def _check_pair(layout: Layout, given: dict[str, str], host: str, say: Say) -> None:
    """Refuse a pair that no client could use, or of another name than the services are called."""
    files = [layout.place(given[name]) for name in (CERTIFICATE, KEY)]
    try:
        found = examine_certificate(files[0], files[1], host)
    except CertificateError as error:
        name = KEY if error.is_of_key else CERTIFICATE
        raise SiteError([f"{name} = {given[name]}: {error}"], hint=_HINT) from error
    except OSError as error:
        problem = f"{CERTIFICATE} = {given[CERTIFICATE]}: {error.strerror}"
        raise SiteError([problem], hint=_HINT) from error
    if not found.fits_host:
        raise SiteError(
            [f"{CERTIFICATE} = {given[CERTIFICATE]}: is not for {host} ({PUBLIC_HOST})"],
            hint=f"set {PUBLIC_HOST} to a name of the certificate that reaches this node: users "
            "and services call it by that name",
        )
    if found.ends_soon:
        say(f"warning: {given[CERTIFICATE]} ({CERTIFICATE}) ends in {found.days_left} days")


def _check_trust(layout: Layout, given: dict[str, str], authorities: str, ca: str) -> None:
    """Refuse a certificate that the services of this cluster would not trust."""
    files = [layout.place(given[name]) for name in (CERTIFICATE, KEY)]
    found = [trusted for trusted in (authorities, system_bundle(layout)) if trusted] or [""]
    reasons: list[str] = []
    for trusted in found:
        try:
            verify_certificate(files[0], files[1], trusted)
        except CertificateError as error:
            reasons.append(str(error))
        else:
            return
    shown = given[CERTIFICATE]
    if ca:
        problem = f"{CA} = {ca}: does not verify {shown} ({CERTIFICATE}), which {reasons[0]}"
        raise SiteError([problem], hint=_HINT)
    problem = f"{CERTIFICATE} = {shown}: {reasons[0]}: the distribution trusts no authority of it"
    hint = f"name the authority: backendai-ctl site set {CA} /etc/backend.ai/ca.pem"
    raise SiteError([problem], hint=hint)
