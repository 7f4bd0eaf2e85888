"""Dumps the schemas that a GraphQL gateway ships, and checks the gateway against its release.

Both run in the environment of the release's own lock, for this host whatever architecture is
built: the schemas are the same for all. The dump is kept by what it is made of.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.errors import PayloadError
from builder.base.files import hash_file
from builder.base.model import host_arch
from builder.base.run import Result, run
from builder.base.timing import phase
from builder.index.uv import Target
from builder.plan import GatewayPlan, PackagePlan
from builder.spec.gates import KnownFailure
from builder.spec.schema import PayloadKind
from builder.stage.linking import link_tree
from builder.stage.payload import below, place_entry, site_folder
from builder.wheels.files import fetch_files, prepare_wheels
from builder.wheels.install import InstallRequest, install_wheels
from builder.wheels.model import WheelRequest

_WORKER = Path(__file__).with_name("_run_program.py")
_SCHEMAS = "schemas.json"
# The modules that print the schemas; the others do not change them.
_DUMPING = ("subgraphs.toml", "graphql_gateway/texts.py", "graphql_gateway/config.py")
_FORMAT = 1  # of the dump; raise it when this module makes different ones


@dataclass(frozen=True, kw_only=True)
class GatewayJob:
    """The gateway of one package, and the means to run it."""

    plan: PackagePlan
    gateway: GatewayPlan
    interpreter: Callable[[], Path]  # of the lock's minor version, for this host
    epoch: int
    jobs: int
    offline: bool
    cache: Cache
    known: Sequence[KnownFailure] = ()  # operations of a Web UI that its own manager refuses

    def make(self) -> Path:
        """Return the schemas; PayloadError if the gateway does not fit the release."""
        with self.cache.workspace() as work:
            program, site = self._program(work), _Site(self, work / "site")
            schemas = self._schemas(program, site)
            with phase("gateway", self.plan.name):
                self._check(program, site, schemas)
        return schemas

    def dump(self) -> Path:
        """Return the schemas, whether or not the gateway fits them."""
        with self.cache.workspace() as work:
            return self._schemas(self._program(work), _Site(self, work / "site"))

    def _program(self, work: Path) -> Path:
        """Place the gateway's program into a folder."""
        root = work / "root"
        for entry in self.plan.entries:
            is_source = entry.content is not None and entry.kind is PayloadKind.FILE
            if is_source and entry.target.is_relative_to(self.gateway.program):
                place_entry(entry, root)
        return below(root, self.gateway.program)

    def _schemas(self, program: Path, site: "_Site") -> Path:
        key = key_of(
            _FORMAT,
            self.gateway.pins,
            self.gateway.minor,
            [hash_file(program / name) for name in _DUMPING],
        )
        made = self.cache.derive("graphql", key, lambda folder: self._dump(program, site, folder))
        return made / _SCHEMAS

    def _dump(self, program: Path, site: "_Site", folder: Path) -> None:
        log.step(f"{self.plan.name}: dumping the schemas of {self.gateway.release}")
        done = site.run(program, "dump", str(site.make()))
        # The release may print lines of its own while it is imported.
        text = done.stdout.strip().rpartition("\n")[2]
        (folder / _SCHEMAS).write_text(text + "\n", encoding="utf-8")

    def _check(self, program: Path, site: "_Site", schemas: Path) -> None:
        """Check what the release asks of the gateway."""
        arch = host_arch()
        needed = WheelRequest(
            distributions=[self.gateway.operations],
            build=(),
            target=Target(minor=self.gateway.minor, arch=arch, glibc=self.gateway.glibc),
        )
        wheels = fetch_files(needed, self.cache, offline=self.offline)
        done = site.run(
            program, "gate", self.gateway.release, str(schemas), *map(str, wheels.values())
        )
        if done.status != 0:
            self._judge(done.stdout.splitlines() or [done.stderr.strip()])
            return
        counts: dict[str, int] = json.loads(done.stdout.strip().rpartition("\n")[2])
        shown = ", ".join(f"{count} {name}" for name, count in counts.items())
        log.step(f"{self.plan.name}: the gateway serves {self.gateway.release}: {shown}")

    def _judge(self, problems: Sequence[str]) -> None:
        """Raise PayloadError with the problems that have no known reason; say the others."""
        package, release = self.plan.name, self.gateway.release
        unknown = [problem for problem in problems if not self._is_known(problem)]
        if unknown:
            raise PayloadError(
                f"{package}: the gateway does not fit {release}:\n" + "\n".join(unknown),
                hint="docs/graphql.md says what it implements, and what to do",
            )
        log.step(
            f"{package}: the gateway serves {release}, but for {len(problems)} fields that its Web "
            "UI asks for and its manager lacks, as pkgspec/gates.toml says"
        )

    def _is_known(self, problem: str) -> bool:
        name, _, error = problem.partition(": ")
        return any(known.covers(self.plan.name, name, error) for known in self.known)


class _Site:
    """The distributions of the release in one folder, made when first needed."""

    def __init__(self, job: GatewayJob, folder: Path) -> None:
        self._job = job
        self._folder = folder
        self._python: Path | None = None

    def make(self) -> Path:
        """Return the folder of the distributions."""
        gateway, job = self._job.gateway, self._job
        site = self._folder / site_folder(gateway.minor)
        if self._python is not None:
            return site
        self._python = job.interpreter()
        target = Target(minor=gateway.minor, arch=host_arch(), glibc=gateway.glibc)
        needed = WheelRequest(distributions=gateway.wheels, build=gateway.build, target=target)
        wheels = prepare_wheels(
            needed, self._python, job.cache, epoch=job.epoch, offline=job.offline
        )
        request = InstallRequest(target=target, python=self._python, epoch=job.epoch, jobs=job.jobs)
        for wheel in install_wheels(wheels, request, job.cache):
            link_tree(wheel.tree, self._folder, epoch=job.epoch, on_clash=lambda _place: None)
        return site

    def run(self, program: Path, *words: str) -> Result:
        """Run the gateway's program with these distributions."""
        site = self.make()
        home = self._folder.parent
        return run(
            [str(self._python), "-I", "-S", "-B", str(_WORKER), str(site), str(program), *words],
            cwd=home,
            env={"HOME": str(home), "TMPDIR": str(home), "PATH": "/usr/bin:/bin"},
            check=words[0] == "dump",
        )
