"""Writes several files, all of them or none."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from builder.base.storage import replacing, storage_guard


def write_together(texts: Mapping[Path, str]) -> list[Path]:
    """Write every file by rename, and return the paths.

    Each is written beside its place first, so that a full disk changes none. If a rename
    fails or is interrupted, the files that were replaced get their content back. Only a kill
    between two renames leaves some of them: in the order of ``texts``.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in texts}
    placed: list[Path] = []
    with ExitStack() as parts:
        try:
            for path, text in texts.items():
                part = path.with_name(f".{path.name}.new")
                parts.callback(part.unlink, missing_ok=True)
                with replacing(part) as file:
                    file.write_text(text, encoding="utf-8")
            for path in texts:
                placed.append(path)
                with storage_guard(path):
                    path.with_name(f".{path.name}.new").replace(path)
        except BaseException:
            for path in placed:
                _restore(path, before[path])
            raise
    return list(texts)


def _restore(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as part:
        part.write_bytes(content)
