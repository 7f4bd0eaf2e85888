"""Verifies bundles of sigstore, by a root of trust in a file and without a network.

A bundle has a signature, the certificate for the key that made it, which names an OIDC identity and
is valid for minutes, and the entry of a public log that proves when that was. The distribution
``sigstore`` is an extra of this project: it is imported only here and where bundles are made.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.base.errors import ToolError, UsageError, VerifyError
from builder.base.lazy import LazyModule
from builder.base.parse import TextError, parse_json_object

if TYPE_CHECKING:
    import sigstore.errors as sigstore_errors
    import sigstore.models as sigstore_models
    import sigstore.verify as sigstore_verify
    from cryptography import x509
else:
    sigstore_errors = LazyModule("sigstore.errors")
    sigstore_models = LazyModule("sigstore.models")
    sigstore_verify = LazyModule("sigstore.verify")
    x509 = LazyModule("cryptography.x509")

BUNDLE_SUFFIX = ".sigstore.json"  # beside the package
TRUST_CONFIG_VARIABLE = "BUILDER_SIGSTORE_TRUST_CONFIG"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_ISSUER = "1.3.6.1.4.1.57264.1.1"  # of Fulcio's extensions: the issuer as plain text
_ANY_REST = "*"
_ROOT_HINT = (
    "give a trusted root (application/vnd.dev.sigstore.trustedroot), or a client trust config, "
    "which has one"
)


@dataclass(frozen=True, kw_only=True)
class Signatory:
    """Who signed a bundle: an identity, and the issuer that vouches for it."""

    identity: str
    issuer: str

    def __str__(self) -> str:
        return f"{self.identity} (by {self.issuer})"


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Which bundles are good: whose, and by which root of trust.

    A ``*`` at the end of an identity stands for any rest, as of a tag. Without a ``root`` it is
    the public instance's, as the distribution brings it.
    """

    identities: tuple[str, ...]
    issuer: str
    root: Path | None = None
    loaded: Any = field(default=None, repr=False)  # a verifier, for many bundles

    def accepts(self, signatory: Signatory) -> bool:
        """Return whether one may have signed."""
        return signatory.issuer == self.issuer and any(
            signatory.identity.startswith(name.removesuffix(_ANY_REST))
            if name.endswith(_ANY_REST)
            else signatory.identity == name
            for name in self.identities
        )


def require_sigstore() -> None:
    """Raise ToolError if the distribution is not installed, which is an extra of this project."""
    if find_spec("sigstore") is None:
        raise ToolError(
            "the Python distribution sigstore is not installed: it is an extra of this project",
            hint="run: make setup-sigstore",
        )


def first_line(error: Exception) -> str:
    """Return what an error of sigstore says, on one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep sigstore's warnings to itself: what matters is raised."""
    logger = logging.getLogger("sigstore")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def load_verifier(root: Path | None) -> Any:
    """Return a verifier by the root of trust in a file, or by the public instance's.

    Raises UsageError if the file cannot be used, ToolError if sigstore is not installed.
    """
    require_sigstore()
    with quiet():
        if root is None:
            config = sigstore_models.ClientTrustConfig.production(offline=True)
            return sigstore_verify.Verifier(trusted_root=config.trusted_root)
        try:
            table = parse_json_object(root.read_bytes())
            if "trustedRoot" in table:
                config = sigstore_models.ClientTrustConfig.from_json(root.read_text())
                trusted = config.trusted_root
            else:
                trusted = sigstore_models.TrustedRoot.from_file(str(root))
            return sigstore_verify.Verifier(trusted_root=trusted)
        except OSError as error:
            raise UsageError(f"cannot read {root}: {error.strerror}", hint=_ROOT_HINT) from error
        except (TextError, ValueError, sigstore_errors.Error) as error:
            raise UsageError(f"{root}: is no root of trust of sigstore", hint=_ROOT_HINT) from error


def verify_bundle(data: bytes, label: str, trust: Trust) -> tuple[bytes, Signatory]:
    """Verify a bundle, offline; return the statement in it and who signed it.

    Raises VerifyError, or what :func:`load_verifier` raises.
    """
    verifier = trust.loaded or load_verifier(trust.root)
    policy = _Policy()
    with quiet():
        try:
            bundle = sigstore_models.Bundle.from_json(data)
            kind, payload = verifier.verify_dsse(bundle, policy)
        # What is malformed deep inside of a bundle is a ValueError of whatever reads it.
        except (sigstore_errors.Error, ValueError, x509.ExtensionNotFound) as error:
            raise VerifyError(f"{label}: the bundle is not good: {first_line(error)}") from error
    signatory = policy.found[0]
    if not trust.accepts(signatory):
        wanted = " or ".join(trust.identities)
        raise VerifyError(f"{label}: is signed by {signatory}, not by {wanted} (by {trust.issuer})")
    if kind != PAYLOAD_TYPE:
        raise VerifyError(f"{label}: its payload is no in-toto statement")
    return payload, signatory


class _Policy:
    """Keeps who a certificate names; :meth:`Trust.accepts` decides."""

    def __init__(self) -> None:
        self.found: list[Signatory] = []

    def verify(self, certificate: Any) -> None:
        """Read the identity; sigstore calls this after it has verified the certificate's chain."""
        extensions = certificate.extensions
        issuer = extensions.get_extension_for_oid(x509.ObjectIdentifier(_ISSUER)).value.value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        kinds = (x509.RFC822Name, x509.UniformResourceIdentifier)
        values: Sequence[str] = [name for kind in kinds for name in names.get_values_for_type(kind)]
        if len(values) != 1:
            raise VerifyError(f"the certificate in the bundle names {len(values)} identities")
        self.found.append(Signatory(identity=values[0], issuer=issuer.decode("utf-8", "replace")))
