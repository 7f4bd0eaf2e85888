"""The certificate that site.toml names: checked before any service is configured with it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from backendai_ctl.answers.kinds import is_loopback
from backendai_ctl.answers.site import Site
from backendai_ctl.base.account import ACCOUNT, Owner
from backendai_ctl.base.certificates import CertificateError, examine_certificate
from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import run_program

CERTIFICATE = "tls.certificate"
KEY = "tls.key"
_PUBLIC_HOST = "node.public-host"
_CLIENT_URL = "storage-proxy.client-url"
_SECONDS = 10.0
# The units have folders of their own in the place of these.
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
_HINT = "correct site.toml or the file, then run this again; [tls] without answers means plain HTTP"

Say = Callable[[str], None]


def check_tls_answers(layout: Layout, site: Site, account: Owner, say: Say) -> None:
    """Raise SiteError unless services can show the certificate that is named, if one is."""
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
    _check_pair(layout, given, str(site[_PUBLIC_HOST]), say)
    url = urlsplit(str(site[_CLIENT_URL]))
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        say(
            f"warning: {_CLIENT_URL} = {site[_CLIENT_URL]}: browsers refuse to transfer files "
            "there from a page that came by TLS: see the guide"
        )


def _problem_of_file(layout: Layout, shown: str, account: Owner, *, is_key: bool) -> str:
    """Return why a service cannot use the file; empty if it can."""
    path = _real(layout, shown)
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
    is_named = not is_loopback(host)
    files = [_real(layout, given[name]) for name in (CERTIFICATE, KEY)]
    try:
        found = examine_certificate(files[0], files[1], host if is_named else "")
    except CertificateError as error:
        name = KEY if error.is_of_key else CERTIFICATE
        raise SiteError([f"{name} = {given[name]}: {error}"], hint=_HINT) from error
    except OSError as error:
        problem = f"{CERTIFICATE} = {given[CERTIFICATE]}: {error.strerror}"
        raise SiteError([problem], hint=_HINT) from error
    if not found.fits_host:
        say(
            f"warning: {given[CERTIFICATE]} ({CERTIFICATE}) is not for {host} ({_PUBLIC_HOST}): "
            "browsers warn of it where they use that name"
        )
    if found.ends_soon:
        say(f"warning: {given[CERTIFICATE]} ({CERTIFICATE}) ends in {found.days_left} days")


def _real(layout: Layout, shown: str) -> Path:
    return layout.root / shown.lstrip("/")
