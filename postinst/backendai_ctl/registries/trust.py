"""The authorities that verify a registry's certificate, for the manager and Docker on this host.

The manager verifies with the file in SSL_CERT_FILE; its run script adds the certificates
kept here to those of the distribution. Docker has a folder for each registry,
/etc/docker/certs.d/HOST[:PORT], and reads it anew for every pull.
"""

import contextlib
import os
import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import HostError, NotReadyError, SiteError, TargetError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import decode
from backendai_ctl.registries.model import Registry
from backendai_ctl.stores.readiness import check_docker

Say = Callable[[str], None]
_CERTIFICATE = re.compile(
    "-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)
_NEXT = ".next"
# The trusted CAs of each distribution; the run script has the same list.
_BUNDLES = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/cert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/ca-bundle.pem",
)


def read_ca(layout: Layout, registry: Registry) -> str:
    """Return the certificates of the registry's authority, and nothing else of the file.

    Returns an empty text if none is named; SiteError if the file is not suitable.
    """
    if not registry.ca:
        return ""
    shown = f"{registry.section}.ca = {registry.ca}"
    try:
        text = (layout.root / registry.ca.lstrip("/")).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SiteError([f"{shown}: is no PEM file"]) from error
    except OSError as error:
        raise SiteError([f"{shown}: {(error.strerror or 'unreadable').lower()}"]) from error
    found = _CERTIFICATE.findall(text)
    if not found:
        raise SiteError([f"{shown}: holds no certificate in PEM"])
    pem = "\n".join(found) + "\n"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise SiteError([f"{shown}: holds a broken certificate: {_words(error)}"]) from error
    return pem


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error).replace("_", " ").lower()


def kept_authorities(layout: Layout) -> Path:
    """Return the file with all registries' authorities, for the manager's run script."""
    return layout.trust / "registries.pem"


def system_bundle(layout: Layout) -> Path | None:
    """Return the file of the host's trusted CAs; the bundled OpenSSL looks for it elsewhere."""
    named = os.environ.get("SSL_CERT_FILE")
    paths = [Path(named)] if named else [layout.root / path for path in _BUNDLES]
    return next((path for path in paths if path.exists()), None)


def trusted_bundle(layout: Layout) -> Path | None:
    """Write the file with which the manager's commands verify, as its run script does.

    Returns None if the host has no such file and no registry has an authority of its own.
    """
    kept = kept_authorities(layout)
    if not kept.exists():
        return system_bundle(layout)
    system = system_bundle(layout)
    # With the comments of the bundle unchanged, in whatever encoding.
    text = (decode(system.read_bytes()) + "\n") if system else ""
    path = kept.with_name("bundle.pem")
    _writer().replace(path, text + kept.read_text(encoding="utf-8"))
    return path


def sync_trust(layout: Layout, registries: Sequence[Registry], say: Say) -> None:
    """Save the authorities of all registries, and copy them to Docker if it is installed.

    A file that is not suitable is left out: nothing else of an installation needs it.
    """
    authorities: dict[str, str] = {}
    for registry in registries:
        with contextlib.suppress(SiteError):
            pem = read_ca(layout, registry)
            if pem and pem not in authorities.get(registry.name, ""):
                authorities[registry.name] = authorities.get(registry.name, "") + pem
    _keep(kept_authorities(layout), "".join(authorities.values()))
    with contextlib.suppress(NotReadyError):
        check_docker(layout)
        sync_docker(layout, authorities, say)


def _keep(path: Path, text: str) -> None:
    if not text:
        path.unlink(missing_ok=True)
        return
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        _writer().ensure_folder(path.parent, mode=0o755)
        _writer().replace(path, text)


def docker_authority(layout: Layout, name: str) -> Path:
    """Return the file in which Docker expects the authority of a registry."""
    return layout.docker / "certs.d" / name / "ca.crt"


def sync_docker(layout: Layout, authorities: dict[str, str], say: Say) -> None:
    """Copy each authority to Docker, and remove those that nobody names any more.

    A copy of each file is kept: a file that differs from its copy is an admin's, and stays.
    """
    records = layout.trust / "docker"
    for name, pem in authorities.items():
        try:
            _give(docker_authority(layout, name), records / name, pem, say)
        except (TargetError, OSError) as error:
            say(f"warning: Docker does not get the authority of {name}: {error}")
    for record in sorted(records.glob("*")):
        name = record.name.removesuffix(_NEXT)
        if name not in authorities:
            path = docker_authority(layout, name)
            if _is_ours(path, records / name):
                path.unlink()
                with contextlib.suppress(OSError):  # an admin's own files are in the folder, too
                    path.parent.rmdir()
                say(f"removed {path}: no registry of site.toml needs it")
            record.unlink()


def _give(path: Path, record: Path, pem: str, say: Say) -> None:
    known = _content(path)
    if known is not None and not _is_ours(path, record):
        if known != pem:
            say(f"warning: kept {path}, which is not what site.toml names")
        return
    if known == pem and _content(record) == pem:
        return
    writer = _writer()
    for folder in (path.parent, record.parent):
        writer.ensure_folder(folder, mode=0o755)
    # If killed between any two of these, the file still counts as this tool's.
    following = record.with_name(record.name + _NEXT)
    writer.replace(following, pem)
    writer.replace(path, pem)
    following.rename(record)
    say(f"made {path}")


def _is_ours(path: Path, record: Path) -> bool:
    found = _content(path)
    records = (record, record.with_name(record.name + _NEXT))
    return found is not None and found in [_content(record) for record in records]


def _content(path: Path) -> str | None:
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


def _writer() -> Writer:
    """Return the writer for certificates, which everybody can read."""
    return Writer(owner=Owner.caller(), mode=0o644)
