"""``builder attest``, ``builder verify-provenance`` and ``builder reproduce``."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from builder.base import log
from builder.base.errors import ExitCode, UsageError
from builder.base.paths import PROJECT
from builder.base.storage import replacing
from builder.cli.options import json_option, project_cache, project_spec
from builder.jobs.parallel import default_jobs
from builder.jobs.reproduce import ReproduceRequest, keep_made, reproduce
from builder.pack.buildinfo import buildinfo_name
from builder.pack.provenance import PROVENANCE_SUFFIX
from builder.repo.attest import (
    ENVELOPE_SUFFIX,
    Provenance,
    load_provenance,
    read_given,
    sign_statement,
)
from builder.repo.buildinfo import is_signed, sign_buildinfo
from builder.repo.sign import Signer, find_source, open_signer

_PATH = click.Path(path_type=Path)


@click.command("attest")
@click.argument("files", nargs=-1, required=True, type=_PATH, metavar="FILE...")
@click.option("--key", "keys", multiple=True, required=True, help="Fingerprint; repeatable.")
@click.option(
    "--key-file",
    type=_PATH,
    help="Armored secret keys; else BUILDER_SIGNING_KEY(_FILE), else gpg's own agent.",
)
@click.option(
    "--passphrase-file",
    type=_PATH,
    help="Their passphrase; else BUILDER_SIGNING_PASSPHRASE(_FILE).",
)
def attest_command(
    files: Sequence[Path], keys: Sequence[str], key_file: Path | None, passphrase_file: Path | None
) -> None:
    """Sign the provenance beside each package, as FILE.intoto.json (DSSE, by OpenPGP keys).

    A .buildinfo beside a deb is clear-signed in its place.

    Call it after the packages themselves were signed: the statement is on the file as it is.
    """
    source = find_source(key_file, passphrase_file)
    with open_signer(keys, source, datetime.now(UTC)) as signer:
        for package in files:
            statement = package.with_name(f"{package.name}{PROVENANCE_SUFFIX}")
            if not statement.is_file():
                raise UsageError(f"{package}: no {statement.name} lies beside it")
            envelope = sign_statement(package, statement.read_bytes(), signer)
            target = package.with_name(f"{package.name}{ENVELOPE_SUFFIX}")
            with replacing(target) as part:
                part.write_bytes(envelope)
            log.step(f"wrote {target}")
            _sign_buildinfo(package, signer)


def _sign_buildinfo(package: Path, signer: Signer) -> None:
    path = package.with_name(buildinfo_name(package.name))
    if package.suffix != ".deb" or not path.is_file() or is_signed(data := read_given(path)):
        return
    with replacing(path) as part:
        part.write_bytes(sign_buildinfo(data, signer))
    log.step(f"signed {path}")


@click.command("verify-provenance")
@click.argument("file", type=_PATH)
@click.option("--provenance", type=_PATH, help="Default: the file beside the package.")
@click.option(
    "--keyring", type=_PATH, help="Armored public keys, of which one must have signed it."
)
@json_option
def verify_command(
    file: Path, provenance: Path | None, keyring: Path | None, as_json: bool
) -> None:
    """Check that a package is the one its provenance is of, who signed that, and print it.

    Nothing is fetched. Without --keyring no signature is checked, and the output says so.
    """
    found = load_provenance(file, provenance, keyring)
    if as_json:
        report = {"signers": found.signers, "statement": found.statement}
        click.echo(json.dumps(report, indent=2))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Provenance) -> Iterator[str]:
    signed = ", ".join(found.signers) or "not checked: no --keyring"
    yield f"signed by   {signed}"
    yield f"built by    {found.statement['predicate']['runDetails']['builder']['id']}"
    for name, value in sorted(found.parameters.items()):
        yield f"{name:15} {'' if value is None else value}"
    yield f"inputs ({len(found.inputs)}):"
    for row in found.inputs:
        digest = row.get("digest", {})
        value = digest.get("sha256") or digest.get("gitCommit") or "no hash"
        modified = "  MODIFIED" if row.get("annotations", {}).get("modified") else ""
        yield f"  {value}  {row['name']}{modified}"


@click.command("reproduce")
@click.argument("file", type=_PATH)
@click.option("--provenance", type=_PATH, help="Default: the file beside the package.")
@click.option(
    "--keyring", type=_PATH, help="Armored public keys, of which one must have signed it."
)
@click.option(
    "--compile-runtime",
    is_flag=True,
    help="Compile CPython again, too; otherwise one that the cache has is used.",
)
@click.option("--archive", type=_PATH, help="The CPython that was given to --runtime archive.")
@click.option("--keep", type=_PATH, help="Keep what was made in this folder.")
@click.option("--jobs", type=click.IntRange(min=1), help="Default: the number of processors.")
def reproduce_command(
    file: Path, provenance: Path | None, keyring: Path | None, **options: Any
) -> None:
    """Make a package again from its provenance, and say "identical" or what differs.

    The inputs come from the cache ('builder fetch' fills it), everything else is made anew in
    a folder that is removed. This checkout should be at the commit that the provenance names.
    """
    found = load_provenance(file, provenance, keyring)
    cache = project_cache()
    with cache.workspace() as work:
        request = ReproduceRequest(
            package=file,
            provenance=found,
            work=work / "again",
            jobs=options["jobs"] or default_jobs(),
            compile_runtime=options["compile_runtime"],
            archive=options["archive"],
        )
        again = reproduce(request, project_spec(), PROJECT, cache)
        if options["keep"] is not None:
            keep_made(again, options["keep"])
        if again.identical:
            click.echo(f"identical: {file.name}")
            return
        for line in again.differences:
            click.echo(line)
        click.echo(f"different: {file.name}")
    sys.exit(ExitCode.VERIFY)
