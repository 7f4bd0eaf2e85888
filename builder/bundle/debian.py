"""The distribution's packages that those of a bundle need, from the build host's Debian mirror.

apt resolves them for a host that has nothing yet, and verifies what it downloads; so the result
is enough for any host of the suite, whatever it has. Of recommendations none is followed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from builder.base import log
from builder.base.errors import FetchError, ToolError, UsageError
from builder.base.files import hash_file
from builder.base.model import Arch
from builder.base.run import find_tool, run
from builder.inspect.deb822 import parse_fields
from builder.repo.deb_package import control_paragraph
from builder.repo.model import POOL, DebRecord, RepoPackage

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SUITE = re.compile(r"[a-z]+")
_FOLDERS = (
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "lists/partial",
    "cache/archives/partial",
)
_APT_HINT = "dependencies are resolved by apt: make the bundle on a Debian host"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The packages to resolve, and the repository that has them."""

    suite: str
    arch: Arch
    names: tuple[str, ...]
    tree: Path  # the bundle's own
    channel: str
    components: tuple[str, ...]
    key: PurePosixPath  # in the tree


def fetch_dependencies(wanted: Wanted, work: Path) -> list[Path]:
    """Download what ``wanted`` needs of the suite; returns the debs, sorted by name.

    Raises UsageError for a suite that the mirror lacks, FetchError if apt cannot resolve or
    download.
    """
    if not _SUITE.fullmatch(wanted.suite):
        raise UsageError(f"'{wanted.suite}' is no suite of Debian", hint="such as trixie")
    apt_get = find_tool("apt-get", hint=_APT_HINT)
    root = work / f"apt-{wanted.suite}"
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True)
    (root / "status").touch()
    sources = root / "bundle.sources"
    sources.write_text(_sources(wanted, _mirrors(apt_get)), encoding="utf-8")
    command = [str(apt_get), "--quiet", *_options(root, sources, wanted.arch)]
    log.step(f"resolving dependencies in {wanted.suite}")
    _run([*command, "update", "-o", "APT::Update::Error-Mode=any"], wanted)
    install = ["install", "--yes", "--download-only", "--no-install-recommends"]
    _run([*command, *install, *wanted.names], wanted)
    debs = sorted((root / "cache/archives").glob("*.deb"), key=lambda path: path.name)
    log.step(f"{len(debs)} packages of {wanted.suite} come along")
    return debs


def read_dependencies(
    debs: Sequence[Path], component: str, now: datetime
) -> list[tuple[Path, RepoPackage]]:
    """Return each file with its package for an index, sorted by the package's name."""
    dpkg_deb = find_tool("dpkg-deb", hint=_APT_HINT)
    found = []
    for path in debs:
        control = run([dpkg_deb, "--field", path]).stdout
        fields = parse_fields(control)
        # apt writes the colon of an epoch as %3a; a path in an index is not an address.
        name = path.name.replace("%3a", "-epoch-")
        package = RepoPackage(
            name=fields["package"],
            version=fields["version"],
            arch=fields["architecture"],
            component=component,
            file=name,
            pool=POOL / "dependencies" / name,
            sha256=hash_file(path),
            size=path.stat().st_size,
            added=now,
            record=DebRecord(control=control_paragraph(control)),
        )
        found.append((path, package))
    return sorted(found, key=lambda row: (row[1].name, row[1].version, row[1].arch))


def _options(root: Path, sources: Path, arch: Arch) -> list[str]:
    settings = {
        "Dir": root,
        "Dir::State": root,
        "Dir::State::status": root / "status",
        "Dir::State::lists": root / "lists",
        "Dir::Cache": root / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",  # _apt cannot enter a private folder
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _sources(wanted: Wanted, mirrors: dict[str, str]) -> str:
    """Return the sources: the suite with its updates, its security, and the bundle's own."""
    suite = wanted.suite
    rows = [
        (mirrors["Debian"], f"{suite} {suite}-updates", "main", _KEYRING),
        (
            f"file:{wanted.tree}",
            wanted.channel,
            " ".join(wanted.components),
            wanted.tree / wanted.key,
        ),
    ]
    if "Debian-Security" in mirrors:
        rows.append((mirrors["Debian-Security"], f"{suite}-security", "main", _KEYRING))
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: {components}\nSigned-By: {key}\n"
        for uri, suites, components, key in rows
    )


def _mirrors(apt_get: Path) -> dict[str, str]:
    form = "$(LABEL)\t$(REPO_URI)"
    found: dict[str, str] = {}
    for line in run([apt_get, "indextargets", "--format", form]).stdout.splitlines():
        label, _, uri = line.partition("\t")
        found.setdefault(label, uri.rstrip("/"))
    if "Debian" not in found:
        raise ToolError("apt on this host has no Debian mirror", hint=_APT_HINT)
    return found


def _run(command: list[str], wanted: Wanted) -> None:
    try:
        run(command)
    except ToolError as error:
        lines = [line for line in error.message.splitlines() if "E:" in line or "Depends:" in line]
        reasons = "\n".join(line.strip() for line in lines) or error.message
        raise FetchError(
            f"apt cannot resolve {', '.join(wanted.names)} for {wanted.suite}:\n{reasons}",
            hint=f"check that the mirror has {wanted.suite}, and run it again",
        ) from error
