"""Builds wheels from sdists, by pinned build requirements and without network.

A wheel is built twice, under different circumstances, and normalised: it is the same
wherever it was built, or it is refused.
"""

from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.errors import PayloadError, ToolError
from builder.base.files import hash_file
from builder.base.model import host_arch
from builder.base.run import Command, run
from builder.base.words import name_some
from builder.index.tags import is_pure
from builder.index.uv import uv_environment, uv_path
from builder.lock import LockedDistribution, LockedFile
from builder.wheels.model import WheelFile, WheelRequest
from builder.wheels.normal import differing_files, normalise_wheel

_FORMAT = 2  # of the wheels made; raise it when this module makes different ones
_SHOWN = 5


def describe_wheel(
    distribution: LockedDistribution, file: str, sha256: str, path: Path
) -> WheelFile:
    return WheelFile(
        name=distribution.name, version=distribution.version, file=file, sha256=sha256, path=path
    )


@dataclass(frozen=True, kw_only=True)
class _Circumstances:
    """What a wheel must not depend on; the folders of a build always differ."""

    umask: int
    zone: str
    seed: int  # of Python's hashes, by which sets are ordered
    locale: str = "C.UTF-8"

    def environment(self, home: Path) -> dict[str, str]:
        return {
            "HOME": str(home),
            "USER": home.name,
            "LOGNAME": home.name,
            "TZ": self.zone,
            "LC_ALL": self.locale,
            "LANG": self.locale,
            "PYTHONHASHSEED": str(self.seed),
        }


_USUAL = _Circumstances(umask=0o022, zone="UTC", seed=0)
_UNUSUAL = _Circumstances(umask=0o077, zone="Asia/Seoul", seed=1, locale="C")


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
        key = key_of("sdist", _FORMAT, sdist.sha256, minor, self.epoch, tools)
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
        with self.cache.workspace() as first, self.cache.workspace() as second:
            wheel = self._build(distribution, sdist, first, _USUAL)
            other = self._build(distribution, sdist, second, _UNUSUAL)
            differing = differing_files(wheel, other)
            if differing or wheel.name != other.name:
                raise PayloadError(
                    f"{distribution.pin}: its sdist builds differently each time: "
                    f"{name_some(differing or [wheel.name, other.name], _SHOWN)}",
                    hint="the build reads the clock, the user, the locale or the order of a "
                    "set: take a version that has a wheel, or report it to its makers",
                )
            wheel.replace(folder / wheel.name)

    def _build(
        self,
        distribution: LockedDistribution,
        sdist: LockedFile,
        work: Path,
        circumstances: _Circumstances,
    ) -> Path:
        """Return the normalised wheel, built in ``work``."""
        # Keep the index's file names: uv reads the version from them.
        (work / sdist.file).hardlink_to(self.paths[sdist.sha256])
        home, made, settled = (work / name for name in ("builder", "made", "settled"))
        for path in (home, settled):
            path.mkdir()
        command = Command(
            words=self._command(work, sdist, made),
            env={
                **uv_environment(self.cache),
                **circumstances.environment(home),
                "SOURCE_DATE_EPOCH": str(self.epoch),
            },
            umask=circumstances.umask,
        )
        try:
            run(command)
        except ToolError as error:
            raise PayloadError(
                f"cannot build a wheel of {distribution.pin}:\n{error.message}",
                hint="its build requirements are under [sdist] of the release",
            ) from error
        wheel = next(made.glob("*.whl"))
        normalise_wheel(wheel, settled / wheel.name, epoch=self.epoch)
        return settled / wheel.name

    def _command(self, work: Path, sdist: LockedFile, made: Path) -> list[str]:
        links = work / "links"
        links.mkdir()
        for _, file in self._tools:
            (links / file.file).hardlink_to(self.paths[file.sha256])
        constraints = work / "constraints.txt"
        constraints.write_text(
            "".join(f"{tool.pin} --hash=sha256:{f.sha256}\n" for tool, f in self._tools),
            encoding="utf-8",
        )
        return [
            # Not quiet: that would hide the build's own output when it fails.
            *[str(uv_path()), "build", "--no-config"],
            *["--wheel", str(work / sdist.file), "--out-dir", str(made)],
            *["--python", str(self.python), "--no-index", "--find-links", str(links)],
            *["--build-constraints", str(constraints), "--require-hashes"],
        ]
