"""A host of another architecture, whose programs this machine's kernel gives to an emulator."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from builder.base.model import Arch, host_arch
from builder.base.paths import PROJECT
from builder.base.run import find_tool, run
from builder.stage.imports import Environment
from builder.verify.hosts import LABEL, RUN_ID, Host, HostSetup
from tests.integration.dist import MOUNT, Dist
from tests.integration.images import Images, Suite

FOREIGN = next(arch for arch in Arch if arch is not host_arch())
_REGISTERED = Path("/proc/sys/fs/binfmt_misc") / f"qemu-{FOREIGN.machine}"
_WORKERS = PROJECT / "builder" / "stage"
_TARGET = "/opt"
_RUNTIME = "runtime"
_BOOT_TIMEOUT_S = 600
# An emulator needs about twenty times the time.
_SECONDS, _WAIT = 1200.0, 7200.0
_CALL = """\
#!/bin/sh
# Runs the Python of the other architecture, with this process's folder and home.
exec {docker} exec --interactive --workdir "$PWD" --env HOME="$HOME" --env TMPDIR="$TMPDIR" \\
    --env LC_ALL=C.UTF-8 {container} {python} "$@"
"""


def lacks_emulator() -> str | None:
    """What prevents this machine from running programs of FOREIGN, and the remedy."""
    try:
        lines = _REGISTERED.read_text().splitlines()
    except OSError:
        lines = []
    # F: the kernel has the emulator open, so that it runs in containers, too.
    if "enabled" in lines and any("F" in line for line in lines if line.startswith("flags:")):
        return None
    return (
        f"programs for {FOREIGN} are not emulated here; run: "
        "apt-get install qemu-user-static binfmt-support; "
        "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; "
        f"update-binfmts --disable qemu-{FOREIGN.machine}; "
        f"update-binfmts --enable qemu-{FOREIGN.machine}"
    )


@dataclass(frozen=True, kw_only=True)
class ForeignHost:
    """A host of FOREIGN, and the folder where this machine sees what it has in /opt."""

    host: Host
    opt: Path
    work: Path  # of this machine, for the programs that call the host's Python

    @property
    def services(self) -> list[str]:
        """The names of the installed environments, that of the runtime first."""
        names = {site.relative_to(self.opt).parts[1] for site in self._sites("*")}
        return [_RUNTIME, *sorted(names - {_RUNTIME})]

    def environment(self, service: str) -> Environment:
        """The installed environment of a service: its own folder first, as the gates have it."""
        python = self.work / f"python-{service}"
        runtime = next(
            path
            for path in sorted((self.opt / "backendai" / _RUNTIME).glob("bin/python3.*"))
            if "-" not in path.name
        )
        called = _CALL.format(
            docker=find_tool("docker", hint="run: apt-get install docker.io"),
            container=self.host.name,
            python=f"{_TARGET}/{runtime.relative_to(self.opt)}",
        )
        python.write_text(called)
        python.chmod(0o755)
        sites = list(dict.fromkeys([*self._sites(service), *self._sites(_RUNTIME)]))
        return Environment(python=python, sites=sites, seconds=_SECONDS, wait=_WAIT)

    def scratch(self, name: str) -> Path:
        """A new folder that both machines have at the same path."""
        path = self.opt / "scratch" / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def _sites(self, service: str) -> list[Path]:
        return sorted(self.opt.glob(f"backendai/{service}/lib/python3.*/site-packages"))


@contextmanager
def open_foreign(
    engine: docker.DockerClient, images: Images, dist: Dist, work: Path
) -> Iterator[ForeignHost]:
    """A clean host of FOREIGN that has the packages of ``dist`` at MOUNT."""
    volume = engine.volumes.create(labels={LABEL: RUN_ID})
    opt = Path(volume.attrs["Mountpoint"])
    try:
        setup = HostSetup(
            image=images.foreign(Suite.TRIXIE, FOREIGN),
            name=f"foreign-{FOREIGN}",
            mounts={dist.folder: MOUNT, _WORKERS: str(_WORKERS)},
            volumes=(),
            shared={volume.name: _TARGET},
            boot_s=_BOOT_TIMEOUT_S,
        )
        with Host(engine, setup) as host:
            # Both machines then find the files of its packages at the same path.
            host.run(["mkdir", "-p", str(opt.parent)])
            host.run(["ln", "-s", _TARGET, str(opt)])
            yield ForeignHost(host=host, opt=opt, work=work)
    finally:
        volume.remove(force=True)


def build_foreign(out: Path, packages: Sequence[str] = (), *, formats: str = "deb") -> None:
    """Build packages for FOREIGN, all where none is named, on a CPython that is compiled here."""
    options = ["--arch", FOREIGN, "--format", formats, "--runtime", "source", "--out", str(out)]
    if os.geteuid() == 0:
        options.append("--install-build-deps")
    own = {name: text for name, text in os.environ.items() if name.startswith("BUILDER_")}
    command = [sys.executable, "-m", "builder", "--quiet", "build", *packages, *options]
    run(command, cwd=PROJECT, env=own)
