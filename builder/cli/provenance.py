"""``builder attest``, ``builder verify-provenance`` and ``builder reproduce``."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from builder.base import log
from builder.base.errors import ExitCode, UsageError
from builder.base.paths import PROJECT
from builder.base.storage import replacing
from builder.cli.options import json_option, key_options, project_cache, project_spec
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
from builder.repo.bundles import load_bundle, sign_bundle
from builder.repo.identity_token import find_token
from builder.repo.keyless import BUNDLE_SUFFIX, TRUST_CONFIG_VARIABLE, Trust, require_sigstore
from builder.repo.keyless_sign import open_keyless
from builder.repo.sign import Signer, find_source, open_signer

_PATH = click.Path(path_type=Path)
Command = TypeVar("Command", bound=Callable[..., Any])


@click.command("attest")
@click.argument("files", nargs=-1, required=True, type=_PATH, metavar="FILE...")
@click.option("--key", "keys", multiple=True, help="Fingerprint of an OpenPGP key; repeatable.")
@key_options
@click.option("--sigstore", is_flag=True, help="Sign by sigstore, too, or instead of a key.")
@click.option(
    "--identity-token",
    type=_PATH,
    help="A file with the OIDC token; else BUILDER_SIGSTORE_TOKEN_FILE, else GitLab's or GitHub's.",
)
@click.option(
    "--trust-config",
    type=_PATH,
    envvar=TRUST_CONFIG_VARIABLE,
    show_envvar=True,
    help="An instance's client trust config; else the public instance.",
)
def attest_command(files: Sequence[Path], keys: Sequence[str], **options: Any) -> None:
    """Sign the provenance beside each package, as FILE.intoto.json (DSSE, by OpenPGP keys).

    A .buildinfo beside a deb is clear-signed in its place. With --sigstore the provenance is also
    signed by an OIDC identity, without keys, as FILE.sigstore.json.

    Call it after the packages themselves were signed: the statement is on the file as it is.
    """
    if not keys and not options["sigstore"]:
        raise UsageError("nothing to sign by", hint="give --key FINGERPRINT, or --sigstore")
    statements = {package: _statement_beside(package) for package in files}
    if keys:
        source = find_source(options["key_file"], options["passphrase_file"])
        with open_signer(keys, source, datetime.now(UTC)) as signer:
            for package, statement in statements.items():
                _write(package, ENVELOPE_SUFFIX, sign_statement(package, statement, signer))
                _sign_buildinfo(package, signer)
    if options["sigstore"]:
        require_sigstore()
        token = find_token(options["identity_token"], datetime.now(UTC))
        with open_keyless(options["trust_config"], token) as keyless:
            for package, statement in statements.items():
                _write(package, BUNDLE_SUFFIX, sign_bundle(package, statement, keyless))


def _statement_beside(package: Path) -> bytes:
    path = package.with_name(f"{package.name}{PROVENANCE_SUFFIX}")
    if not path.is_file():
        raise UsageError(f"{package}: no {path.name} lies beside it")
    return path.read_bytes()


def _write(package: Path, suffix: str, data: bytes) -> None:
    target = package.with_name(f"{package.name}{suffix}")
    with replacing(target) as part:
        part.write_bytes(data)
    log.step(f"wrote {target}")


def _sign_buildinfo(package: Path, signer: Signer) -> None:
    path = package.with_name(buildinfo_name(package.name))
    if package.suffix != ".deb" or not path.is_file() or is_signed(data := read_given(path)):
        return
    with replacing(path) as part:
        part.write_bytes(sign_buildinfo(data, signer))
    log.step(f"signed {path}")


def _signature_options(command: Command) -> Command:
    """Add the options that say whose provenance is accepted."""
    for option in (
        click.option(
            "--trusted-root",
            type=_PATH,
            envvar=TRUST_CONFIG_VARIABLE,
            show_envvar=True,
            help="sigstore's root of trust, or a trust config; else the public instance's.",
        ),
        click.option("--issuer", help="Who must vouch for the identity: the issuer's address."),
        click.option(
            "--identity",
            "identities",
            multiple=True,
            help="Who must have signed by sigstore; a * at the end is any rest; repeatable.",
        ),
        click.option("--bundle", type=_PATH, help="Default: FILE.sigstore.json."),
        click.option(
            "--keyring", type=_PATH, help="Armored public keys, of which one must have signed it."
        ),
        click.option("--provenance", type=_PATH, help="Default: the file beside the package."),
    ):
        command = option(command)
    return command


def _load(file: Path, options: Mapping[str, Any]) -> Provenance:
    """Load the provenance of a package, and check every signature that the options name."""
    identities, issuer = options["identities"], options["issuer"]
    if bool(identities) != bool(issuer) or (options["bundle"] and not identities):
        raise UsageError(
            "--bundle, --identity and --issuer belong together",
            hint="anybody can have an identity: say whose is accepted, and who vouches for it",
        )
    found: list[Provenance] = []
    if identities:
        trust = Trust(identities=identities, issuer=issuer, root=options["trusted_root"])
        found.append(load_bundle(file, options["bundle"], trust))
    if options["keyring"] or options["provenance"] or not found:
        found.append(load_provenance(file, options["provenance"], options["keyring"]))
    signers = tuple(signer for provenance in found for signer in provenance.signers)
    return Provenance(statement=found[0].statement, signers=signers)


@click.command("verify-provenance")
@click.argument("file", type=_PATH)
@_signature_options
@json_option
def verify_command(file: Path, as_json: bool, **options: Any) -> None:
    """Check that a package is the one its provenance is of, who signed that, and print it.

    Nothing is fetched. Without --keyring and --identity no signature is checked, and the output
    says so. With both, both must be good.
    """
    found = _load(file, options)
    if as_json:
        report = {"signers": found.signers, "statement": found.statement}
        click.echo(json.dumps(report, indent=2))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Provenance) -> Iterator[str]:
    signed = ", ".join(found.signers) or "not checked: no --keyring, no --identity"
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
@_signature_options
@click.option(
    "--compile-runtime",
    is_flag=True,
    help="Compile CPython again, too; otherwise one that the cache has is used.",
)
@click.option("--archive", type=_PATH, help="The CPython that was given to --runtime archive.")
@click.option("--keep", type=_PATH, help="Keep what was made in this folder.")
@click.option("--jobs", type=click.IntRange(min=1), help="Default: the number of processors.")
def reproduce_command(file: Path, **options: Any) -> None:
    """Make a package again from its provenance, and say "identical" or what differs.

    The inputs come from the cache ('builder fetch' fills it), everything else is made anew in
    a folder that is removed. This checkout should be at the commit that the provenance names.
    """
    found = _load(file, options)
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
