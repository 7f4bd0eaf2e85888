"""nfpm's configuration, as data. Pure.

nfpm reads JSON as it reads YAML. The Python tree is one ``tree`` entry, whose files
keep their modes and times from the stage; every other file is listed with owner, mode
and time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

from builder.base.errors import SpecError
from builder.base.model import PackageFormat, Profile, full_version
from builder.base.paths import BUILD_INFO
from builder.plan import Entry, FormatPlan, Metadata, PackagePlan, doc_folder
from builder.spec.schema import PayloadKind

_CONFIG = "config|noreplace"
_SCRIPT_KEYS = {
    PackageFormat.DEB: {
        "preinst": "preinstall",
        "postinst": "postinstall",
        "prerm": "preremove",
        "postrm": "postremove",
    },
    PackageFormat.RPM: {
        "pre": "preinstall",
        "post": "postinstall",
        "preun": "preremove",
        "postun": "postremove",
    },
}
# The settings of a single format lie in a table of their own.
_DEB_ONLY = ("config", "templates")
_RPM_ONLY = ("pretrans", "posttrans")


class Compression(StrEnum):
    """The compression of a payload, in nfpm's spelling with a level.

    Measured on a service's tree of 43 MB: zstd:19 takes five times the time of zstd:3 and is
    14 % smaller; nfpm's default level lies between them in both. dpkg before 1.21.18
    (Debian 11) and rpm before el8.2 cannot read zstd; xz takes minutes for a service.
    """

    ZSTD = "zstd:3"
    ZSTD_SMALL = "zstd:19"
    XZ = "xz"
    GZIP = "gzip"


def compression_of(profile: Profile, fmt: PackageFormat) -> Compression:
    """Return the compression of a profile's packages."""
    if profile is Profile.COMPAT:
        return Compression.XZ if fmt is PackageFormat.DEB else Compression.GZIP
    return Compression.ZSTD_SMALL if profile is Profile.RELEASE else Compression.ZSTD


@dataclass(frozen=True, kw_only=True)
class PackInput:
    """The inputs of nfpm's configuration, beside the plan."""

    fmt: PackageFormat
    root: Path  # of the stage
    scripts: Mapping[str, Path]  # script name to the file it was written to
    changelog: Path  # of the file that changelog_entries were written to
    depends: Sequence[str]  # found by the stage
    made: Mapping[PurePosixPath, Path]  # documents that packing writes, by target
    licence: str
    epoch: int
    compression: Compression


def nfpm_config(plan: PackagePlan, given: PackInput) -> dict[str, object]:
    """Return the configuration of one package in one format."""
    own = plan.formats[given.fmt]
    meta = plan.metadata
    depends = list(dict.fromkeys([*own.depends, *given.depends]))
    config: dict[str, object] = {
        "name": meta.name,
        "arch": PackageFormat.DEB.arch_name(plan.arch),
        "platform": "linux",
        "version_schema": "none",
        "version": meta.version,
        "release": str(meta.revision),
        "section": meta.section,
        "priority": "optional",
        "maintainer": meta.maintainer,
        "vendor": meta.vendor,
        "homepage": meta.homepage,
        "license": given.licence,
        "description": _description(meta, given.fmt),
        "mtime": _time(given.epoch),
        "disable_globbing": True,
        "depends": depends,
        "recommends": list(own.recommends),
        "suggests": list(own.suggests),
        "conflicts": list(own.conflicts),
        **({"provides": list(own.provides)} if own.provides else {}),
        "changelog": str(given.changelog),
        "contents": _contents(plan, given),
        "scripts": _scripts(given),
        given.fmt.value: _format_table(meta, own, given),
    }
    _refuse_dollar(config, meta.name)
    return config


def _description(meta: Metadata, fmt: PackageFormat) -> str:
    # dpkg wants the synopsis as the first line; rpm has a field of its own for it.
    if fmt is PackageFormat.DEB:
        return f"{meta.summary}\n{meta.description}"
    return meta.description


def _scripts(given: PackInput) -> dict[str, str]:
    keys = _SCRIPT_KEYS[given.fmt]
    return {keys[name]: str(path) for name, path in given.scripts.items() if name in keys}


def _format_table(meta: Metadata, own: FormatPlan, given: PackInput) -> dict[str, object]:
    if given.fmt is PackageFormat.DEB:
        interest = list(own.triggers_interest)
        return {
            "compression": given.compression.value,
            **({"breaks": list(own.breaks)} if own.breaks else {}),
            **({"triggers": {"interest_noawait": interest}} if interest else {}),
            "scripts": _only(_DEB_ONLY, given),
        }
    return {
        "compression": given.compression.value,
        "summary": meta.summary[:1].upper() + meta.summary[1:],
        "group": meta.group,
        "packager": meta.maintainer,
        "buildhost": "localhost",  # the build host's own name stays private
        "scripts": _only(_RPM_ONLY, given),
    }


def _only(names: tuple[str, ...], given: PackInput) -> dict[str, str]:
    return {name: str(given.scripts[name]) for name in names if name in given.scripts}


def _contents(plan: PackagePlan, given: PackInput) -> list[dict[str, object]]:
    prefix = plan.python.prefix if plan.python else None
    contents: list[dict[str, object]] = []
    if prefix:
        contents.append({"src": f"{given.root}{prefix}", "dst": str(prefix), "type": "tree"})
    contents += [
        _content(entry, given)
        for entry in plan.entries
        if given.fmt in entry.formats and not (prefix and entry.target.is_relative_to(prefix))
    ]
    contents += [
        _sample_content(target, given)
        for sample in plan.samples
        if not (prefix and sample.target.is_relative_to(prefix))
        for target in _files(given.root, given.root / sample.target.relative_to("/"))
    ]
    info = doc_folder(plan) / BUILD_INFO
    made = {info: given.root / info.relative_to("/"), **given.made}
    contents += [_document(target, path, given) for target, path in made.items()]
    return contents + _folders(contents, plan, given)


def _folders(
    contents: Sequence[Mapping[str, object]], plan: PackagePlan, given: PackInput
) -> list[dict[str, object]]:
    """Return our folders above the contents: rpm removes only folders that a package names.

    Several packages may name the same folder; the removal of the last removes it.
    """
    listed = {PurePosixPath(str(content["dst"])) for content in contents}
    above = {parent for path in listed for parent in path.parents}
    info = {"mode": 0o755, "owner": "root", "group": "root", "mtime": _time(given.epoch)}
    return [
        {"dst": str(folder), "type": "dir", "file_info": info}
        for folder in sorted(above - listed)
        if any(part.startswith(own) for part in folder.parts for own in plan.own_folders)
    ]


def _content(entry: Entry, given: PackInput) -> dict[str, object]:
    info = {
        "mode": entry.mode,
        "owner": entry.owner,
        "group": entry.group,
        "mtime": _time(given.epoch),
    }
    common: dict[str, object] = {"dst": str(entry.target), "file_info": info}
    match entry.kind:
        case PayloadKind.DIR:
            return {**common, "type": "dir"}
        case PayloadKind.SYMLINK:
            return {**common, "type": "symlink", "src": entry.link}
        case PayloadKind.CONFFILE:
            return {**common, "type": _CONFIG, "src": f"{given.root}{entry.target}"}
        case PayloadKind.FILE:
            kind = _rpm_kind(entry.target) if given.fmt is PackageFormat.RPM else None
            return {
                **common,
                "src": f"{given.root}{entry.target}",
                **({"type": kind} if kind else {}),
            }


def _rpm_kind(target: PurePosixPath) -> str | None:
    """Return rpm's mark for a file, by its place, as rpmbuild does."""
    kinds = {"/usr/share/doc": "doc", "/usr/share/man": "doc", "/usr/share/licenses": "license"}
    return next((kind for top, kind in kinds.items() if target.is_relative_to(top)), None)


def _files(root: Path, path: Path) -> list[str]:
    """Return the files at or directly below ``path``, as paths of the target."""
    files = (
        [path] if path.is_file() else sorted(child for child in path.iterdir() if child.is_file())
    )
    return [f"/{file.relative_to(root)}" for file in files]


def _sample_content(target: str, given: PackInput) -> dict[str, object]:
    info = {"mode": 0o644, "owner": "root", "group": "root", "mtime": _time(given.epoch)}
    return {"src": f"{given.root}{target}", "dst": target, "file_info": info}


def _document(target: PurePosixPath, source: Path, given: PackInput) -> dict[str, object]:
    content = {**_sample_content(str(target), given), "src": str(source)}
    kind = _rpm_kind(target) if given.fmt is PackageFormat.RPM else None
    return {**content, "type": kind} if kind else content


def changelog_entries(meta: Metadata) -> list[dict[str, object]]:
    """Return the changelog in the form that nfpm reads, newest first."""
    return [
        {
            "semver": full_version(change.version, change.revision),
            "date": f"{change.day}T00:00:00Z",
            "packager": meta.maintainer,
            "deb": {"distributions": ["stable"], "urgency": change.urgency},
            "changes": [{"note": line} for line in change.lines],
        }
        for change in meta.changelog
    ]


def _time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refuse_dollar(config: Mapping[str, object], name: str) -> None:
    """Refuse $NAME, which nfpm expands and cannot escape (nfpm.go, expandEnvVars)."""
    fields = ("name", "version", "release", "maintainer", "vendor", "homepage", "description")
    lists = ("depends", "recommends", "suggests", "conflicts")
    texts = [str(config[field]) for field in fields]
    for field in lists:
        value = config[field]
        texts += [str(word) for word in value] if isinstance(value, list) else []
    found = [text for text in texts if "$" in text]
    if found:
        raise SpecError([f"{name}: '$' in {text!r} would be expanded by nfpm" for text in found])
