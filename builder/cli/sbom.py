"""``builder sbom``."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from builder.base import log
from builder.base.errors import PayloadError, UsageError
from builder.base.paths import SBOM_FILE, SBOM_SUFFIX
from builder.base.storage import replacing
from builder.inspect import inspect_package
from builder.sbom.spdx import render_spdx


class _Form(StrEnum):
    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"

    @property
    def suffix(self) -> str:
        return {_Form.CYCLONEDX: SBOM_SUFFIX, _Form.SPDX: ".spdx.json"}[self]


@click.command("sbom")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in _Form]),
    default=_Form.CYCLONEDX.value,
    show_default=True,
    help="CycloneDX 1.6 as it is in the package, or the same facts as SPDX 2.3.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write FILE.cdx.json or FILE.spdx.json into this folder; default: standard output.",
)
def sbom_command(files: tuple[Path, ...], form: str, out: Path | None) -> None:
    """Print the SBOM that a deb or rpm contains: every part with its version, origin, licence."""
    if out is None and len(files) > 1:
        raise UsageError("several packages have several SBOMs", hint="name a folder with --out")
    wanted = _Form(form)
    for path in files:
        text = _render(_document(path), wanted)
        if out is None:
            click.echo(text, nl=False)
            continue
        target = out / f"{path.name}{wanted.suffix}"
        with replacing(target) as part:
            part.write_bytes(text)
        log.step(f"wrote {target}")


def _document(path: Path) -> Mapping[str, Any]:
    sbom = inspect_package(path).sbom
    if sbom is None:
        raise PayloadError(
            f"{path}: has no {SBOM_FILE}", hint="it was built by an older builder: build it again"
        )
    return sbom


def _render(document: Mapping[str, Any], form: _Form) -> bytes:
    if form is _Form.CYCLONEDX:
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
        return (text + "\n").encode()
    try:
        return render_spdx(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise PayloadError(f"the SBOM lacks what SPDX asks for: {error}") from error
