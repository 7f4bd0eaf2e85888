"""Small pkgspec folders and what is planned from them."""

from pathlib import Path

from builder.base.model import Arch
from builder.lock import Lock, LockedDistribution, LockedFile, save_lock
from builder.lock.inputs import inputs_digest
from builder.plan import PackagePlan, PlanInput, plan_package
from builder.spec import Spec, load_spec

PROJECT = """
maintainer = "Packager <packager@example.org>"
vendor = "Example"
homepage = "https://example.org"
licence = "Apache-2.0"
common = "example-common"
runtime = "example-runtime"
own-folders = ["backendai", "example"]

[libraries]
"libc.so.6" = { deb = "libc6" }
"""

COMMON = """
name = "example-common"
summary = "what all services share"
description = "The folders."

[[payload]]
source = "postinst/tool"
target = "/usr/bin/example-tool"
mode = "0755"
"""

RUNTIME = """
name = "example-runtime"
summary = "what all services run on"
description = "CPython, and the wheels of all."
runtime = true
"""

SERVICE = """
name = "example-service"
summary = "a service of the tests"
description = "It serves nobody."
depends-common = true

[python]
requirement = "example-service"

[service]
name = "service"
module = "example.server"

[[payload]]
source = "systemd/service.service.j2"
target = "/usr/lib/systemd/system/example-service.service"

[[payload]]
source = "postinst/service.conf"
target = "/etc/example/service.conf"
kind = "conffile"
mode = "0640"
group = "example"

[[payload]]
target = "/var/lib/example"
kind = "dir"
mode = "0750"
owner = "example"
group = "example"

[[payload]]
target = "/usr/bin/example"
kind = "symlink"
link = "/opt/backendai/service/bin/example"

[[payload]]
source = "postinst/run-service"
target = "/opt/backendai/service/bin/run-service"
mode = "0755"

[[payload]]
source = "systemd/service.preset"
target = "/usr/lib/systemd/system-preset/80-example.preset"
formats = ["rpm"]

[deb]
depends = ["adduser"]
recommends = ["curl"]
triggers-interest = ["/usr/lib/example"]
scripts = { postinst = "debian/postinst.j2", prerm = "debian/prerm" }

[rpm]
depends = ["shadow-utils"]
scripts = { post = "rpm/post.j2", posttrans = "rpm/posttrans" }
"""

PACKAGES = {"example-runtime": RUNTIME, "example-common": COMMON, "example-service": SERVICE}

RELEASE = """
name = "1.0"
version = "1.0.2"
default = true
index-until = 2026-01-01T00:00:00Z
packages = ["example-runtime", "example-common", "example-service"]

[[changelog]]
version = "1.0.2"
day = 2026-01-02
changes = ["First packages."]
"""

SOURCES = {
    "postinst/tool": b"#!/bin/sh\n",
    "postinst/service.conf": b"[service]\n",
    "postinst/run-service": b"#!/bin/sh\n",
    "systemd/service.service.j2": b"[Service]\nExecStart={{ prefix }}/bin/run-service\n",
    "systemd/service.preset": b"enable example-service.service\n",
    "debian/postinst.j2": b"#!/bin/sh\necho {{ package.name | sh }} {{ format }}\n",
    "debian/prerm": b"#!/bin/sh\n",
    "rpm/post.j2": b"echo {{ version }} {{ format }}\n",
    "rpm/posttrans": b"true\n",
}


def write_pkgspec(
    root: Path,
    *,
    packages: dict[str, str] | None = None,
    releases: dict[str, str] | None = None,
    project: str = PROJECT,
) -> Path:
    """Write a pkgspec folder: the one above, unless other texts are given by name."""
    folder = root / "pkgspec"
    given = {
        "packages": packages or PACKAGES,
        "releases": releases or {"1.0": RELEASE},
    }
    for kind, texts in given.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / kind / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "project.toml").write_text(project, encoding="utf-8")
    return folder


def write_sources(project: Path) -> None:
    """Write what the packages above ship below ``project``."""
    for name, data in SOURCES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(data)


def write_project(root: Path) -> Spec:
    """Write a whole project below ``root``: the pkgspec, its lock, what is shipped."""
    write_sources(root)
    spec = load_example(root)
    save_lock(spec.root, make_lock(spec))
    return spec


def load_example(root: Path) -> Spec:
    """The spec above, written below ``root`` and loaded."""
    return load_spec(write_pkgspec(root))


def locked(
    name: str, version: str, *files: str, arch: Arch | None = None, sha256: str = "ab" * 32
) -> LockedDistribution:
    """A distribution of a lock, by the file names alone."""
    return LockedDistribution(
        name=name,
        version=version,
        files=tuple(LockedFile(file=file, sha256=sha256, size=10, arch=arch) for file in files),
    )


def make_lock(
    spec: Spec,
    name: str = "example-service",
    wheels: tuple[LockedDistribution, ...] | None = None,
    *,
    sample: tuple[LockedDistribution, ...] = (),
) -> Lock:
    """A lock of the default release that fits the spec."""
    release, package = spec.release(None), spec.packages[name]
    default = locked("example-service", release.version, "example_service-1.0.2-py3-none-any.whl")
    table = {
        "release": release.name,
        "version": release.version,
        "package": package.name,
        "python": "3.13",
        "requires-python": ">=3.13",
        "glibc": release.glibc,
        "inputs": inputs_digest(package, release, [spec.packages[n] for n in release.packages]),
        "wheel": (default,) if wheels is None else wheels,
        "sample": sample,
    }
    return Lock.model_validate(table)


def plan_example(
    spec: Spec, name: str = "example-service", *, sample: str | None = None
) -> PackagePlan:
    """The plan of one of the packages above; ``sample`` is a distribution for its samples."""
    release, package = spec.release(None), spec.packages[name]
    samples = (locked(sample, "1.0.2", f"{sample}-1.0.2-py3-none-any.whl"),) if sample else ()
    lock = make_lock(spec, name, sample=samples) if package.python else None
    given = PlanInput(
        project=spec.project,
        release=release,
        sources=SOURCES,
        packages=list(spec.packages.values()),
        locks={"example-service": make_lock(spec)} if "example-service" in spec.packages else {},
    )
    return plan_package(package, lock, Arch.AMD64, given)
