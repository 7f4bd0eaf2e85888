"""Builds wheels from sdists, by pinned build requirements and without network."""

from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.errors import PayloadError, ToolError
from builder.base.files import hash_file
from builder.base.model import host_arch
from builder.base.run import run
from builder.index.tags import is_pure
from builder.index.uv import uv_environment, uv_path
from builder.lock import LockedDistribution, LockedFile
from builder.wheels.model import WheelFile, WheelRequest


def describe_wheel(
    distribution: LockedDistribution, file: str, sha256: str, path: Path
) -> WheelFile:
    return WheelFile(
        name=distribution.name, version=distribution.version, file=file, sha256=sha256, path=path
    )


@dataclass(frozen=True, kw_only=True)
class SdistBuilder:
    """Builds wheels from sdists, by pinned build requirements and without network."""

    needed: WheelRequest
    paths: dict[str, Path]
    python: Path
    cache: Cache
    epoch: int

    def build(self, distribution: LockedDistribution, sdist: LockedFile) -> WheelFile:
        minor = self.needed.target.minor
        tools = [file.sha256 for _, file in self._tools]
        key = key_of("sdist", sdist.sha256, minor, self.epoch, tools)
        folder = self.cache.derive(
            "sdist", key, lambda folder: self._make(distribution, sdist, folder)
        )
        wheel = next(folder.glob("*.whl"))
        host = host_arch()
        if not is_pure(wheel.name) and self.needed.target.arch is not host:
            raise PayloadError(
                f"{distribution.pin} has no wheel for {self.needed.target.arch} on the index, "
                f"and what is built from its sdist here runs only on {host}",
                hint=f"build the {self.needed.target.arch} packages on such a host",
            )
        return describe_wheel(distribution, wheel.name, hash_file(wheel), wheel)

    @property
    def _tools(self) -> list[tuple[LockedDistribution, LockedFile]]:
        return [
            (distribution, file)
            for distribution in self.needed.build
            for file in distribution.files
        ]

    def _make(self, distribution: LockedDistribution, sdist: LockedFile, folder: Path) -> None:
        log.step(f"building a wheel of {distribution.pin}, which has none on the index")
        with self.cache.workspace() as work:
            # Keep the index's file names: uv reads the version from them.
            (work / sdist.file).hardlink_to(self.paths[sdist.sha256])
            links = work / "links"
            links.mkdir()
            for _, file in self._tools:
                (links / file.file).hardlink_to(self.paths[file.sha256])
            constraints = work / "constraints.txt"
            constraints.write_text(
                "".join(f"{tool.pin} --hash=sha256:{f.sha256}\n" for tool, f in self._tools),
                encoding="utf-8",
            )
            command = [
                # Not quiet: that would hide the build's own output when it fails.
                *[str(uv_path()), "build", "--no-config"],
                *["--wheel", str(work / sdist.file), "--out-dir", str(folder)],
                *["--python", str(self.python), "--no-index", "--find-links", str(links)],
                *["--build-constraints", str(constraints), "--require-hashes"],
            ]
            environment = uv_environment(self.cache) | {"SOURCE_DATE_EPOCH": str(self.epoch)}
            try:
                run(command, env=environment)
            except ToolError as error:
                raise PayloadError(
                    f"cannot build a wheel of {distribution.pin}:\n{error.message}",
                    hint="its build requirements are under [sdist] of the release",
                ) from error
