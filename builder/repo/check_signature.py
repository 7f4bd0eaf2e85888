"""Reports problems of signatures: every key of the repository must sign, and no other."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from builder.base.errors import ToolError
from builder.repo.gpg import Gpg
from builder.repo.gpg_output import Key


class SignatureCheck:
    """Judges signatures by the public keys that ``gpg`` has in its private home."""

    def __init__(self, gpg: Gpg, keys: Sequence[Key]) -> None:
        assert gpg.home is not None, "scratch files never go into the user's own home"
        self._gpg = gpg
        self._keys = keys
        self._signed = gpg.home / "signed"
        self._plain = gpg.home / "plain"

    def content(self, signed: bytes) -> bytes:
        """Return the content of a clear-signed text; empty if it is not clear-signed."""
        self._signed.write_bytes(signed)
        return self._gpg.content(self._signed, self._plain)

    def judge(
        self,
        path: PurePosixPath,
        signature: bytes,
        data: bytes | None = None,
        *,
        by_all: bool = True,
    ) -> Iterator[str]:
        """Yield each problem with the signatures in ``signature``, which lies at ``path``.

        ``data`` is the content that a detached signature covers; ``by_all`` requires a
        signature by each key.
        """
        self._signed.write_bytes(signature)
        if data is not None:
            self._plain.write_bytes(data)
        try:
            verdicts = self._gpg.verify(self._signed, None if data is None else self._plain)
        except ToolError as error:
            yield f"{path}: gpg cannot verify it: {error.message}"
            return
        if not verdicts:
            yield f"{path}: has no signature that can be read"
            return
        for verdict in verdicts:
            if verdict.problem:
                yield f"{path}: the signature by {verdict.key} {verdict.problem}"
        good = {verdict.key for verdict in verdicts if verdict.problem is None}
        for key in self._keys if by_all else ():
            if key.fingerprint not in good and not any(verdict.problem for verdict in verdicts):
                yield f"{path}: lacks the signature of {key.fingerprint} ({key.user})"
