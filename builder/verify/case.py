"""One distribution's case: install, start, answer, remove, purge, and nothing left."""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

from builder.base import log
from builder.base.errors import BuilderError
from builder.verify import managers
from builder.verify.distributions import Distribution
from builder.verify.engine import Client
from builder.verify.hosts import Host, HostError, HostSetup
from builder.verify.images import host_image
from builder.verify.listing import Listing, differences, take_listing
from builder.verify.subject import Subject

_MOUNT = "/packages"
_INSTALL_TIMEOUT_S = 900
_START_TIMEOUT_S = 300
_CODE = "/opt/backendai"
# Docker's layers need a volume outside the overlay, and its containers these rights.
_VOLUMES = ("/opt", "/var/lib/docker", "/var/lib/containerd")
_CAPABILITIES = ("IPC_LOCK", "SYS_NICE")
# Without it, Docker refuses networks where the kernel has IPv6 and the host has not.
_DOCKER_DROP_IN = "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n"


class Status(StrEnum):
    """The result of a step."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class SkippedError(Exception):
    """A step does not apply; the text is the reason."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a case, and its result."""

    name: str
    status: Status
    seconds: float
    detail: str = ""


@dataclass(kw_only=True)
class Case:
    """The results on one distribution."""

    distribution: str
    image: str
    packages: tuple[str, ...]
    evidence: Path
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(step.status is not Status.FAILED for step in self.steps)


def run_case(client: Client, distribution: Distribution, subject: Subject, evidence: Path) -> Case:
    """Do all steps on a host of its own. A step that fails is a result, never an error."""
    case = Case(
        distribution=distribution.name,
        image=distribution.image,
        packages=subject.names,
        evidence=evidence / distribution.name,
    )
    with tempfile.TemporaryDirectory(prefix="verify-") as scratch:
        folder = Path(scratch)
        for file in subject.files:
            _link(file, folder / file.name)
        begin = time.monotonic()
        try:
            image = host_image(client, distribution)
            setup = HostSetup(
                image=image,
                name=f"verify-{distribution.name}",
                mounts={folder: _MOUNT},
                volumes=_VOLUMES,
                capabilities=_CAPABILITIES,
                evidence=case.evidence,
            )
            with Host(client, setup) as host:
                _note(case, "boot", begin)
                _CaseRun(host=host, distribution=distribution, subject=subject, case=case).run()
        except BuilderError as error:
            case.steps.append(
                Step(
                    name="host",
                    status=Status.FAILED,
                    seconds=time.monotonic() - begin,
                    detail="\n".join(filter(None, [error.message, error.hint])),
                )
            )
    return case


@dataclass(kw_only=True)
class _CaseRun:
    host: Host
    distribution: Distribution
    subject: Subject
    case: Case
    up: list[str] = field(default_factory=list)  # services that run

    def run(self) -> None:
        """Run all steps; after a failed step, skip the steps that make no sense without it."""
        if not self._step("stores", self._stores):
            return
        self.before = take_listing(self.host)
        if not self._step("install", self._install):
            return
        if self._step("start", self._start):
            self._step("answer", self._answer)
        self._step("remove", self._remove)
        self._step("purge", self._purge)

    def _stores(self) -> None:
        folder = "/etc/systemd/system/docker.service.d"
        self.host.run(["mkdir", "-p", folder])
        self.host.write(f"{folder}/container.conf", _DOCKER_DROP_IN)
        if self.distribution.units:
            self.host.run(["systemctl", "enable", "--now", *self.distribution.units], timeout=120)

    def _install(self) -> None:
        manager = self.distribution.manager
        self.host.run(managers.refresh(manager), timeout=_INSTALL_TIMEOUT_S, check=False)
        paths = [f"{_MOUNT}/{file.name}" for file in self.subject.files]
        self.host.run(managers.install(manager, paths), timeout=_INSTALL_TIMEOUT_S)
        missing = set(self.subject.names) - self._installed()
        _expect(not missing, f"not installed: {', '.join(sorted(missing))}")
        _expect(not self.host.failed_units(), f"failed: {', '.join(self.host.failed_units())}")

    def _start(self) -> None:
        """Check that every enabled service runs, except those whose stores are not seeded here."""
        enabled = [
            service
            for service in self.subject.services
            if self._state("is-enabled", service) == "enabled"
        ]
        if not enabled:
            raise SkippedError("no service in it")
        reasons: dict[str, str] = {}

        def is_up(service: str) -> bool:
            if self._state("is-active", service) == "active":
                return True
            if self.subject.fills_stores:
                return False
            said = self.host.run(
                ["backendai-ctl", "check-stores", service], check=False, timeout=60
            )
            if said.status != 0:
                reasons[service] = (said.stderr or said.stdout).strip().splitlines()[0]
            return said.status != 0

        for service in enabled:
            try:
                self.host.wait_until(
                    f"{service} is active", partial(is_up, service), timeout=_START_TIMEOUT_S
                )
            except HostError as error:
                unit = _unit(service)
                raise HostError(f"{error.message}\n{self.host.journal(unit, lines=30)}") from error
        self.up = [unit for unit in enabled if unit not in reasons]
        if not self.up:
            raise SkippedError("; ".join(f"{unit}: {why}" for unit, why in reasons.items()))

    def _answer(self) -> None:
        if not self.up:
            raise SkippedError("nothing runs")
        for service in self.up:
            self.host.run(["backendai-ctl", "wait", service], timeout=_START_TIMEOUT_S)
        _expect(not self.host.failed_units(), f"failed: {', '.join(self.host.failed_units())}")

    def _remove(self) -> None:
        manager = self.distribution.manager
        names = list(reversed(self.subject.names))
        self.host.run(managers.remove(manager, names), timeout=_INSTALL_TIMEOUT_S)
        left = set(names) & self._installed()
        _expect(not left, f"still installed: {', '.join(sorted(left))}")
        code = self.host.run(["find", _CODE, "!", "-type", "d"], check=False).stdout.split()
        _expect(not code, f"left of the code: {', '.join(code[:10])}")
        script = f"ls -l /proc/[0-9]*/exe 2>/dev/null | grep -F ' {_CODE}/'"
        running = self.host.run(script, check=False).stdout.strip()
        _expect(not running, f"still running: {running}")

    def _purge(self) -> None:
        command = managers.purge(self.distribution.manager, list(reversed(self.subject.names)))
        if command is None:
            raise SkippedError(f"{self.distribution.manager} has no purge")
        self.host.run(command, timeout=_INSTALL_TIMEOUT_S)
        left = leftovers(self.before, take_listing(self.host))
        _expect(not left, "left behind:\n" + "\n".join(left))

    def _installed(self) -> set[str]:
        return set(self.host.run(managers.installed(self.distribution.manager)).stdout.split())

    def _state(self, question: str, service: str) -> str:
        return self.host.run(["systemctl", question, _unit(service)], check=False).stdout.strip()

    def _step(self, name: str, act: Callable[[], None]) -> bool:
        """Do one step and record its result; returns whether the case can go on."""
        begin = time.monotonic()
        try:
            act()
        except SkippedError as reason:
            _note(self.case, name, begin, Status.SKIPPED, str(reason))
        except BuilderError as error:
            _note(self.case, name, begin, Status.FAILED, error.message)
            log.warn(f"{self.case.distribution}: evidence is in {self.host.collect_evidence()}")
            return False
        else:
            _note(self.case, name, begin)
        return True


def leftovers(before: Listing, after: Listing) -> list[str]:
    """Return new paths with our name in them: of the packages, not of their dependencies. Pure."""
    return [
        line
        for line in differences(before, after)
        if line.startswith("+ ") and any(name in line for name in ("backendai", "backend.ai"))
    ]


def _expect(held: bool, problem: str) -> None:
    if not held:
        raise HostError(problem)


def _note(
    case: Case, name: str, begin: float, status: Status = Status.OK, detail: str = ""
) -> None:
    step = Step(name=name, status=status, seconds=time.monotonic() - begin, detail=detail)
    case.steps.append(step)
    log.step(f"{case.distribution}: {name}: {status} after {step.seconds:.1f} s")


def _unit(service: str) -> str:
    return f"backendai-{service}.service"


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copyfile(source, target)
