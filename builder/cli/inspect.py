"""``builder inspect``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from builder.base.errors import BuilderError
from builder.cli.options import json_option
from builder.inspect import Package, inspect_package
from builder.inspect.model import Relation
from builder.inspect.report import package_dict

_LARGEST = 10
_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
# What rpm requires of itself says nothing about the package.
_RPM_ITSELF = "rpmlib("


@click.command("inspect")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--files", "list_files", is_flag=True, help="List every file of the payload.")
@click.option("--scripts", is_flag=True, help="Print the maintainer scripts or scriptlets.")
@click.option("--wheels", is_flag=True, help="List the bundled wheels.")
@json_option
def inspect_command(
    files: tuple[Path, ...], list_files: bool, scripts: bool, wheels: bool, as_json: bool
) -> None:
    """Show what is in a deb or rpm; neither dpkg nor rpm is needed."""
    packages, failures = _read(files)
    if as_json:
        found = [package_dict(package, files=list_files, scripts=scripts) for package in packages]
        click.echo(json.dumps(found, indent=2))
    else:
        console = Console(highlight=False)
        for number, package in enumerate(packages):
            if number:
                console.print()
            for part in _parts(package, files=list_files, scripts=scripts, wheels=wheels):
                console.print(part, soft_wrap=isinstance(part, Text))
    if failures:
        raise _together(failures)


def _read(files: Sequence[Path]) -> tuple[list[Package], list[BuilderError]]:
    """Every package that can be read: one bad file does not hide the others."""
    packages, failures = [], []
    for path in dict.fromkeys(files):
        try:
            packages.append(inspect_package(path))
        except BuilderError as error:
            failures.append(error)
    return packages, failures


def _together(failures: Sequence[BuilderError]) -> BuilderError:
    first = failures[0]
    return type(first)("\n".join(failure.message for failure in failures), hint=first.hint)


def _parts(
    package: Package, *, files: bool, scripts: bool, wheels: bool
) -> Iterator[RenderableType]:
    meta = package.metadata
    head = _text(f"{meta.name} {meta.version} {meta.arch} ", "bold")
    yield head.append(f"({package.contents.fmt})", style="not bold")
    yield _facts(package)
    yield Text()
    yield _largest(package)
    if wheels:
        yield from _wheels(package)
    if scripts:
        yield from _scripts(package)
    if files:
        yield from _listing(package)


def _facts(package: Package) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="cyan")
    grid.add_column(overflow="fold")
    for label, lines in _fact_rows(package):
        rows = [line for line in lines if line]
        if rows:
            grid.add_row(label, Group(*map(_text, rows)))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def _fact_rows(package: Package) -> Iterator[tuple[str, Sequence[str]]]:
    meta, contents = package.metadata, package.contents
    yield "summary", [meta.summary]
    yield "file", [str(package.path)]
    yield "packed", [f"{_size(package.size)} ({contents.compression})"]
    installed = meta.installed_size or package.payload_size
    yield "installed", [f"{_size(installed)}, {package.file_count:,} files"]
    yield "licence", [package.licence]
    yield "maintainer", [meta.maintainer]
    yield "vendor", [meta.vendor]
    yield "homepage", [meta.homepage]
    yield "section", [meta.section]
    yield from _build_rows(package.build_info)
    for relation in Relation:
        rows = contents.relations.get(relation, ())
        yield relation.value, [row for row in rows if not row.startswith(_RPM_ITSELF)]
    yield (
        "scripts",
        [f"{script.name:9} {len(script.text.encode()):>7,} bytes" for script in contents.scripts],
    )
    yield "triggers", contents.triggers
    yield "conffiles", contents.conffiles
    yield "units", package.units


def _build_rows(info: Mapping[str, Any] | None) -> Iterator[tuple[str, Sequence[str]]]:
    if info is None:
        yield "built from", ["not recorded: no build-info.json in it"]
        return
    yield "release", [str(info.get("release") or "")]
    runtime = info.get("runtime")
    if isinstance(runtime, dict) and "provider" not in runtime:
        shared = info.get("shared") or []
        wheels = f"{len(shared)} wheels" if shared else "none of its wheels"
        yield "runtime", [f"CPython {runtime.get('python')} of the runtime's package, {wheels}"]
    elif isinstance(runtime, dict):
        options = runtime.get("options") or {}
        settings = ", ".join(f"{name} {value}" for name, value in sorted(options.items()))
        yield "runtime", [f"CPython {runtime.get('version')} ({runtime.get('provider')})", settings]
        yield "origin", [str(runtime.get("origin") or "")]
        yield "sha256", [str(runtime.get("sha256") or "")]
    yield "glibc", [f"{info['glibc']} or newer" if info.get("glibc") else ""]
    yield "wheels", [str(len(info["wheels"])) if info.get("wheels") else ""]
    yield "pruned", list(_pruned_rows(info.get("pruned")))


def _pruned_rows(pruned: object) -> Iterator[str]:
    """Describe what each prune rule took; the record may be anything that a package says."""
    for row in pruned if isinstance(pruned, list) else []:
        if isinstance(row, dict) and isinstance(row.get("bytes"), int):
            yield f"{row.get('rule')}: {_size(row['bytes'])}, {row.get('files')} files"


def _largest(package: Package) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("largest parts", overflow="fold", min_width=30)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("files", justify="right", no_wrap=True)
    for folder in package.folders[:_LARGEST]:
        table.add_row(_text(folder.name), _size(folder.size), f"{folder.files:,}")
    rest = package.folders[_LARGEST:]
    if rest:
        size, count = sum(folder.size for folder in rest), sum(folder.files for folder in rest)
        table.add_row(f"{len(rest)} others", _size(size), f"{count:,}", style="dim")
    return table


def _wheels(package: Package) -> Iterator[RenderableType]:
    wheels = (package.build_info or {}).get("wheels", [])
    yield Text(f"\nwheels ({len(wheels)})", style="bold")
    for wheel in wheels:
        yield _text(f"{wheel.get('name')} {wheel.get('version')}  {wheel.get('file')}")
    shared = (package.build_info or {}).get("shared", [])
    if shared:
        yield Text(f"\nof the runtime ({len(shared)})", style="bold")
        yield _text(" ".join(map(str, shared)))


def _scripts(package: Package) -> Iterator[RenderableType]:
    for script in package.contents.scripts:
        yield _text(f"\n{script.name} ({script.interpreter or 'no interpreter'})", "bold")
        yield _text(script.text.rstrip("\n"))


def _listing(package: Package) -> Iterator[RenderableType]:
    yield Text(f"\nfiles ({len(package.contents.files):,} with folders)", style="bold")
    for file in package.contents.files:
        link = f" -> {file.link}" if file.link else ""
        owner = f"{file.owner}:{file.group}"
        yield _text(f"{file.listing_mode} {owner:12} {file.size:>11,} {file.path}{link}")


def _text(text: str, style: str = "") -> Text:
    """A package's own words, without what could steer the terminal or cannot be printed."""
    return Text(
        "".join(
            sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}"
            for sign in text
        ),
        style=style,
        overflow="fold",
    )


def _size(size: int) -> str:
    for scale, unit in _UNITS:
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size} B"
