"""A package as JSON: every fact under a stable name."""

from collections.abc import Mapping
from typing import Any

from builder.inspect.deb822 import encode
from builder.inspect.package import Package

_SCHEMA = 1


def package_dict(package: Package, *, files: bool, scripts: bool) -> dict[str, object]:
    """Return the package for JSON, with its listing and its scripts' text on request."""
    contents, metadata = package.contents, package.metadata
    info = package.build_info or {}
    return {
        "schema": _SCHEMA,
        "file": str(package.path),
        "format": contents.fmt.value,
        "name": metadata.name,
        "version": metadata.version,
        "arch": metadata.arch,
        "summary": metadata.summary,
        "description": metadata.description,
        "licence": package.licence,
        "maintainer": metadata.maintainer,
        "vendor": metadata.vendor,
        "homepage": metadata.homepage,
        "section": metadata.section,
        "compression": contents.compression,
        "size": package.size,
        "installed_size": metadata.installed_size,
        "file_count": package.file_count,
        "relations": {kind.value: list(rows) for kind, rows in contents.relations.items()},
        "scripts": [
            {
                "name": script.name,
                "interpreter": script.interpreter,
                "length": len(encode(script.text)),
                **({"text": script.text} if scripts else {}),
            }
            for script in contents.scripts
        ],
        "triggers": list(contents.triggers),
        "conffiles": list(contents.conffiles),
        "units": list(package.units),
        **_built_from(info),
        "build_info": package.build_info,
        "folders": [
            {"name": folder.name, "size": folder.size, "files": folder.files}
            for folder in package.folders
        ],
        **({"files": _listing(package)} if files else {}),
    }


def _built_from(info: Mapping[str, Any]) -> dict[str, object]:
    """Return the Python part of build-info.json; ``shared`` are wheels of the runtime."""
    return {
        "runtime": info.get("runtime"),
        "glibc": info.get("glibc"),
        "wheels": info.get("wheels", []),
        "shared": info.get("shared", []),
        "pruned": info.get("pruned", []),
    }


def _listing(package: Package) -> list[dict[str, object]]:
    return [
        {
            "path": file.path,
            "mode": f"{file.mode:06o}",
            "owner": file.owner,
            "group": file.group,
            "size": file.size,
            **({"link": file.link} if file.link else {}),
        }
        for file in package.contents.files
    ]
