"""The CPythons that python.org and Debian offer beside the pinned ones.

Nothing is offered without a sha256 that its publisher states: python.org in the SBOM of a
tarball, Debian in its source index, whose signature apt checks.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from packaging.version import Version

from builder.base import log, run
from builder.base.errors import FetchError, ToolError, UsageError
from builder.base.parse import TextError, parse_json
from builder.inspect.deb822 import parse_fields
from builder.net.http import fetch_text

UPSTREAM = "https://www.python.org/ftp/python"
_FOLDER = re.compile(r'href="(3\.\d+\.\d+)/"')
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHECKSUM = re.compile(r"(?P<sha256>[0-9a-f]{64}) \d+ (?P<file>\S+)")
_DEBIAN_FILE = re.compile(r"python3\.\d+_(?P<version>3\.\d+\.\d+)\.orig\.tar\.(?:xz|gz)")
_APT_TIMEOUT_S = 300
_NO_SUITE = "does not have a Release file"  # apt's words


@dataclass(frozen=True, kw_only=True)
class SourceOffer:
    """A tarball of CPython that somebody offers."""

    version: str
    place: str  # "python.org" or "Debian forky"
    url: str
    sha256: str  # empty where the publisher states none
    debian_file: str = ""
    debian_pool: str = ""
    debian_suite: str = ""


def list_upstream(base: str = UPSTREAM, client: httpx.Client | None = None) -> list[str]:
    """Return the versions that python.org's tree has folders of; raises FetchError."""
    return _FOLDER.findall(fetch_text(f"{base}/", client=client))


def find_upstream(
    minor: str, folders: Iterable[str], base: str = UPSTREAM, client: httpx.Client | None = None
) -> SourceOffer | None:
    """Return the newest release of ``minor`` among ``folders``; raises FetchError.

    A folder without the tarball of its own version has pre-releases only.
    """
    of_minor = {version for version in folders if version.rpartition(".")[0] == minor}
    for version in sorted(of_minor, key=Version, reverse=True):
        file = f"Python-{version}.tar.xz"
        listing = fetch_text(f"{base}/{version}/", client=client)
        if f'href="{file}"' in listing:
            url = f"{base}/{version}/{file}"
            sbom = f"{file}.spdx.json"
            stated = f'href="{sbom}"' in listing
            sha256 = _sbom_sum(f"{base}/{version}/{sbom}", file, client) if stated else ""
            return SourceOffer(version=version, place="python.org", url=url, sha256=sha256)
    return None


def _sbom_sum(url: str, file: str, client: httpx.Client | None) -> str:
    """Return the sha256 that a tarball's SBOM states of the tarball itself."""
    try:
        packages = parse_json(fetch_text(url, client=client))["packages"]
        sums = [
            checksum["checksumValue"]
            for package in packages
            if str(package.get("downloadLocation", "")).endswith(f"/{file}")
            for checksum in package.get("checksums", ())
            if checksum["algorithm"] == "SHA256"
        ]
    except (TextError, KeyError, TypeError, AttributeError) as error:
        raise FetchError(f"{url} is no SBOM of a tarball: {error}") from error
    if len(sums) != 1 or not _SHA256.fullmatch(str(sums[0])):
        raise FetchError(f"{url} states no sha256 of {file}")
    return str(sums[0])


@dataclass(frozen=True, kw_only=True)
class Apt:
    """The apt of this host, and the Debian mirror that it has."""

    get: str
    cache: str
    mirror: str

    def find_debian(self, minors: Sequence[str], suite: str) -> list[SourceOffer]:
        """Return the tarballs of ``minors`` in a suite of Debian, the newest of each.

        apt fetches and verifies the source index into a folder of its own. Raises UsageError
        where the mirror has no such suite, FetchError where it does not answer.
        """
        with tempfile.TemporaryDirectory(prefix="builder-apt-") as scratch:
            options = self._prepare(Path(scratch), suite)
            log.step(f"reading Debian's source index of {suite}")
            self._update(options, suite)
            names = [f"python{minor}" for minor in minors]
            words = [self.cache, *options, "showsrc", "--only-source", *names]
            shown = run.run(words, check=False).stdout
        offers = [
            offer
            for paragraph in shown.split("\n\n")
            for offer in read_source(paragraph, self.mirror, suite)
        ]
        return [
            max(own, key=lambda offer: Version(offer.version))
            for minor in minors
            if (own := [offer for offer in offers if offer.version.rpartition(".")[0] == minor])
        ]

    def _prepare(self, folder: Path, suite: str) -> list[str]:
        (folder / "lists" / "partial").mkdir(parents=True)
        sources = folder / "sources.list"
        sources.write_text(f"deb-src {self.mirror} {suite} main\n", encoding="utf-8")
        own = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder / "cache",
            "APT::Sandbox::User": "root",  # the folder is this user's alone
            "APT::Update::Error-Mode": "any",  # else a silent mirror is one that has nothing
        }
        return [word for key, value in own.items() for word in ("-o", f"{key}={value}")]

    def _update(self, options: Sequence[str], suite: str) -> None:
        words = ["timeout", str(_APT_TIMEOUT_S), self.get, *options, "--quiet", "update"]
        done = run.run(words, check=False)
        if done.status == 0:
            return
        if _NO_SUITE in done.stderr:
            raise UsageError(
                f"{self.mirror} has no suite {suite}",
                hint="--suite takes a suite's name or codename: stable, trixie, sid",
            )
        reasons = [line[3:] for line in done.stderr.splitlines() if line.startswith("E: ")]
        reason = reasons[0] if reasons else f"apt-get update exited with {done.status}"
        raise FetchError(reason, hint="check the network and apt's mirror; then run it again")


def debian_place(suite: str) -> str:
    """Return the name of a suite of Debian among the places that offer CPythons."""
    return f"Debian {suite}"


def find_apt() -> Apt:
    """Return the apt of this host; raises ToolError where it has none or no Debian mirror."""
    apt_get, apt_cache = shutil.which("apt-get"), shutil.which("apt-cache")
    if apt_get is None or apt_cache is None:
        raise ToolError("no apt on this host", hint="ask a Debian host, or python.org alone")
    return Apt(get=apt_get, cache=apt_cache, mirror=_mirror(apt_get))


def read_source(paragraph: str, mirror: str, suite: str) -> Iterator[SourceOffer]:
    """Yield the upstream tarball of a paragraph of a source index."""
    if not paragraph.strip():
        return
    fields = parse_fields(paragraph)
    directory = fields.get("directory", "")
    for line in fields.get("checksums-sha256", "").split("\n"):
        checksum = _CHECKSUM.fullmatch(line.strip())
        name = _DEBIAN_FILE.fullmatch(checksum["file"]) if checksum else None
        if checksum and name and directory:
            yield SourceOffer(
                version=name["version"],
                place=debian_place(suite),
                url=f"{mirror}/{directory}/{checksum['file']}",
                sha256=checksum["sha256"],
                debian_file=checksum["file"],
                debian_pool=f"{directory}/",
                debian_suite=suite,
            )


def _mirror(apt_get: str) -> str:
    form = "$(LABEL)\t$(REPO_URI)"
    for line in run.run([apt_get, "indextargets", "--format", form]).stdout.splitlines():
        label, _, uri = line.partition("\t")
        if label == "Debian":
            return uri.rstrip("/")
    raise ToolError("apt on this host has no Debian mirror", hint="ask a Debian host")
