"""A clean host to install on: a container with systemd as PID 1.

The container is removed when the ``with`` block ends, however it ends, unless
``BUILDER_KEEP_HOSTS`` is set. When the block ends by an error, evidence of the error is
copied to a folder first. Containers of other runs are never touched.
"""

import io
import os
import secrets
import shlex
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from builder.base import log
from builder.base.errors import BuilderError
from builder.base.paths import PROJECT
from builder.base.run import Result, failure_text
from builder.verify.engine import Client, EngineError, Mount, cgroup_tree, execute

RUN_ID = os.environ.get("BUILDER_TEST_RUN") or f"{os.getpid()}-{secrets.token_hex(3)}"
LABEL = "backendai-test.run"
BOOT_TIMEOUT_S = 60
_REBOOT_TIMEOUT_S = 400
_SHUTDOWN_TIMEOUT_S = 100  # the timeout of the engine's client is longer
_UP = ("starting", "running", "degraded")  # systemd has placed its processes by then
_TIMED_OUT = 124  # exit status of coreutils' timeout
_KILLED = 137
_TAIL_LINES = 40
# Commands with these words print a password and keys: a CI keeps the evidence.
_SHOWS_SECRETS = {"credentials", "--show"}
_EVIDENCE_TIMEOUT_S = 120
# Files that package managers write.
_LOGS = (
    "/var/log/apt",
    "/var/log/dpkg.log",
    "/var/log/dnf.log",
    "/var/log/dnf.rpm.log",
    "/var/log/zypper.log",
    "/var/log/zypp",
)
_HAS_NO_UPLOADS = (PurePosixPath("/tmp"), PurePosixPath("/run"))

Command = str | Sequence[str]


class HostError(BuilderError):
    """A host did not come up, or a command on it failed or took too long."""


@dataclass(frozen=True, kw_only=True)
class HostSetup:
    """The image, folders and settings of a host.

    ``mounts`` are folders of this machine shown read-only at a path of the host;
    ``volumes`` lie on the disk itself, not in the overlay, where many files are written
    twice as fast.
    """

    image: str
    name: str
    hostname: str = ""  # ``name`` where empty
    mounts: Mapping[Path, str] = field(default_factory=dict)
    volumes: Sequence[str] = ("/opt",)
    capabilities: Sequence[str] = ()
    devices: Sequence[str] = ()  # of this machine, as /dev/fuse
    evidence: Path | None = None  # the folder for evidence of a failure
    shared: Mapping[str, str] = field(default_factory=dict)  # the engine's volumes, by name
    boot_s: int = BOOT_TIMEOUT_S  # an emulated processor needs longer


class Host:
    """One container that has booted; use it as a context manager."""

    def __init__(self, client: Client, setup: HostSetup) -> None:
        self.name = f"backendai-test-{RUN_ID}-{setup.name}-{secrets.token_hex(2)}"
        root = Path(os.environ.get("BUILDER_EVIDENCE") or PROJECT / "build" / "evidence")
        self.evidence = setup.evidence or root / RUN_ID / setup.name
        self._transcript: list[str] = []
        self._client = client
        self._boot_s = setup.boot_s
        self._options = {
            "image": setup.image,
            "name": self.name,
            "hostname": setup.hostname or setup.name,
            "entrypoint": ["/sbin/init"],  # whatever the image says
            "command": [],
            "labels": {LABEL: RUN_ID},
            "environment": {"container": "docker"},
            "cap_add": ["SYS_ADMIN", "NET_ADMIN", *setup.capabilities],
            "devices": [f"{device}:{device}:rwm" for device in setup.devices],
            "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
            # The engine's default for a tmpfs is noexec, which no real host has.
            "tmpfs": {"/run": "exec,mode=755", "/tmp": "exec,mode=1777"},
            "mounts": _mounts(setup),
            # The cgroup tree is the machine's: paths in it must be the machine's, too.
            "cgroupns": "host",
            "stop_signal": "SIGRTMIN+3",
        }

    @property
    def address(self) -> str:
        """The address at which this machine reaches the host."""
        self._container.reload()
        networks = self._container.attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def reboot(self) -> None:
        """Shut the host down as its own reboot does, and wait until it is up again."""
        self._container.restart(timeout=_SHUTDOWN_TIMEOUT_S)
        # Services that start at boot are part of it, and may be slow.
        self._wait_for_boot(_REBOOT_TIMEOUT_S)

    def cut_power(self) -> None:
        """End all processes of the host at once, and wait until it has booted again."""
        self._container.kill()
        self._container.start()
        self._wait_for_boot(_REBOOT_TIMEOUT_S)

    def __enter__(self) -> Self:
        self._container = self._client.containers.create(**self._options)
        try:
            self._container.start()
            self._wait_for_boot(self._boot_s)
        except BaseException:
            self._finish(failed=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish(failed=kind is not None)

    def run(
        self,
        command: Command,
        *,
        check: bool = True,
        timeout: int = 120,
        user: str = "root",
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command to its end on the host; a string is a script for ``sh``.

        Raises HostError if it fails and ``check`` is set, and always if it takes longer
        than ``timeout`` seconds.
        """
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        begin = time.monotonic()
        # The client cannot stop a process in the container, so the limit is set there, too.
        result = execute(
            self._container,
            ["timeout", f"--kill-after={min(10, timeout)}", str(timeout), *words],
            limit=timeout + 60,
            user=user,
            environment=env,
        )
        elapsed = time.monotonic() - begin
        status = result.status
        self._note(words, user, result, elapsed)
        if status in (_TIMED_OUT, _KILLED) and elapsed >= timeout:
            raise HostError(
                f"{self.name}: took longer than {timeout} s\n"
                + failure_text(words, status, [result.stdout, result.stderr])
            )
        if check and status != 0:
            text = failure_text(words, status, [result.stdout, result.stderr])
            raise HostError(f"{self.name}: {text}")
        return result

    def wait_until(
        self, what: str, ready: Callable[[], bool], *, timeout: int, every: float = 0.5
    ) -> float:
        """Wait until ``ready`` answers true, and return the seconds it took.

        It is called again after ``every`` seconds: a costly question slows what it waits for.
        """
        begin = time.monotonic()
        while not ready():
            if time.monotonic() - begin > timeout:
                raise HostError(f"{self.name}: {what}: not after {timeout} s")
            time.sleep(every)
        return time.monotonic() - begin

    def copy_in(self, source: Path, target: str, *, mode: int = 0o644, owner: int = 0) -> None:
        """Copy one file to ``target``, whose folder must exist."""
        self.write(target, source.read_bytes(), mode=mode, owner=owner)

    def write(
        self, target: str, content: bytes | str, *, mode: int = 0o644, owner: int = 0
    ) -> None:
        """Write a file, owned by the number ``owner``, into a folder that exists."""
        path = PurePosixPath(target)
        if any(path.is_relative_to(folder) for folder in _HAS_NO_UPLOADS):
            raise HostError(f"{target}: the engine cannot copy into a tmpfs; use /srv or /root")
        data = content.encode() if isinstance(content, str) else content
        member = tarfile.TarInfo(path.name)
        member.size, member.mode, member.mtime = len(data), mode, int(time.time())
        member.uid = member.gid = owner
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(member, io.BytesIO(data))
        self._container.put_archive(str(path.parent), buffer.getvalue())

    def read(self, source: str) -> str:
        """Return the text of one file on the host."""
        return self.run(["cat", source]).stdout

    def copy_out(self, source: str, folder: Path) -> None:
        """Copy a file or a folder of the host into ``folder`` of this machine."""
        folder.mkdir(parents=True, exist_ok=True)
        stream, _ = self._container.get_archive(source)
        buffer = io.BytesIO(b"".join(stream))
        with tarfile.open(fileobj=buffer) as archive:
            # Debian 12's Python 3.11.2 has no filters yet, and ignores the attribute.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)

    def journal(self, unit: str | None = None, *, lines: int = 500) -> str:
        """Return the end of the journal, of one unit or of the whole host."""
        chosen = ["--unit", unit] if unit else []
        command = ["journalctl", "--no-pager", f"--lines={lines}", *chosen]
        return self.run(command, check=False).stdout

    def failed_units(self) -> list[str]:
        """Return the names of the failed units."""
        command = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]
        return [line.split()[0] for line in self.run(command).stdout.splitlines() if line.strip()]

    def collect_evidence(self) -> Path:
        """Copy evidence of a failure into the evidence folder, and return the folder.

        Never copy /etc/backend.ai: it holds secrets, and a CI keeps these folders.
        """
        self.evidence.mkdir(parents=True, exist_ok=True)
        parts = {
            "journal.txt": "journalctl --no-pager --lines=5000",
            "units.txt": "systemctl list-units --all --no-pager; systemctl status --no-pager "
            "--full --lines=30 'backendai*'",
            "packages.txt": "dpkg -l; rpm -qa 2>/dev/null",
            "files.txt": "ls -lanR /etc/backend.ai /var/lib/backendai /var/log/backendai "
            "/run/backendai; ls -la /opt /opt/backendai /opt/backendai/*",
            "processes.txt": "ps axfu; ss -ltnp; df -h; free -m",
            "doctor.txt": "backendai-ctl status; backendai-ctl doctor; backendai-ctl seed status",
        }
        (self.evidence / "commands.txt").write_text("\n".join(self._transcript))
        for name, script in parts.items():
            try:
                result = self.run(script, check=False, timeout=_EVIDENCE_TIMEOUT_S)
                text = result.stdout + result.stderr
            except HostError as error:  # a command that hangs must not prevent the others
                text = f"{error.message}\n"
            (self.evidence / name).write_text(text)
        for path in _LOGS:
            if self.run(["test", "-e", path], check=False).status == 0:
                self.copy_out(path, self.evidence)
        return self.evidence

    def snapshot(self, repository: str, tag: str) -> None:
        """Keep the host's file system, volumes excepted, as an image."""
        # A host of this image belongs to the run that starts it, not to this one.
        changes = [f'LABEL {LABEL}=""']
        self._container.commit(repository=repository, tag=tag, changes=changes)

    def _wait_for_boot(self, limit: int) -> None:
        state = ""
        held = False

        def has_booted() -> bool:
            nonlocal state, held
            self._container.reload()
            if self._container.status != "running":
                log_end = self._container.logs(tail=_TAIL_LINES).decode(errors="replace")
                raise HostError(f"{self.name}: systemd ended at boot\n{log_end}")
            state = self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
            if not held and state in _UP:
                self._hold_cgroup()
                held = True
            return state in ("running", "degraded")

        try:
            took = self.wait_until("boot", has_booted, timeout=limit)
        except HostError as error:
            raise HostError(f"{error.message} (systemd says {state or 'nothing'})") from error
        log.step(f"{self.name}: {state} after {took:.1f} s")
        if state == "degraded":
            log.warn(f"{self.name}: failed units: {', '.join(self.failed_units())}")

    def _hold_cgroup(self) -> None:
        """Keep a process in the container's own cgroup.

        A Docker inside delegates that cgroup's controllers when it makes a container; from
        then on the kernel lets no process into the cgroup, and so no command onto this host.
        The kernel refuses the delegation while a process is in the cgroup.
        """
        job = self._client.api.exec_create(self._container.id, ["sleep", "infinity"])
        self._client.api.exec_start(job["Id"], detach=True)

    def _finish(self, *, failed: bool) -> None:
        try:
            if failed:
                log.warn(f"{self.name}: evidence is in {self.collect_evidence()}")
        except (BuilderError, EngineError, OSError) as error:
            log.warn(f"{self.name}: could not collect all evidence: {error}")
        finally:
            if os.environ.get("BUILDER_KEEP_HOSTS"):
                log.warn(f"{self.name}: kept; remove it by: docker rm -fv {self.name}")
            else:
                self._container.remove(v=True, force=True)

    def _note(self, words: Sequence[str], user: str, result: Result, elapsed: float) -> None:
        text = shlex.join(_first_line(word) for word in words)
        log.detail(f"{self.name}: {elapsed:.1f} s: {text}")
        shown = "(not kept)" if set(words) >= _SHOWS_SECRETS else result.stdout + result.stderr
        self._transcript += [
            f"[{user}] {text}",
            f"  status {result.status}, {elapsed:.1f} s",
            *(f"  {line}" for line in shown.splitlines()[-_TAIL_LINES:]),
        ]


def _mounts(setup: HostSetup) -> list[Mount]:
    return [
        Mount("/sys/fs/cgroup", str(cgroup_tree()), type="bind"),
        *(Mount(target, None, type="volume") for target in setup.volumes),
        *(Mount(target, name, type="volume") for name, target in setup.shared.items()),
        *(
            Mount(target, str(source), type="bind", read_only=True)
            for source, target in setup.mounts.items()
        ),
    ]


def _first_line(text: str) -> str:
    """Return the first line of a script, to show in place of the argument."""
    lines = text.strip().splitlines() or [""]
    return lines[0] if len(lines) == 1 else f"{lines[0]} ..."
