"""Wheels leave the runtime for the services, and come back, by an upgrade of real packages.

A release has the client and the webserver. Its second revision adds a service that has one
of their wheels only: all others are no longer common, and move. The third is the first again.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from builder.base.model import PackageFormat
from builder.lock import load_lock, save_lock
from builder.lock.inputs import inputs_digest
from builder.spec import load_spec
from builder.verify.hosts import Host, HostSetup
from tests.helpers.toy import DATA_FOLDERS, PACKAGE, copy_with_toy
from tests.integration import checks
from tests.integration.apt import apt, refresh_lists
from tests.integration.dist import MOUNT
from tests.integration.dnf import become_distribution, dnf, make_repository
from tests.integration.images import Images, Suite
from tests.integration.revisions import build_in, raise_revision
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full]

_RELEASE = "26.9"
_SERVICES = ("client", "webserver")
_INSTALLED = ("backendai-runtime", "backendai-common", *(f"backendai-{name}" for name in _SERVICES))
_TOY = "backendai-toy"
_STAYS = "attrs"
_TOY_FILE = f"""\
name = "{_TOY}"
summary = "has one wheel"
description = "A service of a test."
depends-common = true

[python]
requirement = "{_STAYS}=={{version}}"

[service]
name = "toy"
"""
# What a service's Python finds, and where: a line for each distribution.
_FOUND = """
import importlib.metadata
for found in importlib.metadata.distributions():
    place = "runtime" if "/runtime/" in str(found.locate_file("")) else "service"
    print(found.metadata["Name"], found.version, place)
"""


def _project(root: Path, revision: int, *, with_toy: bool) -> Path:
    """A copy of the project whose release has these services alone."""
    attrs = next(
        wheel
        for wheel in load_lock(Path("pkgspec").resolve(), _RELEASE, "backendai-client").wheel
        if wheel.name == _STAYS
    )
    files = {PACKAGE: _TOY_FILE.format(version=attrs.version)}
    copy_with_toy(root, files, ("builder", *DATA_FOLDERS))
    release = root / f"pkgspec/releases/{_RELEASE}.toml"
    names = [*_INSTALLED, *([_TOY] if with_toy else [])]
    text = re.sub(
        r"packages = \[.*?\]",
        f"packages = {names}".replace("'", '"'),
        release.read_text(),
        flags=re.DOTALL,
    )
    release.write_text(text)
    raise_revision(release, revision)
    if not with_toy:
        (root / PACKAGE).unlink()
    _lock_again(root / "pkgspec")
    return root


def _lock_again(pkgspec: Path) -> None:
    """Let the locks fit the smaller family; the toy gets its one wheel from another's lock."""
    spec = load_spec(pkgspec)
    release = spec.release(_RELEASE)
    family = [spec.packages[name] for name in release.packages]
    for package in family:
        if package.python is None:
            continue
        source = "backendai-client" if package.name == _TOY else package.name
        lock = load_lock(pkgspec, _RELEASE, source)
        changed: dict[str, object] = {
            "inputs": inputs_digest(package, release, family),
            "package": package.name,
        }
        if package.name == _TOY:
            changed["wheel"] = tuple(wheel for wheel in lock.wheel if wheel.name == _STAYS)
        save_lock(pkgspec, lock.model_copy(update=changed))


@pytest.fixture(scope="module")
def revisions(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The packages of revisions 97 (as today), 98 (with the toy) and 99 (as today)."""
    root = tmp_path_factory.mktemp("moved")
    made = {}
    for revision in (97, 98, 99):
        project = _project(root / str(revision), revision, with_toy=revision == 98)
        made[revision] = root / "dist" / str(revision)
        build_in(project, made[revision], *_INSTALLED, "--release", _RELEASE)
    return made


def _files(folder: Path, kind: PackageFormat) -> list[str]:
    return [f"{folder.name}/{path.name}" for path in sorted(folder.glob(f"*.{kind}"))]


def _check(host: Host, *, shared: bool) -> None:
    """Each service's Python finds the same distributions as ever, and only one of each."""
    for service in _SERVICES:
        assert not checks.check_python(host, service)
        python = f"{checks.ROOT}/{service}/bin/python3"
        lines = host.run([python, "-I", "-B", "-c", _FOUND]).stdout.splitlines()
        found = [tuple(line.split()) for line in lines]
        names = [name.lower() for name, _, _ in found]
        assert len(set(names)) == len(names), sorted(names)
        places = {name.lower(): place for name, _, place in found}
        assert places[_STAYS] == "runtime"
        assert places["aiohttp"] == ("runtime" if shared else "service"), places
    host.run(["backend.ai", "--version"])


def _owners(host: Host, query: str) -> None:
    """No file below the prefixes belongs to two packages."""
    lists = "; ".join(f"{query} {name} | grep -v '/$'" for name in _INSTALLED)
    script = f"{{ {lists}; }} | grep ^/opt/backendai/ | sort | uniq -d | xargs -r ls -dU | head -50"
    twice = host.run(script, check=False).stdout.splitlines()
    assert not [path for path in twice if host.run(["test", "-d", path], check=False).status]


def _walk(steps: Steps, to: Callable[[int], None], check: Callable[[int], None]) -> None:
    for revision in (97, 98, 99, 98, 97):
        with steps(f"to revision {revision}"):
            to(revision)
        check(revision)


def _mounts(revisions: dict[int, Path]) -> dict[Path, str]:
    return {next(iter(revisions.values())).parent: MOUNT}


def test_by_apt(
    engine: docker.DockerClient, images: Images, revisions: dict[int, Path], steps: Steps
) -> None:
    image = images.base(Suite.TRIXIE)
    with Host(engine, HostSetup(image=image, name="moved", mounts=_mounts(revisions))) as host:
        refresh_lists(host)

        def to(revision: int) -> None:
            files = _files(revisions[revision], PackageFormat.DEB)
            apt(host, "install", "--allow-downgrades", *(f"{MOUNT}/{name}" for name in files))

        def check(revision: int) -> None:
            assert not host.run(["dpkg", "--audit"]).stdout
            _owners(host, "dpkg -L")
            _check(host, shared=revision != 98)

        _walk(steps, to, check)


@dataclass(frozen=True, kw_only=True)
class _RpmNode:
    """A host that dnf takes for the distribution, and the rpms of each revision."""

    host: Host
    files: dict[int, list[str]]


@pytest.fixture
def rpm_node(
    engine: docker.DockerClient, images: Images, revisions: dict[int, Path], tmp_path: Path
) -> Iterator[_RpmNode]:
    """A host with a dnf repository of all revisions; nothing of them is installed."""
    files = {number: _files(folder, PackageFormat.RPM) for number, folder in revisions.items()}
    every = [name for names in files.values() for name in names]
    setup = HostSetup(image=images.rpm(), name="moved-rpm", mounts=_mounts(revisions))
    with Host(engine, setup) as host:
        become_distribution(host, every, tmp_path)
        make_repository(host, every)
        yield _RpmNode(host=host, files=files)


def test_by_dnf(rpm_node: _RpmNode, steps: Steps) -> None:
    host = rpm_node.host

    def to(revision: int) -> None:
        installed = host.run(["rpm", "-q", _INSTALLED[0]], check=False).stdout
        older = "-26.9.6-99." in installed or (revision == 97 and "-26.9.6-98." in installed)
        dnf(host, "downgrade" if older else "install", *_named(revision))

    def check(revision: int) -> None:
        host.run(["rpm", "--verify", "--nodeps", *_INSTALLED[:1]])
        _owners(host, "rpm -ql")
        _check(host, shared=revision != 98)

    _walk(steps, to, check)


def _named(revision: int) -> list[str]:
    return [f"{name}-26.9.6-{revision}" for name in _INSTALLED]


def test_by_rpm_alone(rpm_node: _RpmNode, steps: Steps) -> None:
    host, files = rpm_node.host, rpm_node.files
    dnf(host, "install", *_named(97))
    for revision in (98, 99):
        with steps(f"rpm -U to revision {revision}"):
            host.run(["rpm", "-U", *(f"{MOUNT}/{name}" for name in files[revision])], timeout=400)
        _owners(host, "rpm -ql")
        _check(host, shared=revision != 98)
