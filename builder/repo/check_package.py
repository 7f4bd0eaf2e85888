"""Verifies the signature inside each package of a published tree."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Self

from builder.base.errors import ToolError
from builder.inspect.debfile import ar_members
from builder.inspect.streams import DamagedError
from builder.repo.check_index import TreeReader
from builder.repo.check_signature import SignatureCheck
from builder.repo.deb_package import ORIGIN_SIGNATURE, SIGNED_MEMBERS
from builder.repo.gpg import private_home
from builder.repo.rpmsign import RpmKeys, open_rpm_keys


class PackageCheck:
    """Verifies debs by the keys of ``signatures`` and rpms by rpm itself; a context manager."""

    def __init__(self, tree: TreeReader, signatures: SignatureCheck, armored: bytes) -> None:
        self._tree = tree
        self._signatures = signatures
        self._armored = armored
        self._stack = ExitStack()
        self._rpm: RpmKeys | None = None

    def __enter__(self) -> Self:
        home = self._stack.enter_context(private_home())
        self._file = home / "package.rpm"
        keys = home / "keys.asc"
        keys.write_bytes(self._armored)
        try:
            self._rpm = self._stack.enter_context(open_rpm_keys([keys]))
        except ToolError:
            self._rpm = None
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def can_judge_rpm(self) -> bool:
        """Whether rpm is installed."""
        return self._rpm is not None

    def judge(self, path: PurePosixPath) -> Iterator[str]:
        """Yield each problem with the signature of the package at ``path``."""
        data = self._tree.get(path)
        if data is None:
            return  # reported by its index
        if path.suffix == ".deb":
            yield from self._judge_deb(path, data)
        elif self._rpm is not None:
            self._file.write_bytes(data)
            problem = self._rpm.problem(self._file)
            if problem:
                yield f"{path}: rpm says: {problem}"

    def _judge_deb(self, path: PurePosixPath, data: bytes) -> Iterator[str]:
        try:
            members = list(ar_members(io.BytesIO(data), len(data)))
        except DamagedError as error:
            yield f"{path}: {error}"
            return
        content = [data[member.start : member.start + member.size] for member in members]
        if not members or members[-1].name != ORIGIN_SIGNATURE:
            yield f"{path}: is not signed"
            return
        signed = b"".join(content[: len(SIGNED_MEMBERS)])
        yield from self._signatures.judge(path, content[-1], signed, by_all=False)
