"""The authorities that verify a registry's certificate, for the manager and Docker on this host.

The manager verifies with the file in SSL_CERT_FILE; its run script adds the certificates
kept here to those of the distribution. Docker has a folder for each registry,
/etc/docker/certs.d/HOST[:PORT], and reads it anew for every pull.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from backendai_ctl.base.certificates import CertificateError, read_authorities
from backendai_ctl.base.errors import HostError, NotReadyError, SiteError, TargetError
from backendai_ctl.base.files import exclusive
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import decode
from backendai_ctl.registries.model import Registry
from backendai_ctl.services.authorities import (
    certificate_writer,
    keep_authorities,
    site_authorities,
    system_authorities,
    system_bundle,
)
from backendai_ctl.stores.readiness import check_docker

Say = Callable[[str], None]
_NEXT = ".next"


def read_ca(layout: Layout, registry: Registry) -> str:
    """Return the certificates of the registry's authority, and nothing else of the file.

    Returns an empty text if none is named; SiteError if the file is not suitable.
    """
    if not registry.ca:
        return ""
    try:
        return read_authorities(layout.place(registry.ca))
    except CertificateError as error:
        raise SiteError([f"{registry.section}.ca = {registry.ca}: {error}"]) from error


def kept_authorities(layout: Layout) -> Path:
    """Return the file with all registries' authorities, for the manager's run script."""
    return layout.trust / "registries.pem"


def trusted_bundle(layout: Layout) -> Path | None:
    """Write the file with which the manager's commands verify, as its run script does.

    Returns None if the host has no such file, and site.toml names no authority.
    """
    kept = [path for path in (site_authorities(layout), kept_authorities(layout)) if path.exists()]
    if not kept:
        return system_bundle(layout)
    path = layout.trust / "bundle.pem"
    text = system_authorities(layout) + "".join(map(_text, kept))
    certificate_writer().replace(path, text)
    return path


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


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
    if not authorities and not layout.trust.is_dir():
        return
    certificate_writer().ensure_folder(layout.trust, mode=0o755)
    with exclusive(layout.trust):
        keep_authorities(kept_authorities(layout), "".join(authorities.values()))
        with contextlib.suppress(NotReadyError):
            check_docker(layout)
            sync_docker(layout, authorities, say)


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
    writer = certificate_writer()
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
