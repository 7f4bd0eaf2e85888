"""``dist/manifest.json``: the built packages, with hashes and inputs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from builder.base.errors import UsageError
from builder.base.files import check_file_name
from builder.base.parse import TextError, parse_json, shown
from builder.base.storage import replacing
from builder.pack.packing import Artifact

MANIFEST = "manifest.json"
_SCHEMA = 1


def manifest_entry(artifact: Artifact) -> dict[str, object]:
    """Return the manifest's entry for one artifact."""
    return {
        "name": artifact.name,
        "version": artifact.version,
        "format": artifact.fmt.value,
        "arch": artifact.arch,
        "file": artifact.file,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "sbom": {"file": artifact.sbom_file, "sha256": artifact.sbom_sha256},
        "inputs": dict(artifact.inputs),
    }


def load_manifest(out: Path) -> list[dict[str, Any]]:
    """Load the entries of the manifest in ``out``; none if there is no readable manifest.

    Raises UsageError if an entry names a file anywhere but beside the manifest.
    """
    try:
        table = parse_json((out / MANIFEST).read_bytes())
    except (OSError, TextError):
        return []
    entries = table.get("packages") if isinstance(table, dict) else None
    listed = entries if isinstance(entries, list) else []
    named = [entry for entry in listed if isinstance(entry, dict) and "file" in entry]
    for entry in named:
        _check_file_name(out / MANIFEST, entry["file"])
    return named


def _check_file_name(manifest: Path, name: object) -> None:
    try:
        check_file_name(str(name) if isinstance(name, str) else "")
    except ValueError as error:
        raise UsageError(
            f"{manifest}: an entry names {shown(name)}, which is no file beside it",
            hint="build the packages again, or add the files by name with --no-manifest",
        ) from error


def merge_entries(
    present: Iterable[Mapping[str, Any]], made: Iterable[Mapping[str, Any]], files: set[str]
) -> list[Mapping[str, Any]]:
    """Return the new entries, and those of earlier builds whose file still exists. Pure."""
    merged = {entry["file"]: entry for entry in present if entry["file"] in files}
    merged |= {entry["file"]: entry for entry in made}
    return [merged[file] for file in sorted(merged)]


def write_manifest(out: Path, artifacts: Iterable[Artifact]) -> Path:
    """Add ``artifacts`` to the manifest in ``out``, by rename."""
    files = {path.name for path in out.iterdir()}
    entries = merge_entries(load_manifest(out), map(manifest_entry, artifacts), files)
    return save_manifest(out, entries)


def save_manifest(out: Path, entries: Sequence[Mapping[str, Any]]) -> Path:
    """Write the manifest of these entries, by rename."""
    path = out / MANIFEST
    text = json.dumps({"schema": _SCHEMA, "packages": list(entries)}, indent=2, sort_keys=True)
    with replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path
