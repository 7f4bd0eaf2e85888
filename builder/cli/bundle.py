"""``builder bundle``."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from builder.base import log
from builder.base.model import Arch, PackageFormat, host_arch
from builder.base.words import size_text
from builder.bundle.model import Bundle, BundleRequest, parse_size
from builder.cli.options import format_option, json_option, key_options, root_option
from builder.repo.core import open_repository
from builder.repo.sign import find_source, open_signer


@click.command("bundle")
@click.argument("packages", nargs=-1, required=True, metavar="NAME[=VERSION]...")
@root_option
@click.option("--channel", help="The channel that has them.", show_default="the first")
@click.option(
    "--arch",
    type=click.Choice([arch.value for arch in Arch]),
    default=lambda: host_arch().value,
    show_default="this host's",
    help="Of the hosts that it is for.",
)
@format_option
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="FILE|NAME",
    help="An archive of docker save, or an image of the local engine; repeatable.",
)
@click.option(
    "--store-images",
    is_flag=True,
    help="The images of backendai-halfstack's stores, which the local engine has.",
)
@click.option(
    "--with-dependencies",
    "suites",
    multiple=True,
    metavar="SUITE",
    help="Also what they need of this suite of Debian, from this host's mirror; repeatable.",
)
@click.option("--split", metavar="SIZE", help="Parts of at most this size: 4GB, 650MB.")
@click.option("--name", help="Of the file, before version and architecture.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dist"),
    show_default=True,
    help="Where the bundle goes.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be in it, and write nothing.")
@key_options
@json_option
def bundle_command(packages: Sequence[str], root: Path, as_json: bool, **options: Any) -> None:
    """Make one signed file of packages and images, for hosts without a network."""
    from builder.bundle.make import make_bundle, plan_bundle  # noqa: PLC0415 - loads docker

    with open_repository(root) as repository:
        request = _read_request(packages, next(iter(repository.config.channels)), options)
        if options["dry_run"]:
            bundle = plan_bundle(repository, request)
        else:
            source = find_source(options["key_file"], options["passphrase_file"])
            keys = repository.config.signing.keys
            with open_signer(keys, source, datetime.now(UTC)) as signer:
                bundle = make_bundle(repository, signer, request)
    if as_json:
        click.echo(json.dumps(bundle.as_dict(), indent=2))
    else:
        _report(bundle, is_plan=options["dry_run"])


def _read_request(
    packages: Sequence[str], first_channel: str, options: dict[str, Any]
) -> BundleRequest:
    from builder.bundle.images import store_images  # noqa: PLC0415 - loads docker

    formats: tuple[PackageFormat, ...] = options["formats"]
    stores = store_images() if options["store_images"] else ()
    return BundleRequest(
        channel=options["channel"] or first_channel,
        words=tuple(packages),
        arch=Arch(options["arch"]),
        formats=formats,
        images=(*options["images"], *stores),
        suites=tuple(dict.fromkeys(options["suites"])),
        name=options["name"],
        split=parse_size(options["split"]) if options["split"] else None,
        out=options["out"],
    )


def _report(bundle: Bundle, *, is_plan: bool) -> None:
    for package in bundle.packages:
        click.echo(f"{package.fmt}  {package.name} {package.version}  {size_text(package.size)}")
    for suite, count in bundle.dependencies.items():
        click.echo(f"deb  {count} packages of {suite}")
    for image in bundle.images:
        click.echo(f"image  {image.name}  {size_text(image.size)}")
    if is_plan:
        log.step(f"{bundle.file} would be made, of {size_text(bundle.unpacked)}")
        return
    for part in bundle.parts:
        click.echo(f"part  {part.name}  {size_text(part.size)}")
    log.step(f"made {bundle.file}: {size_text(bundle.size)}, signed by {bundle.fingerprint}")
    log.step(f"on a host: sh {bundle.file.name} install --fingerprint {bundle.fingerprint}")
