"""Moves the pin of a CPython's source to a version that somebody offers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import tomlkit
from packaging.version import Version

from builder.base.errors import SpecError, UsageError
from builder.base.storage import replacing
from builder.runtime.offers import SourceOffer
from builder.runtime.pins import Pins, SourcePin, parse_pins


def choose_offer(offers: Iterable[SourceOffer], wanted: str) -> Sequence[SourceOffer]:
    """Return the offers of a version, or of the newest of a minor version.

    Raises UsageError if there are none.
    """
    fitting = [offer for offer in offers if wanted in (offer.version, _minor(offer.version))]
    if not fitting:
        raise UsageError(
            f"nobody offers a CPython {wanted}",
            hint="'builder runtime check' shows who has which; --suite asks others of Debian",
        )
    newest = max((offer.version for offer in fitting), key=Version)
    return [offer for offer in fitting if offer.version == newest]


def make_pin(offers: Sequence[SourceOffer], sha256: str | None) -> SourcePin:
    """Return the pin of one version that ``offers`` are of.

    Raises SpecError if they differ in the tarball's sha256, or nobody states one.
    """
    stated = {offer.place: offer.sha256 for offer in offers if offer.sha256}
    if sha256 is not None:
        stated["--sha256"] = sha256
    version = offers[0].version
    sums = set(stated.values())
    if len(sums) > 1:
        listed = ", ".join(f"{place}: {value}" for place, value in stated.items())
        raise SpecError([f"CPython {version} has not one sha256: {listed}"])
    if not sums:
        raise SpecError(
            [f"{offers[0].place} states no sha256 of CPython {version}"],
            hint="check its signature by hand, and name the sha256 with --sha256",
        )
    debian = next((offer for offer in offers if offer.debian_file), None)
    minor = _minor(version)
    return SourcePin(
        version=version,
        sha256=sums.pop(),
        file=f"Python-{version}.tar.xz",
        # Debian packs what upstream released, under these names.
        debian_file=debian.debian_file if debian else f"python{minor}_{version}.orig.tar.xz",
        debian_pool=debian.debian_pool if debian else f"pool/main/p/python{minor}/",
        debian_suite=debian.debian_suite if debian else "",
    )


def write_source_pin(path: Path, pin: SourcePin) -> SourcePin | None:
    """Write a pin into the file, in place of the one of the same minor version and suite.

    Pins of other suites stay: their tarballs are there as long as these suites are. Returns
    the replaced pin.
    """
    text = path.read_text(encoding="utf-8")
    old = _replaced(parse_pins(text, path.name), pin)
    document = tomlkit.parse(text)
    tables = document["source"]
    values = pin.model_dump(mode="json")
    found = [table for table in tables if old is not None and table["version"] == old.version]
    if found:
        for key, value in values.items():
            found[0][key] = value
    else:
        table = tomlkit.table()
        for key in ("version", "file", "debian_file", "debian_pool", "debian_suite", "sha256"):
            table[key] = values[key]
        if not tables[-1].as_string().endswith("\n\n"):
            tables[-1].add(tomlkit.nl())
        tables.append(table)
    written = tomlkit.dumps(document)
    parse_pins(written, path.name)  # never leave a file that the next build refuses
    with replacing(path) as part:
        part.write_text(written, encoding="utf-8")
    return old


def _replaced(pins: Pins, pin: SourcePin) -> SourcePin | None:
    same = [
        old
        for old in pins.source
        if old.minor == pin.minor
        and (old.version == pin.version or old.debian_suite == pin.debian_suite)
    ]
    return max(same, key=lambda old: Version(old.version), default=None)


def _minor(version: str) -> str:
    return version.rpartition(".")[0]
