"""Plans: the real packages' as golden files, purity, collisions, folders."""

import builtins
import json

import pytest

from builder.base.model import Arch
from builder.base.paths import PROJECT
from builder.lock import load_lock
from builder.lock.inputs import needs_lock
from builder.plan import PackagePlan, PlanInput, plan_fingerprint, plan_package, plan_summary
from builder.plan.render import Sources
from builder.plan.sources import read_sources
from builder.spec import Spec
from tests.conftest import Golden

# One of each kind; the others would restate pkgspec/.
NAMES = ["backendai-runtime", "backendai-common", "backendai-manager", "backendai-accelerator-mock"]


@pytest.fixture(scope="module")
def real_sources() -> Sources:
    return read_sources(PROJECT)


def plan_real(spec: Spec, name: str, sources: Sources, arch: Arch = Arch.AMD64) -> PackagePlan:
    release, package = spec.release(None), spec.packages[name]
    lock = load_lock(spec.root, release.name, name) if needs_lock(package) else None
    given = PlanInput(
        project=spec.project,
        release=release,
        sources=sources,
        packages=[spec.packages[name] for name in release.packages],
        locks={
            member: load_lock(spec.root, release.name, member)
            for member in release.packages
            if spec.packages[member].python and not spec.packages[member].addon
        },
    )
    return plan_package(package, lock, arch, given)


@pytest.mark.parametrize("name", NAMES)
def test_the_real_packages_are_planned_as_reviewed(
    name: str, real_spec: Spec, real_sources: Sources, golden: Golden
) -> None:
    if name not in real_spec.release(None).packages:
        pytest.skip("not in the default release")
    summary = plan_summary(plan_real(real_spec, name, real_sources))
    # Texts and locks are reviewed as diffs of their own.
    del summary["wheels"]
    payload = summary["payload"]
    assert isinstance(payload, list)
    # One module of the tool stands for all: which there are is seen in postinst/.
    summary["payload"] = [entry for entry in payload if not is_inner_module(str(entry["target"]))]
    for entry in payload:
        entry.pop("size", None)
    golden.check(f"plan-{name}.json", json.dumps(summary, indent=2) + "\n")


def is_inner_module(target: str) -> bool:
    """True for the modules of the target's tool but its first."""
    folder, _, module = target.partition("/backendai_ctl/")
    return folder == "/usr/lib/backendai/target" and module != "__init__.py"


def test_a_plan_is_made_without_reading_anything(
    real_spec: Spec, real_sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, package = real_spec.release(None), real_spec.packages["backendai-manager"]
    lock = load_lock(real_spec.root, release.name, package.name)
    given = PlanInput(project=real_spec.project, release=release, sources=real_sources)

    def refuse(*args: object, **_kwargs: object) -> None:
        raise AssertionError(f"a plan opened {args[0]}")

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", refuse)
        patch.setattr("io.open", refuse)
        patch.setattr("os.open", refuse)
        patch.setattr("os.environ", {})
        first = plan_package(package, lock, Arch.AMD64, given)
        second = plan_package(package, lock, Arch.AMD64, given)
    assert first == second
    assert plan_fingerprint(first) == plan_fingerprint(second)


def test_a_plan_depends_on_its_architecture_only_where_it_has_a_python(
    real_spec: Spec, real_sources: Sources
) -> None:
    for name, differs in (("backendai-manager", True), ("backendai-common", False)):
        amd64, arm64 = (plan_real(real_spec, name, real_sources, arch) for arch in Arch)
        assert (amd64 != arm64) is differs
        assert (amd64.arch is None) is not differs


@pytest.mark.parametrize(
    ("name", "ours"), [("25.19", ["alembic.ini"]), ("26.3", ["alembic.ini"]), ("23.09", [])]
)
def test_the_older_managers_have_all_that_they_are_configured_from(
    real_spec: Spec, real_sources: Sources, name: str, ours: list[str]
) -> None:
    release, package = real_spec.release(name), real_spec.packages["backendai-manager"]
    given = PlanInput(project=real_spec.project, release=release, sources=real_sources)
    lock = load_lock(real_spec.root, release.name, package.name)
    plan = plan_package(package, lock, Arch.AMD64, given)
    folder = "/opt/backendai/manager/share/backendai/samples/"
    own = [entry.target.name for entry in plan.entries if str(entry.target).startswith(folder)]
    assert own == ours
    taken = [str(sample.target) for sample in plan.samples]
    samples = {"manager.toml", "alembic.ini"}
    assert {f"{folder}{name}" for name in samples - set(ours)} <= set(taken)
    # By this the packages' own tool reads its data, in every service's CPython.
    assert "tomlkit" in {wheel.name for wheel in lock.wheel}
