"""Lets TLS find this host's CA certificates; Python runs it at every start.

OpenSSL looks where its builder kept certificates, and distributions differ. Nothing
happens where the environment names a bundle already or OpenSSL's own place has one.
"""

import os  # and no pathlib, which would double the time of a start

# Where this tree's OpenSSL looks: prepare.py puts the real ones here.
_CAFILE = "/etc/ssl/cert.pem"
_CAPATH = "/etc/ssl/certs"

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Red Hat's family
    "/etc/pki/tls/cert.pem",  # Red Hat's family, where the one above is not made
    "/etc/ssl/ca-bundle.pem",  # SUSE
)


def _default_works() -> bool:
    """Whether OpenSSL finds certificates by itself; a folder counts if it is hashed."""
    if os.path.isfile(_CAFILE):  # noqa: PTH113
        return True
    try:
        with os.scandir(_CAPATH) as entries:
            return any(entry.name.endswith(".0") for entry in entries)
    except OSError:
        return False


def _trust() -> None:
    if "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ or _default_works():
        return
    for bundle in _BUNDLES:
        if os.path.isfile(bundle):  # noqa: PTH113
            os.environ["SSL_CERT_FILE"] = bundle
            return


_trust()
