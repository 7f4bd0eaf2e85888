"""Installed wheels and inventories for the tests of SBOMs, without uv."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from builder.base.model import PackageFormat
from builder.sbom.cyclonedx import Subject
from builder.sbom.model import Inventory, LicenceFacts, Part, PartKind
from builder.wheels.install import InstalledWheel
from builder.wheels.model import WheelFile
from tests.helpers.wheelhouse import Recipe

SITE = "lib/python3.13/site-packages"


def unpacked(recipe: Recipe, folder: Path, metadata: str = "") -> InstalledWheel:
    """The wheel of ``recipe`` as a tree of its own; ``metadata`` is added to its METADATA."""
    folder.mkdir(parents=True, exist_ok=True)
    path = recipe.write(folder)
    tree = folder / recipe.stem
    site = tree / SITE
    with zipfile.ZipFile(path) as archive:
        archive.extractall(site)
    info = f"{recipe.stem}-{recipe.version}.dist-info"
    with (site / info / "METADATA").open("a", encoding="utf-8") as file:
        file.write(metadata)
    wheel = WheelFile(
        name=recipe.name, version=recipe.version, file=path.name, sha256="ab" * 32, path=path
    )
    record = f"{SITE}/{info}/RECORD"
    return InstalledWheel(wheel=wheel, tree=tree, record=record, scripts=(), elf=())


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write files of these texts below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def example_inventory() -> Inventory:
    """A CPython with a library, two wheels with libraries in one, and a package below."""
    library = Part(
        ref="runtime:cpython/libssl3",
        kind=PartKind.LIBRARY,
        name="openssl",
        version="3.0.19",
        purl="pkg:deb/debian/libssl3@3.0.19-1~deb12u2?arch=amd64&distro=debian-12",
        cpe="cpe:2.3:a:openssl:openssl:3.0.19:*:*:*:*:*:*:*",
        licence=LicenceFacts(expression="Apache-2.0"),
    )
    runtime = Part(
        ref="runtime:cpython",
        kind=PartKind.RUNTIME,
        name="CPython",
        version="3.13.15",
        purl="pkg:generic/python@3.13.15",
        sha256="12" * 32,
        origin="https://example.org/Python-3.13.15.tar.xz",
        licence=LicenceFacts(expression="PSF-2.0"),
        parts=(library,),
    )
    bundled = Part(
        ref="wheel:two/libz.so.1", kind=PartKind.FILE, name="libz", sha256="34" * 32, file="libz.so"
    )
    second = Part(
        ref="wheel:two",
        kind=PartKind.WHEEL,
        name="two",
        version="2.0",
        purl="pkg:pypi/two@2.0",
        sha256="ef" * 32,
        licence=LicenceFacts(text="Proprietary"),
        parts=(bundled,),
    )
    first = Part(
        ref="wheel:one",
        kind=PartKind.WHEEL,
        name="one",
        version="1.0",
        purl="pkg:pypi/one@1.0",
        sha256="cd" * 32,
        file="one-1.0-py3-none-any.whl",
        source="the wheel's metadata",
        licence=LicenceFacts(text="MIT License"),
        requires=("package:below", "wheel:two"),
    )
    below = Part(ref="package:below", kind=PartKind.PACKAGE, name="below")
    return Inventory(
        parts=(below, runtime, first, second), requires=("runtime:cpython", "wheel:one")
    )


def example_subject(fmt: PackageFormat = PackageFormat.DEB) -> Subject:
    """The package that the inventory is of."""
    return Subject(
        name="example",
        version="1.0-2",
        fmt=fmt,
        arch="amd64",
        licence="LGPL-3.0-or-later",
        supplier="Example Ltd",
        description="an example",
        epoch=1767312000,
        tools=(("backendai-builder", "0.1.0"), ("nfpm", "2.48.0")),
    )
