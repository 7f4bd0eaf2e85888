"""Signatures inside rpm packages: made by rpmsign, verified by rpmkeys.

An rpm has room for one signature of its header, which names the payload's hash; with two
keys in rotation the first one signs, and hosts trust both.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.base.errors import RepoError, ToolError
from builder.base.run import find_tool, run
from builder.repo.sign import Signer

_HINT = "run: apt-get install rpm, or dnf install rpm-sign"
# Never prompt on an unattended terminal: the agent has the passphrase, or signing fails.
_GPG_OPTIONS = "--batch --no-tty --pinentry-mode error"
_DIGEST = "sha512"


def sign_rpm(path: Path, signer: Signer) -> None:
    """Sign the rpm at ``path`` in place, by rename, and replace any signature it has.

    Raises RepoError if gpg or rpmsign refuses.
    """
    rpmsign = find_tool("rpmsign", variable="BUILDER_RPMSIGN", hint=_HINT)
    gpg = find_tool("gpg", variable="BUILDER_GPG", hint="run: apt-get install gpg")
    signer.unlock()
    macros = {
        "__gpg": str(gpg),
        "_gpg_name": signer.users[0],
        "_gpg_digest_algo": _DIGEST,
        "_gpg_sign_cmd_extra_args": _GPG_OPTIONS,
        **({"_gpg_path": str(signer.home)} if signer.home else {}),
    }
    environment = {"GNUPGHOME": str(signer.home)} if signer.home else {}
    command = [str(rpmsign), *_defines(macros), "--resign", str(path)]
    try:
        run(command, env=environment)
    except ToolError as error:
        raise RepoError(
            f"{path}: rpmsign could not sign it:\n{error.message}",
            hint="try it by hand: rpmsign --define '_gpg_name FINGERPRINT' --addsign FILE",
        ) from error


class RpmKeys:
    """rpm's own verification with a separate keyring; see :func:`open_rpm_keys`."""

    def __init__(self, program: Path, database: Path) -> None:
        self._command = [str(program), *_defines({"_dbpath": str(database)})]

    def add(self, armored: Path) -> None:
        """Trust the public keys in a file."""
        try:
            run([*self._command, "--import", armored])
        except ToolError as error:
            raise RepoError(
                f"{armored}: rpm cannot import a key from it:\n{error.message}",
                hint="it is to be what 'gpg --export --armor FINGERPRINT' wrote",
            ) from error

    def problem(self, path: Path) -> str | None:
        """Return rpm's reason to refuse the package at ``path``, or None if it is well signed."""
        demand = _defines({"_pkgverify_level": "all"})
        result = run([*self._command, *demand, "--checksig", "--verbose", path], check=False)
        if result.status == 0:
            return None
        lines = [line.strip() for line in result.stdout.splitlines()[1:]]
        bad = [line for line in lines if line and not line.endswith((": OK", ": NOTFOUND"))]
        return "; ".join(bad) or result.stderr.strip() or "it is not signed"


@contextmanager
def open_rpm_keys(armored: Sequence[Path]) -> Iterator[RpmKeys]:
    """Yield rpm with these public keys and no others."""
    program = find_tool("rpmkeys", variable="BUILDER_RPMKEYS", hint=_HINT)
    with tempfile.TemporaryDirectory(prefix="builder-rpm-") as folder:
        keys = RpmKeys(program, Path(folder))
        for path in armored:
            keys.add(path)
        yield keys


def _defines(macros: dict[str, str]) -> list[str]:
    return [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
