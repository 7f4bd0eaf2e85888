"""Private authorities, and what they sign, made with OpenSSL's own command."""

from pathlib import Path

from builder.base.run import run

_DAYS = "30"


def make_authority(folder: Path, name: str = "authority") -> Path:
    """The certificate of an authority; its key lies beside it."""
    path = folder / f"{name}.pem"
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", _DAYS, "-subj", f"/CN={name}", "-keyout", str(folder / f"{name}.key"),
        "-out", str(path),
    )  # fmt: skip
    return path


def sign_server(folder: Path, authority: Path) -> Path:
    """A certificate of 127.0.0.1 by ``authority``, and its key, in one file."""
    request, key, signed = (folder / f"server.{part}" for part in ("csr", "key", "crt"))
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", "/CN=server", "-keyout", str(key), "-out", str(request),
    )  # fmt: skip
    extensions = folder / "server.cnf"
    extensions.write_text("subjectAltName = IP:127.0.0.1\n")
    _openssl(
        "x509", "-req", "-in", str(request), "-CA", str(authority),
        "-CAkey", str(authority.with_suffix(".key")), "-CAcreateserial", "-days", _DAYS,
        "-extfile", str(extensions), "-out", str(signed),
    )  # fmt: skip
    both = folder / "server.pem"
    both.write_text(key.read_text() + signed.read_text())
    return both


def _openssl(*words: str) -> None:
    run(["openssl", *words])
