"""Reports which hosts refuse a signing key, before they do."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from builder.repo.gpg import Gpg, private_home
from builder.repo.gpg_output import Key
from builder.repo.sign import EXPIRY_WARNING

_EVERY = "every host"
# OpenPGP's numbers. rpm reads EdDSA from 4.16 on, and el8 has 4.14.
_EDDSA = {"22", "27"}
_WEAK_DIGESTS = {"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160"}
_KEY = re.compile(r"^:public (?:sub )?key packet:\n\tversion \d+, algo (\d+)", re.MULTILINE)
_SIGNATURE = re.compile(
    r"^:signature packet: algo \d+, keyid (\w+)\n.*sigclass 0x(1[0-3]|18|1f)\n"
    r"\tdigest algo (\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class KeyFinding:
    """A fault of a key, and the hosts that refuse it."""

    key: str
    user: str
    hosts: str
    problem: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{self.key} ({self.user}): {self.problem}; {self.hosts}"


def lint_keys(armored: str, now: datetime) -> tuple[list[Key], list[KeyFinding]]:
    """Return the public keys in ``armored``, and the findings on them."""
    with private_home() as home:
        gpg = Gpg(home)
        gpg.import_keys(armored)
        keys = gpg.list_keys()
        findings: list[KeyFinding] = []
        for key in keys:
            findings += _of_key(key, now)
            exported = home / "exported"
            gpg.export([key.fingerprint], exported, armor=False)
            findings += _of_packets(key, _packets(gpg, exported))
        return keys, findings


def _packets(gpg: Gpg, path: Path) -> str:
    return gpg.call(["--list-packets", path])


def _of_key(key: Key, now: datetime) -> Iterator[KeyFinding]:
    def finding(problem: str, *, is_error: bool = True, hosts: str = _EVERY) -> KeyFinding:
        return KeyFinding(
            key=key.fingerprint, user=key.user, hosts=hosts, problem=problem, is_error=is_error
        )

    if key.revoked:
        yield finding("it is revoked")
    if key.problem:
        yield finding(key.problem)
    if key.expires is not None and key.expires <= now:
        yield finding(f"it expired on {key.expires:%Y-%m-%d}")
    elif key.expires is not None and key.expires - now < EXPIRY_WARNING:
        yield finding(f"it expires on {key.expires:%Y-%m-%d}", is_error=False)


def _of_packets(key: Key, packets: str) -> Iterator[KeyFinding]:
    """Yield the faults that only the packets of a key show. Pure."""
    own = {fingerprint[-16:] for fingerprint in (key.fingerprint, *key.subkeys)}
    digests = {digest for name, _, digest in _SIGNATURE.findall(packets) if name in own}
    for digest in sorted(digests & _WEAK_DIGESTS.keys()):
        yield KeyFinding(
            key=key.fingerprint,
            user=key.user,
            hosts="el9, el10 and Debian 13 refuse it: renew it by 'gpg --cert-digest-algo SHA512 "
            f"--quick-set-expire {key.fingerprint} 2y'",
            problem=f"its own signature uses {_WEAK_DIGESTS[digest]}",
        )
    if set(_KEY.findall(packets)) & _EDDSA:
        yield KeyFinding(
            key=key.fingerprint,
            user=key.user,
            hosts="rpm of el8 reads no such signature: for el8 add an RSA key",
            problem="it is an EdDSA key",
            is_error=False,
        )
