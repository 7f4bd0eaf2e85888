"""The authorities by which this host's services and commands verify certificates.

The run script of each service adds the kept ones to those of the distribution, anew at each
start. What cannot write a file of its own, such as a user's command, reads a joint file.
"""

import os
from pathlib import Path

from backendai_ctl.base.account import Owner
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import decode

# The trusted CAs of each distribution; the run script has the same list.
_BUNDLES = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/cert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/ca-bundle.pem",
)


def site_authorities(layout: Layout) -> Path:
    """Return the file with the authorities that [tls] of site.toml names, for run scripts."""
    return layout.trust / "site.pem"


def joint_bundle(layout: Layout) -> Path:
    """Return the file with the same and those of the distribution, for run scripts."""
    return layout.trust / "site-bundle.pem"


def system_bundle(layout: Layout) -> Path | None:
    """Return the file of the host's trusted CAs; the bundled OpenSSL looks for it elsewhere."""
    named = os.environ.get("SSL_CERT_FILE")
    paths = [Path(named)] if named else [layout.root / path for path in _BUNDLES]
    return next((path for path in paths if path.exists()), None)


def system_authorities(layout: Layout) -> str:
    """Return the text of that file, its comments included; empty if there is none."""
    system = system_bundle(layout)
    # In whatever encoding the comments are.
    return (decode(system.read_bytes()) + "\n") if system else ""


def keep_site_authorities(layout: Layout, pem: str) -> None:
    """Save the authorities of [tls], and the joint file; remove both if there are none."""
    # The joint file first: run scripts read it where the other exists.
    keep_authorities(joint_bundle(layout), system_authorities(layout) + pem if pem else "")
    keep_authorities(site_authorities(layout), pem)


def keep_authorities(path: Path, text: str) -> None:
    """Save ``text`` as ``path``, which everybody can read; remove ``path`` if it is empty."""
    if not text:
        path.unlink(missing_ok=True)
        return
    if not path.exists() or decode(path.read_bytes()) != text:
        writer = certificate_writer()
        writer.ensure_folder(path.parent, mode=0o755)
        writer.replace(path, text)


def certificate_writer() -> Writer:
    """Return the writer for certificates, which everybody can read."""
    return Writer(owner=Owner.caller(), mode=0o644)
