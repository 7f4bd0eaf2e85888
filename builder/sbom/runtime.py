"""Takes the inventory of a bundled CPython: itself, and the libraries that travel with it."""

import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from builder.base.model import Arch, host_arch
from builder.base.paths import PKGSPEC
from builder.base.run import run
from builder.runtime.model import Runtime
from builder.sbom.model import LicenceFacts, Part, PartKind
from builder.sbom.texts import read_holders
from builder.spec.components import ComponentsSpec, LibraryFacts
from builder.spec.validate import load_model

COMPONENTS_FILE = PKGSPEC / "components.toml"
REF = "runtime:cpython"
_LICENCES = Path("share", "licenses")  # which runtime/bundle.py writes
_BUNDLED = _LICENCES / "bundled.txt"
# What an interpreter knows of the libraries inside of its own modules.
_QUESTION = """
import json
found = {}
def ask(name, module, attribute):
    try:
        found[name] = str(getattr(__import__(module), attribute))
    except (ImportError, AttributeError):
        pass
ask("openssl", "ssl", "OPENSSL_VERSION")
ask("sqlite", "sqlite3", "sqlite_version")
ask("zlib", "zlib", "ZLIB_RUNTIME_VERSION")
ask("expat", "pyexpat", "EXPAT_VERSION")
ask("mpdecimal", "_decimal", "__libmpdec_version__")
print(json.dumps(found))
"""
_NUMBER = re.compile(r"\d+(\.\d+)*[a-z]?")


@functools.cache
def library_facts() -> tuple[LibraryFacts, ...]:
    """Return ``pkgspec/components.toml``."""
    label = f"{PKGSPEC.name}/{COMPONENTS_FILE.stem}"
    return load_model(
        ComponentsSpec, COMPONENTS_FILE, label, hint="the schema is in pkgspec/schema/"
    ).library


def cpython_purl(version: str) -> str:
    """Return the package URL of CPython."""
    return f"pkg:generic/python@{version}"


def runtime_part(runtime: Runtime, prefix: PurePosixPath) -> Part | None:
    """Return CPython at ``prefix`` with its libraries; None where the distribution brings it."""
    if runtime.tree is None:
        return None
    version = runtime.version
    return Part(
        ref=REF,
        kind=PartKind.RUNTIME,
        name="CPython",
        version=version,
        purl=cpython_purl(version),
        cpe=f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        sha256=runtime.sha256,
        file=runtime.origin.rpartition("/")[2],
        origin=runtime.origin if runtime.origin.startswith("https://") else "",
        source=f"the runtime's provider '{runtime.provider}'",
        licence=LicenceFacts(
            expression="PSF-2.0",
            files=(f"{prefix / _LICENCES}/cpython/LICENSE",),
            holders=("2001-2026 Python Software Foundation",),
        ),
        places=tuple(f"{prefix}/{folder}/*".lstrip("/") for folder in ("bin", "lib", "share")),
        parts=_libraries(runtime, runtime.tree, prefix),
    )


def _libraries(runtime: Runtime, tree: Path, prefix: PurePosixPath) -> tuple[Part, ...]:
    packaged = list(_packaged(tree, runtime.options.get("built-on", ""), runtime.arch, prefix))
    have = {part.name for part in packaged}
    built_in = [part for part in _built_in(runtime, tree) if part.name not in have]
    return tuple(sorted([*packaged, *built_in], key=lambda part: part.ref))


def _bundled_packages(tree: Path) -> dict[tuple[str, str], list[str]]:
    """Return the sonames of each package and version that libraries were bundled from."""
    table = tree / _BUNDLED
    text = table.read_text(encoding="utf-8") if table.is_file() else ""
    packages: dict[tuple[str, str], list[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            soname, package, version = line.split("\t")
            packages.setdefault((package, version), []).append(soname)
    return packages


def _packaged(tree: Path, host: str, arch: Arch, prefix: PurePosixPath) -> Iterator[Part]:
    """Yield the libraries that were bundled from packages of the build host."""
    for (package, version), sonames in _bundled_packages(tree).items():
        facts = _known(package)
        upstream = upstream_version(version)
        texts = [] if package.startswith("/") else sorted((tree / _LICENCES / package).glob("*"))
        yield Part(
            ref=f"{REF}/{package}",
            kind=PartKind.LIBRARY,
            name=facts.name if facts else package,
            version=upstream,
            purl=_distribution_purl(package, version, host, arch),
            cpe=_cpe(facts, upstream),
            file=", ".join(sorted(sonames)),
            source="the build host's package, whose version has its fixes",
            licence=LicenceFacts(
                expression=facts.licence if facts else "",
                files=tuple(f"{prefix / path.relative_to(tree)}" for path in texts),
                holders=tuple(read_holders(path for path in texts if path.name == "copyright")),
            ),
            places=tuple(f"{prefix}/lib/{soname}".lstrip("/") for soname in sorted(sonames)),
        )


def _built_in(runtime: Runtime, tree: Path) -> Iterator[Part]:
    """Yield the libraries that the interpreter itself knows, if it runs here."""
    if runtime.arch is not host_arch() or not runtime.python.is_relative_to(tree):
        return
    stated = json.loads(run([runtime.python, "-I", "-c", _QUESTION]).stdout)
    for facts in library_facts():
        match = _NUMBER.search(stated.get(facts.name, ""))
        if match:
            yield Part(
                ref=f"{REF}/{facts.name}",
                kind=PartKind.LIBRARY,
                name=facts.name,
                version=match[0],
                purl=f"pkg:generic/{facts.name}@{match[0]}",
                cpe=_cpe(facts, match[0]),
                source="the interpreter",
                licence=LicenceFacts(expression=facts.licence),
            )


def _known(package: str) -> LibraryFacts | None:
    return next((facts for facts in library_facts() if facts.matches(package)), None)


def _cpe(facts: LibraryFacts | None, version: str) -> str:
    return f"cpe:2.3:a:{facts.cpe}:{version}:*:*:*:*:*:*:*" if facts and facts.cpe else ""


def upstream_version(version: str) -> str:
    """Return the upstream version in a distribution's: 1.2.13 of 1:1.2.13.dfsg-1."""
    match = _NUMBER.match(version.partition(":")[2] if ":" in version else version)
    return match[0] if match else version


def _distribution_purl(package: str, version: str, host: str, arch: Arch) -> str:
    """Return the package URL of a build host's package; ``host`` is as in build-info.json."""
    if package.startswith("/"):
        return ""
    words: Sequence[str] = host.split()
    name = words[0].lower() if words else "linux"
    number = next((word for word in words[1:] if word[:1].isdigit()), "")
    is_deb = name in ("debian", "ubuntu")
    kind, spelled = ("deb", arch.value) if is_deb else ("rpm", arch.machine)
    distro = f"&distro={name}-{number}" if number else ""
    return f"pkg:{kind}/{name}/{quote(package)}@{quote(version, safe='')}?arch={spelled}{distro}"
