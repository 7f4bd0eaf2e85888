"""No prune rule changes what a service can import: every module, before and after.

The environment after is what the packages of ``dist/`` have; the environment before is made
of the whole wheels that they were built from.
"""

import ast
import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.base.bytecode import compile_tree
from builder.base.cache import Cache
from builder.base.model import PackageFormat
from builder.base.paths import cache_root
from builder.base.run import run
from builder.spec import Spec
from builder.stage.imports import Environment, compare, find_modules, import_modules
from tests.integration.dist import RUNTIME, Dist

pytestmark = pytest.mark.full
_SECONDS = 600.0  # a starved machine is no difference
_SERVICES = (
    "manager",
    "agent",
    "storage-proxy",
    "webserver",
    "appproxy-coordinator",
    "appproxy-worker",
    "client",
)


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """A package's files, and the wheels in it."""

    site: Path
    wheels: list[dict[str, str]]


def unpack(dist: Dist, package: str, folder: str, root: Path) -> Unpacked:
    name = dist.names(PackageFormat.DEB, package)[-1]
    run(["dpkg-deb", "-x", str(dist.folder / name), str(root)])
    info = json.loads((root / f"usr/share/doc/{package}/build-info.json").read_bytes())
    (site,) = (root / "opt/backendai" / folder / "lib").glob("python3.*/site-packages")
    return Unpacked(site=site, wheels=info["wheels"])


@pytest.fixture(scope="module")
def runtime(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    return unpack(dist, RUNTIME, "runtime", tmp_path_factory.mktemp("runtime"))


def write_whole(wheels: list[dict[str, str]], site: Path) -> None:
    """Unpack the wheels as they are; their programs are of no interest here."""
    cache = Cache(root=cache_root())
    for wheel in wheels:
        built = next((cache.root / "derived/sdist").glob(f"*/{wheel['file']}"), None)
        with zipfile.ZipFile(built or cache.blob(wheel["sha256"])) as archive:
            archive.extractall(site)
    for place in site.glob("*.data/*lib"):
        shutil.copytree(place, site, dirs_exist_ok=True)
    for place in site.glob("*.data"):
        shutil.rmtree(place)


@pytest.mark.parametrize("service", _SERVICES)
def test_every_module_that_stays_imports_as_before(
    service: str, dist: Dist, runtime: Unpacked, tmp_path: Path
) -> None:
    own = unpack(dist, f"backendai-{service}", service, tmp_path / "after")
    python = next(runtime.site.parents[2].glob("bin/python3.*"))
    after = Environment(python=python, sites=[own.site, runtime.site], seconds=_SECONDS)
    whole = tmp_path / "whole"
    write_whole([*own.wheels, *runtime.wheels], whole)
    compile_tree(python, whole, jobs=2)  # importing the sources anew takes ten times as long
    before = Environment(python=python, sites=[whole], seconds=_SECONDS)
    stays = find_modules(after.sites)
    removed = set(find_modules(before.sites)) - set(stays)
    assert find_uses(after.sites, removed) == []
    found = import_modules(after, stays, tmp_path / "work-after", jobs=2)
    failed = [module for module, error in found.items() if error]
    known = import_modules(before, failed, tmp_path / "work-before", jobs=2)
    assert compare(known, {module: found[module] for module in failed}) == []
    assert len(failed) < len(stays) / 5


# What the release calls: images of ECR, objects of S3, and the credentials for both.
_AWS = ("s3", "ecr", "ecr-public", "sts", "sso", "sso-oidc")
_CLIENTS = """
import sys, boto3
for name in sys.argv[1:]:
    boto3.client(name, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    print(name)
"""


@pytest.mark.parametrize("service", ["manager", "storage-proxy"])
def test_the_services_of_aws_that_a_release_calls_are_known(
    service: str, dist: Dist, runtime: Unpacked, tmp_path: Path
) -> None:
    own = unpack(dist, f"backendai-{service}", service, tmp_path)
    python = next(runtime.site.parents[2].glob("bin/python3.*"))
    path = f"{own.site}:{runtime.site}"
    done = run([python, "-c", _CLIENTS, *_AWS], env={"PYTHONPATH": path, "HOME": str(tmp_path)})
    assert done.stdout.split() == list(_AWS)


def find_uses(sites: Sequence[Path], removed: set[str]) -> list[str]:
    """The modules that name a removed one in an import, wherever in their code."""
    return sorted(
        f"{path.relative_to(site)} imports {name}"
        for site in sites
        for path in site.rglob("*.py")
        for name in imported(path, site)
        if name in removed
    )


def imported(path: Path, site: Path) -> Iterator[str]:
    parts = path.relative_to(site).with_suffix("").parts
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Of a package's __init__, one dot is the package itself: its name is a part, too.
            base = list(parts[: len(parts) - node.level]) if node.level else []
            module = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_the_list_of_services_is_that_of_the_release(real_spec: Spec) -> None:
    release = real_spec.release(None)
    named = [f"backendai-{service}" for service in _SERVICES]
    found = [name for name in release.packages if real_spec.packages[name].has_environment]
    assert sorted(found) == sorted(named)
