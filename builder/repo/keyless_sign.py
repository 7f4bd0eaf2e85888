"""Signs statements by sigstore: Fulcio certifies a key of minutes, Rekor records the signature."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.base.errors import BuilderError, FetchError, RepoError, UsageError
from builder.base.lazy import LazyModule
from builder.repo.identity_token import IdentityToken
from builder.repo.keyless import first_line, quiet, require_sigstore

if TYPE_CHECKING:
    import requests
    import sigstore.dsse as sigstore_dsse
    import sigstore.errors as sigstore_errors
    import sigstore.models as sigstore_models
    import sigstore.oidc as sigstore_oidc
    import sigstore.sign as sigstore_sign
    from sigstore._internal import rekor
    from sigstore._internal.fulcio import client as fulcio
else:
    requests = LazyModule("requests")
    fulcio = LazyModule("sigstore._internal.fulcio.client")
    rekor = LazyModule("sigstore._internal.rekor")
    sigstore_dsse = LazyModule("sigstore.dsse")
    sigstore_errors = LazyModule("sigstore.errors")
    sigstore_models = LazyModule("sigstore.models")
    sigstore_oidc = LazyModule("sigstore.oidc")
    sigstore_sign = LazyModule("sigstore.sign")

_CONFIG_HINT = "give a client trust config (application/vnd.dev.sigstore.clienttrustconfig.v0.1)"
_AWAY_HINT = "check the network and HTTPS_PROXY, and the addresses in the trust config; then repeat"
_TIMEOUT_S = 60.0
_SHOWN = 300


class KeylessSigner:
    """Signs statements by one identity; see :func:`open_keyless`."""

    def __init__(self, signer: Any) -> None:
        self._signer = signer

    def sign(self, statement: bytes) -> bytes:
        """Return the bundle of an in-toto statement. Raises FetchError or RepoError."""
        with _translated(), quiet():
            bundle = self._signer.sign_dsse(sigstore_dsse.Statement(statement))
            return f"{bundle.to_json()}\n".encode()


@contextmanager
def open_keyless(config: Path | None, token: IdentityToken) -> Iterator[KeylessSigner]:
    """Open a signer with a certificate for the token's identity.

    ``config`` is a client trust config; without it the public instance's is fetched. Raises
    FetchError if a server is away, RepoError if it refuses, UsageError for a wrong config.
    """
    require_sigstore()
    with _translated(), quiet():
        context = _context(config)
        signer = sigstore_sign.Signer(sigstore_oidc.IdentityToken(token.text), context)
    yield KeylessSigner(signer)


def _context(path: Path | None) -> Any:
    config = _load(path) if path else sigstore_models.ClientTrustConfig.production()
    services = config.signing_config
    authority, log = services.get_fulcio(), services.get_tlogs()[0]
    stamps = services.get_tsas()
    # sigstore waits for an answer without an end, and reads CA bundles from requests' variables.
    sessions = [authority.session, *(client._session for client in (log, *stamps))]  # noqa: SLF001
    for session in sessions:
        for scheme in ("http://", "https://"):
            session.mount(scheme, _bounded())
        session.verify = os.environ.get("SSL_CERT_FILE") or session.verify
    return sigstore_sign.SigningContext(
        fulcio=authority, rekor=log, trusted_root=config.trusted_root, tsa_clients=stamps
    )


def _load(path: Path) -> Any:
    try:
        return sigstore_models.ClientTrustConfig.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=_CONFIG_HINT) from error
    except (ValueError, sigstore_errors.Error) as error:
        raise UsageError(f"{path}: is no trust config of sigstore", hint=_CONFIG_HINT) from error


def _bounded() -> Any:
    """Return an adapter of requests that waits no longer than a minute for an answer."""
    adapter = requests.adapters.HTTPAdapter()
    send = adapter.send

    def bounded(*words: Any, **options: Any) -> Any:
        return send(*words, **{**options, "timeout": options.get("timeout") or _TIMEOUT_S})

    adapter.send = bounded
    return adapter


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what sigstore raises into this project's errors, each of one line."""
    try:
        yield
    except BuilderError:
        raise
    except (requests.ConnectionError, requests.Timeout) as error:
        place = getattr(getattr(error, "request", None), "url", None) or "a server of sigstore"
        raise FetchError(f"cannot reach {place}: no answer", hint=_AWAY_HINT) from error
    except sigstore_errors.TUFError as error:
        raise FetchError(
            "cannot fetch the trust config of sigstore's public instance",
            hint="with an instance of your own name its trust config by --trust-config",
        ) from error
    except (fulcio.FulcioClientError, rekor.RekorClientError) as error:
        name = "Fulcio" if isinstance(error, fulcio.FulcioClientError) else "Rekor"
        raise RepoError(f"sigstore's {name} refuses: {_answer(error)}") from error
    except (fulcio.ExpiredCertificate, sigstore_oidc.ExpiredIdentity) as error:
        raise UsageError(
            "the certificate or the identity token of this run has expired meanwhile",
            hint="run it again with a new token, for fewer files",
        ) from error
    except (sigstore_errors.Error, ValueError) as error:
        raise RepoError(f"sigstore cannot sign: {first_line(error)[:_SHOWN]}") from error


def _answer(error: Exception) -> str:
    """Return what the server said, as far as it is known."""
    response = getattr(error.__cause__ or error.__context__, "response", None)
    if response is None:
        return str(error) or type(error).__name__
    try:
        text = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        text = response.text
    line = " ".join(str(text).split())
    return f"status {response.status_code}: {line[:_SHOWN]}"
