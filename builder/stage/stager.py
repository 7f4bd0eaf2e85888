"""Stages a package: one tree, from which both formats pack.

The tree holds the payload at its final places. The cache keeps it under the hash of all
its inputs, with a report of the facts detected on the way.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from builder import __version__
from builder.base import log
from builder.base.cache import Cache, key_of
from builder.base.elf import scan_tree
from builder.base.errors import PayloadError
from builder.base.model import Arch, PackageFormat
from builder.base.paths import BUILD_INFO
from builder.base.timing import phase
from builder.index.uv import Target
from builder.plan import PackagePlan, PythonPlan, doc_folder
from builder.runtime.model import Runtime
from builder.sbom.model import save_inventory
from builder.sbom.take import Surroundings, take_inventory
from builder.spec.schema import AddonSpec
from builder.stage.addon_rules import check_entry_points, refuse_shared_files
from builder.stage.bytecode_archive import archive_bytecode, place_loader
from builder.stage.fit import check_shared_places
from builder.stage.libraries import RUNTIME, Binary, Needs, Rules, check_libraries
from builder.stage.linking import (
    files_below,
    link_tree,
    measure,
    normalize_metadata,
    remove_empty,
    write_file,
)
from builder.stage.model import (
    FORMAT,
    REPORT,
    ROOT,
    Stage,
    StageFiles,
    StageInput,
    load_stage,
    stage_key,
    stage_runtime,
)
from builder.stage.payload import (
    below,
    drop_scripts,
    extract_sample,
    finish_scripts,
    place_entry,
    place_runtime,
    place_service,
    reject_conflict,
    site_folder,
    wheel_binaries,
    write_new,
)
from builder.stage.prune import PrunedWheel, describe_pruned, prune_wheel
from builder.stage.shared_scripts import place_shared_scripts
from builder.wheels.install import (
    InstallRequest,
    elf_from_json,
    install_wheels,
)


def stage_package(
    plan: PackagePlan,
    given: StageInput,
    fetch: Callable[[], StageFiles],
    cache: Cache,
    *,
    whole: bool = True,
) -> Stage:
    """Return the stage of ``plan``, from the cache or made now; only then ``fetch`` is called.

    Without ``whole`` only its report is read and checked: enough to find the packages that
    were made from it. Raises PayloadError if the payload breaks a rule.
    """
    key = stage_key(plan, given)
    find = cache.find_derived if whole else cache.find_record
    folder = find("stage", key, () if whole else (REPORT,))
    if folder is None:
        stage = _StageBuilder(plan=plan, given=given, files=fetch(), cache=cache)
        folder = cache.derive("stage", key, stage.make, (REPORT,))
    return load_stage(folder, cache.derived("stage", key), key)


@dataclass(frozen=True, kw_only=True)
class _StageBuilder:
    plan: PackagePlan
    given: StageInput
    files: StageFiles
    cache: Cache

    def make(self, folder: Path) -> None:
        log.step(f"staging {self.plan.name} for {self.plan.arch or 'all architectures'}")
        root = folder / ROOT
        root.mkdir()
        needs = Needs(glibc=None, deb=(), rpm=())
        pruned: Sequence[PrunedWheel] = ()
        if self.plan.python:
            needs, pruned = self._python(root, self.plan.python)
        for sample in self.plan.samples:
            wheel = self.files.samples[sample.distribution.name]
            extract_sample(wheel, sample.member, below(root, sample.target))
        for entry in self.plan.entries:
            if entry.target not in self.files.made:
                place_entry(entry, root)
        for target, made in self.files.made.items():
            write_new(below(root, target), made.read_bytes(), 0o644)
        inventory = take_inventory(
            self.plan,
            [wheel.wheel for wheel in pruned],
            self.files.samples,
            self.given.runtime,
            Surroundings(arch=self.given.arch, runtime_package=self.given.runtime_package),
        )
        save_inventory(inventory, folder)
        inputs = {**self._inputs(needs), "pruned": describe_pruned(pruned)}
        write_file(
            below(root, doc_folder(self.plan) / BUILD_INFO),
            (json.dumps(inputs, indent=2, sort_keys=True) + "\n").encode(),
            0o644,
        )
        normalize_metadata(root, epoch=self.given.epoch)
        files, size = measure(root)
        paths = list(files_below(root)) if self.given.host else []
        report = {
            "files": files,
            "size": size,
            "needs": asdict(needs),
            "inputs": inputs,
            "paths": paths,
        }
        (folder / REPORT).write_text(json.dumps(report), encoding="utf-8")

    def _python(self, root: Path, python: PythonPlan) -> tuple[Needs, Sequence[PrunedWheel]]:
        given, runtime = self.given, self.given.runtime
        if runtime is None:
            raise PayloadError(f"{self.plan.name}: has a Python and no runtime was made")
        prefix = below(root, python.prefix)
        request = install_request(python, runtime, epoch=given.epoch, jobs=given.jobs)
        site = site_folder(runtime.minor)
        pruned = [
            prune_wheel(wheel, site, python.prune)
            for wheel in install_wheels(self.files.wheels, request, self.cache)
        ]
        installed = [wheel.wheel for wheel in pruned]
        beside = given.base.wheels() if given.base else ()
        with phase("stage", self.plan.name):
            self._place(pruned, prefix, python, runtime)
            archive_bytecode(prefix / site, self.plan.name)
            if python.base is None:
                place_loader(prefix / site, runtime.python)
            if given.base:
                check_shared_places(self.plan.name, installed, given.base.places())
            if python.addon and given.host:
                self._check_addon(python.addon, prefix, given.host)
        rules = Rules(
            arch=given.arch,
            baseline=python.glibc,
            system=given.libraries,
            foreign=python.foreign_binaries,
        )
        # Each package has the needs of its own files: what lies below it has checked its own.
        own = self._own(runtime)
        mine = wheel_binaries(installed)
        if python.base is None:
            return check_libraries([*mine, *own], rules), pruned
        others = [*wheel_binaries(beside), *own]
        return check_libraries(mine, rules, beside=others), pruned

    def _place(
        self,
        pruned: Sequence[PrunedWheel],
        prefix: Path,
        python: PythonPlan,
        runtime: Runtime,
    ) -> None:
        """Put the interpreter, or the links to it, and the wheels at their places."""
        epoch = self.given.epoch
        if python.base is None:
            place_runtime(runtime, prefix, epoch)
        elif not python.addon:
            place_service(runtime, prefix, python.base)
        for member in pruned:
            clash = reject_conflict(member.wheel, prefix)
            tree = member.wheel.tree
            link_tree(tree, prefix, epoch=epoch, on_clash=clash, without=member.rules)
        remove_empty(prefix, {path for member in pruned for path in member.rules})
        for member in pruned:
            if python.base is None:
                drop_scripts(member.wheel, prefix, member.rules)
            else:
                finish_scripts(member.wheel, prefix, python.prefix, member.rules)
        if python.base and not python.addon and self.given.base:
            place_shared_scripts(self.given.base.scripts, prefix, python.prefix, python.base)

    def _check_addon(self, addon: AddonSpec, prefix: Path, host: Stage) -> None:
        """Check that the host has none of the add-on's files and plug-ins."""
        assert self.plan.python is not None
        beside = below(host.root, self.plan.python.prefix)
        refuse_shared_files(self.plan.name, prefix, beside)
        check_entry_points(self.plan.name, addon, prefix, beside)

    def _own(self, runtime: Runtime) -> list[Binary]:
        """Return the runtime's own binaries, read once for each runtime."""
        if runtime.tree is None:
            return []
        tree = runtime.tree

        def make(folder: Path) -> None:
            found = [[str(path), asdict(info)] for path, info in scan_tree(tree)]
            (folder / REPORT).write_text(json.dumps(found), encoding="utf-8")

        folder = self.cache.derive("runtime-elf", key_of(FORMAT, runtime.key), make)
        listed = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        return [
            Binary(owner=RUNTIME, path=PurePosixPath(path), info=elf_from_json(info))
            for path, info in listed
        ]

    def _inputs(self, needs: Needs) -> dict[str, object]:
        """Return build-info.json: the inputs of the package, for audits."""
        plan = self.plan
        return {
            "package": plan.name,
            "version": plan.metadata.full_version,
            "release": plan.release,
            "architecture": PackageFormat.DEB.arch_name(plan.arch),
            "builder": __version__,
            "source_date_epoch": self.given.epoch,
            "runtime": self._runtime_record(),
            "glibc": needs.glibc,
            "wheels": [
                {"name": w.name, "version": w.version, "file": w.file, "sha256": w.sha256}
                for w in self.files.wheels
            ],
            "shared": list(plan.python.shared) if plan.python else [],
        }

    def _runtime_record(self) -> dict[str, object] | None:
        """Return the CPython of the runtime's own package; others have only a part of it."""
        record = stage_runtime(self.plan, self.given.runtime)
        return {key: value for key, value in record.items() if key != "key"} if record else None


def install_request(
    python: PythonPlan, runtime: Runtime, *, epoch: int, jobs: int
) -> InstallRequest:
    """Return the settings that the wheels of ``python`` are installed with."""
    return InstallRequest(
        target=target_of(python, runtime.arch), python=runtime.python, epoch=epoch, jobs=jobs
    )


def target_of(python: PythonPlan, arch: Arch) -> Target:
    """Return the target that the wheels of ``python`` are chosen for."""
    return Target(minor=python.minor, arch=arch, glibc=python.glibc)
