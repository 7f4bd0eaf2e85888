"""Makes small real wheels: a zip with METADATA, WHEEL, RECORD and what else is asked for."""

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.base.cache import Cache
from builder.base.files import hash_file
from builder.wheels.model import WheelFile


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a wheel is made from; ``scripts`` are console scripts, name to entry point."""

    name: str
    version: str = "1.0"
    files: Mapping[str, bytes] | None = None
    tag: str = "py3-none-any"
    requires: Sequence[str] = ()
    requires_python: str = ">=3.8"
    scripts: Mapping[str, str] | None = None
    executable: Sequence[str] = ()

    @property
    def stem(self) -> str:
        """The name as files spell it."""
        return self.name.replace("-", "_").replace(".", "_")

    def write(self, folder: Path) -> Path:
        """Write the wheel into ``folder``."""
        content = self._content()
        path = folder / f"{self.stem}-{self.version}-{self.tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in content.items():
                entry = zipfile.ZipInfo(member)
                mode = 0o100755 if member in self.executable else 0o100644
                entry.external_attr = mode << 16
                archive.writestr(entry, data)
        return path

    def cached(self, cache: Cache) -> WheelFile:
        """Make the wheel and take it into the cache, as a build has it."""
        with cache.workspace() as work:
            path = self.write(work)
            sha256 = hash_file(path)
            return WheelFile(
                name=self.name,
                version=self.version,
                file=path.name,
                sha256=sha256,
                path=cache.add_blob(path, sha256),
            )

    def _content(self) -> dict[str, bytes]:
        default = {f"{self.stem}.py": f"VERSION = {self.version!r}\n".encode()}
        content = dict(default if self.files is None else self.files)
        info = f"{self.stem}-{self.version}.dist-info"
        metadata = [
            "Metadata-Version: 2.1",
            f"Name: {self.name}",
            f"Version: {self.version}",
            f"Requires-Python: {self.requires_python}",
            *(f"Requires-Dist: {requirement}" for requirement in self.requires),
        ]
        content[f"{info}/METADATA"] = ("\n".join(metadata) + "\n").encode()
        pure = "true" if self.tag.endswith("-any") else "false"
        wheel = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {pure}\nTag: {self.tag}\n"
        content[f"{info}/WHEEL"] = wheel.encode()
        if self.scripts:
            lines = [f"{key} = {value}" for key, value in self.scripts.items()]
            points = "\n".join(["[console_scripts]", *lines, ""])
            content[f"{info}/entry_points.txt"] = points.encode()
        content[f"{info}/RECORD"] = _record(content, f"{info}/RECORD")
        return content


def _record(content: Mapping[str, bytes], own: str) -> bytes:
    text = io.StringIO()
    rows = [[name, record_hash(data), str(len(data))] for name, data in content.items()]
    csv.writer(text, lineterminator="\n").writerows([*rows, [own, "", ""]])
    return text.getvalue().encode()


def record_hash(data: bytes) -> str:
    """A hash as RECORD spells it."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"
