"""A sigstore instance on loopback: Fulcio, Rekor, and the token service of a CI, by plain HTTP."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.helpers.sigstore_authority import Authority, Issuer, Log, der_of, id_of

_SINCE = {"start": "2020-01-01T00:00:00.000Z"}
BEARER = "bearer-of-the-job"


@dataclass
class Instance:
    """The parts of an instance, and what goes wrong with it."""

    url: str = ""
    issuer: Issuer = field(default_factory=Issuer)
    authority: Authority = field(default_factory=Authority)
    log: Log = field(default_factory=Log)
    subject: str = "https://ci.example.org/packages/release.yml@refs/tags/v26.9-1"
    broken: dict[str, tuple[int, str]] = field(default_factory=dict)  # path: what it answers

    def trusted_root(self) -> dict[str, Any]:
        """What a client verifies by."""
        der = self.authority.root.public_bytes(serialization.Encoding.DER)
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._key(self.log.key)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "example.org", "commonName": "sigstore"},
                    "uri": self.url,
                    "certChain": {"certificates": [{"rawBytes": base64.b64encode(der).decode()}]},
                    "validFor": _SINCE,
                }
            ],
            "ctlogs": [self._key(self.authority.ct_key)],
            "timestampAuthorities": [],
        }

    def _key(self, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        return {
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": base64.b64encode(der_of(key)).decode(),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": _SINCE,
            },
            "logId": {"keyId": base64.b64encode(id_of(key)).decode()},
        }

    def trust_config(self) -> dict[str, Any]:
        """What a client signs by."""
        service = {
            "url": self.url,
            "majorApiVersion": 1,
            "validFor": _SINCE,
            "operator": "example.org",
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service],
                "oidcUrls": [service],
                "rekorTlogUrls": [service],
                "rekorTlogConfig": {"selector": "ANY"},
            },
        }

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the trust config and the trusted root; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        config, root = folder / "trust-config.json", folder / "trusted-root.json"
        config.write_text(json.dumps(self.trust_config()))
        root.write_text(json.dumps(self.trusted_root()))
        return config, root


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Instance

    def do_GET(self) -> None:
        """The token service: as GitHub's, with a query already in its address."""
        if self.headers.get("Authorization") != f"bearer {BEARER}" or "audience=" not in self.path:
            self._send(401, {"message": "no"})
        else:
            self._answer({"value": self.state.issuer.token(self.state.subject)}, 200)

    def do_POST(self) -> None:
        """Fulcio and Rekor."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            if self.path == "/api/v2/signingCert":
                self._answer(self._certify(body), 200)
            elif self.path == "/api/v1/log/entries":
                self._answer(self.state.log.add(body), 201)
            else:
                self._send(404, {"code": 404, "message": "nothing here"})
        except ValueError as error:
            self._send(400, {"code": 400, "message": str(error)})

    def _certify(self, body: dict[str, Any]) -> dict[str, Any]:
        claims = self.state.issuer.check(self.headers["Authorization"].removeprefix("Bearer "))
        pem = base64.b64decode(body["certificateSigningRequest"])
        request = x509.load_pem_x509_csr(pem)
        chain = self.state.authority.certify(request, claims["sub"], claims["iss"])
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _answer(self, table: dict[str, Any], status: int) -> None:
        broken = self.state.broken.get(self.path.partition("?")[0])
        if broken is None:
            self._send(status, table)
        else:
            self._send(broken[0], {"code": broken[0], "message": broken[1]})

    def _send(self, status: int, table: dict[str, Any]) -> None:
        data = json.dumps(table).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def sigstore_instance() -> Iterator[Instance]:
    """Serve an instance until the end of the block."""
    state = Instance()
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
