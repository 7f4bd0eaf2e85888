"""Runs the gates on the environments of a release, and keeps what they found by its inputs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.errors import PayloadError
from builder.base.parse import parse_toml
from builder.base.paths import TARGET_ROOT, TARGET_RUNTIME
from builder.release.migrations import Migrations, migrations_below
from builder.release.review import service_of
from builder.spec import ReleaseSpec
from builder.spec.gates import GatesSpec, KnownFailure
from builder.spec.recipes import read_recipe
from builder.stage.gates import console_scripts, failing_modules, failing_scripts, unread_keys
from builder.stage.imports import Environment

_FORMAT = 5  # of what is kept; raise it when gates look at more
_KIND = "gates"
_REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class GatedStage:
    """The staged files of one service, or of the runtime itself, on those of the runtime."""

    package: str
    service: str
    key: str  # of all that lies in both
    root: Path
    runtime: Path

    @property
    def environment(self) -> Environment:
        """The service's Python and its folders of distributions, its own first."""
        own = self.root / str(TARGET_ROOT / self.service).lstrip("/")
        below = self.runtime / str(TARGET_RUNTIME).lstrip("/")
        python = next(path for path in sorted(below.glob("bin/python3.*")) if "-" not in path.name)
        sites = [
            *own.glob("lib/python3.*/site-packages"),
            *below.glob("lib/python3.*/site-packages"),
        ]
        return Environment(python=python, sites=list(dict.fromkeys(sites)))


@dataclass(frozen=True, kw_only=True)
class Gatekeeper:
    """The data that gates look at, and where results are kept."""

    release: ReleaseSpec
    gates: GatesSpec
    services: Path  # the folder with the data of each service
    cache: Cache
    jobs: int

    def check(self, stage: GatedStage) -> list[str]:
        """Return what fails and has no known reason, one line each."""
        found = self._failures(stage)
        problems = [f"migrations: {line}" for line in found["migrations"].values()]
        known: Mapping[str, Sequence[KnownFailure]] = {
            "module": self.gates.module,
            "script": self.gates.script,
            "key": self.gates.key,
        }
        for kind, reasons in known.items():
            problems += [
                f"{kind} {name}: {error}"
                for name, error in sorted(found[kind].items())
                if not any(reason.covers(stage.package, name, error) for reason in reasons)
            ]
        return problems

    def _failures(self, stage: GatedStage) -> Mapping[str, Mapping[str, str]]:
        """Return all failures by gate; those of the same inputs are kept."""
        files = [self._file(stage, name) for name in ("recipe.toml", "upgrade.toml")]
        texts = [path.read_text(encoding="utf-8") if path.is_file() else "" for path in files]
        key = key_of(_FORMAT, stage.key, self.release.version, texts)
        folder = self.cache.derive(_KIND, key, lambda made: self._run(stage, made))
        found: Mapping[str, Mapping[str, str]] = json.loads(
            (folder / _REPORT).read_text(encoding="utf-8")
        )
        return found

    def _run(self, stage: GatedStage, made: Path) -> None:
        environment = stage.environment
        with self.cache.workspace() as work:
            log.step(f"{stage.package}: importing every module")
            found = {
                "module": failing_modules(environment, work / "modules", jobs=self.jobs),
                "script": failing_scripts(
                    environment,
                    console_scripts(environment.sites[:1]),
                    work / "scripts",
                    jobs=self.jobs,
                ),
                "key": self._unread(stage, environment, work),
                "migrations": {
                    str(number): line
                    for number, line in enumerate(self._migrations(stage, environment))
                },
            }
        (made / _REPORT).write_text(json.dumps(found, indent=1, sort_keys=True), encoding="utf-8")

    def _unread(self, stage: GatedStage, environment: Environment, work: Path) -> dict[str, str]:
        path = self._file(stage, "recipe.toml")
        files = read_recipe(path, self.release.version) if path.is_file() else {}
        found: dict[str, str] = {}
        for name, file in files.items():
            if file.model is not None:
                failed = unread_keys(environment, file.model, sorted(file.keys), work / name)
                found |= {f"{name}: {key}": error for key, error in failed.items()}
        return found

    def _migrations(self, stage: GatedStage, environment: Environment) -> list[str]:
        path = self._file(stage, "upgrade.toml")
        upgrade = parse_toml(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return [
            problem
            for site in environment.sites
            for place, migrations in migrations_below(site).items()
            if service_of(place) == stage.service
            for problem in _migration_problems(migrations, upgrade.get("stops", ()))
        ]

    def _file(self, stage: GatedStage, name: str) -> Path:
        return self.services / stage.service / name


def _migration_problems(migrations: Migrations, stops: Sequence[str]) -> list[str]:
    problems = []
    if len(migrations.heads) != 1:
        problems.append(f"{len(migrations.heads)} heads: {', '.join(migrations.heads)}")
    problems += [f"{name} is missing, and others follow it" for name in migrations.absent]
    problems += [
        f"{name} commits by itself, and 'stops' of upgrade.toml lacks it"
        for name in migrations.committing
        if name not in stops
    ]
    return problems


def check_gates(
    keeper: Gatekeeper, stages: Sequence[GatedStage], say: Callable[[str], None]
) -> None:
    """Run all gates; raises PayloadError with every failure that has no known reason."""
    problems = []
    for stage in stages:
        found = keeper.check(stage)
        say(f"{stage.package}: " + (f"{len(found)} problems" if found else "every gate is passed"))
        problems += [f"{stage.package}: {problem}" for problem in found]
    if problems:
        raise PayloadError(
            "gates are not passed:\n" + "\n".join(problems),
            hint="fix the cause, or give its reason in pkgspec/gates.toml",
        )
