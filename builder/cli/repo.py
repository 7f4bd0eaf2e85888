"""``builder repo``."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from builder.base import log
from builder.base.errors import RepoError, UsageError
from builder.base.paths import PROJECT
from builder.cli.json_output import print_json
from builder.cli.options import (
    json_option,
    key_options,
    project_cache,
    project_spec,
    root_option,
)
from builder.cli.repo_keys import lint_key_file
from builder.cli.repo_publish import phase_promoted, phased_option, prepare_publication
from builder.cli.repo_stats import repository_stats, stats_text
from builder.plan.sources import read_sources
from builder.repo.add import AddRequest, add_packages
from builder.repo.check import Problem, check_target
from builder.repo.config import load_config
from builder.repo.core import Repository, open_repository, promote_packages
from builder.repo.indexing import build_tree, publish_target
from builder.repo.init import InitRequest, init_repository
from builder.repo.keyfiles import make_key_files
from builder.repo.model import LOCAL, PUBLIC, RepoPackage
from builder.repo.prune import dangling_files, prune_packages
from builder.repo.publication import Publication
from builder.repo.sign import Signer, find_source, open_signer

Command = TypeVar("Command", bound=Callable[..., Any])


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@click.group("repo")
def repo_group() -> None:
    """Keep repositories for apt and dnf: a static tree for any web server or object store."""


@repo_group.command("init")
@root_option
@click.option("--name", default="backendai", show_default=True, help="Of sources and key files.")
@click.option("--label", default="Backend.AI packages", show_default=True, help="For people.")
@click.option("--base-url", required=True, help="Where readers will find the published tree.")
@click.option("--key", "keys", multiple=True, help="Fingerprint of a signing key; repeatable.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    default=("stable", "testing", "nightly"),
    show_default="stable, testing, nightly",
    help="A channel; repeatable.",
)
def init_command(root: Path, **options: Any) -> None:
    """Make an empty repository with its repo.toml."""
    path = init_repository(root, InitRequest(**options))
    log.step(f"wrote {path}: look it over, then add packages")


@repo_group.command("add")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|DIST..."
)
@root_option
@click.option("--channel", required=True, help="The channel that gets them.")
@click.option("--component", help="The component that gets them.", show_default="the first")
@click.option("--no-manifest", is_flag=True, help="Take files that no manifest.json lists.")
@key_options
@json_option
def add_command(
    paths: Sequence[Path], root: Path, channel: str, component: str | None, **options: Any
) -> None:
    """Take packages in, checked against their manifest and signed."""
    with open_repository(root) as repository:

        def add(signer: Signer | None) -> None:
            request = AddRequest(
                channel=channel,
                component=component or repository.config.components[0],
                signer=signer,
                by_manifest=not options["no_manifest"],
                now=_now(),
            )
            added = add_packages(repository, paths, request)
            known = sum(addition.known for addition in added)
            log.step(f"{len(added) - known} added to {channel}, {known} were here before")
            if options["as_json"]:
                print_json(_package_dict(addition.package) for addition in added)

        if repository.config.signing.packages:
            with _signer(repository, options) as signer:
                add(signer)
        else:
            add(None)


@repo_group.command("promote")
@click.argument("packages", nargs=-1, metavar="NAME[=VERSION]...")
@root_option
@click.option("--from", "source", required=True, help="The channel that has them.")
@click.option("--to", "target", required=True, help="The channel that gets them.")
@click.option("--move", is_flag=True, help="Take them out of the first channel.")
@click.option("--all", "everything", is_flag=True, help="The newest version of every package.")
@phased_option("This share of the hosts gets them first by an upgrade; apt only.")
@json_option
def promote_command(packages: Sequence[str], root: Path, as_json: bool, **options: Any) -> None:
    """Give packages of one channel to another, too; nothing is copied."""
    source, target = options["source"], options["target"]
    if bool(packages) == options["everything"]:
        raise UsageError("say which packages to promote", hint="name them, or say --all")
    with open_repository(root) as repository:
        if not packages:
            packages = repository.state.select(repository.channel(source)).names()
        with repository.state.transaction():
            promoted = promote_packages(repository, packages, source, target, move=options["move"])
            phase_promoted(repository, target, promoted, options["phased"])
    for package in promoted:
        log.step(f"{package.label} is in {target} now")
    log.step(f"{len(promoted)} promoted; 'builder repo publish' shows them to readers")
    if as_json:
        print_json(map(_package_dict, promoted))


@repo_group.command("prune")
@root_option
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
def prune_command(root: Path, dry_run: bool, as_json: bool) -> None:
    """Take old versions out of channels, by the retention in repo.toml."""
    with open_repository(root) as repository:
        pruned = prune_packages(repository, _now(), dry_run=dry_run)
        dangling = dangling_files(repository)
        for path in () if dry_run else dangling:
            (repository.public / path).unlink()
        verb = "would leave" if dry_run else "left"
        for channel, packages in pruned.left.items():
            for package in packages:
                log.step(f"{package.label} {verb} {channel}")
        log.step(
            f"{len(pruned.removed)} packages in no channel any more, {len(dangling)} stray files"
        )
        if as_json:
            left = {name: map(_package_dict, rows) for name, rows in pruned.left.items()}
            removed = map(_package_dict, pruned.removed)
            print_json({"left": left, "removed": removed, "stray": map(str, dangling)})


@repo_group.command("publish")
@root_option
@click.option("--target", "targets", multiple=True, help="Of repo.toml; all of them by default.")
@click.option(
    "--refresh", is_flag=True, help="Make every index again, and put again what was damaged."
)
@click.option(
    "--break-lock", is_flag=True, help="Remove the lock that a killed publisher left on a target."
)
@phased_option("Let all versions that are phased reach this share of the hosts; 100: all.")
@click.option(
    "--snapshot",
    is_flag=True,
    help="Take a dated snapshot, whatever [snapshots] in repo.toml says.",
)
@key_options
@json_option
def publish_command(
    root: Path, targets: Sequence[str], refresh: bool, as_json: bool, **options: Any
) -> None:
    """Make and sign the indexes, and give the tree to every target."""
    done: dict[str, Publication] = {}
    with open_repository(root) as repository:
        with _signer(repository, options) as signer:
            prepare_publication(repository, options, _now())
            done[LOCAL] = build_tree(
                repository,
                signer,
                _now(),
                refresh=refresh,
                releases=project_spec().releases.values(),
            )
        for name in targets or repository.config.targets:
            done[name] = publish_target(
                repository, name, _now(), refresh=refresh, break_lock=options["break_lock"]
            )
    for name, publication in done.items():
        place = repository.public if name == LOCAL else name
        log.step(f"{place}: {len(publication.puts)} files put, {len(publication.delete)} deleted")
    if as_json:
        print_json({name: _publication_dict(publication) for name, publication in done.items()})


@repo_group.command("check")
@root_option
@click.option("--target", "targets", multiple=True, help="Of repo.toml; public/ by default.")
@json_option
def check_command(root: Path, targets: Sequence[str], as_json: bool) -> None:
    """Verify the whole tree: hashes, signatures, stray files, dates of keys and indexes."""
    found: dict[str, list[Problem]] = {}
    with open_repository(root) as repository:
        for name in targets or (LOCAL,):
            found[name] = check_target(repository, name, _now())
    if as_json:
        print_json({name: [p.as_dict() for p in rows] for name, rows in found.items()})
    problems = [problem for rows in found.values() for problem in rows]
    for problem in problems:
        if not problem.is_error:
            log.warn(problem.text)
    errors = [problem.text for problem in problems if problem.is_error]
    if errors:
        raise RepoError(
            "\n".join(errors),
            hint="'builder repo publish --refresh' puts indexes "
            "again; a damaged package is added again from its artifact",
        )
    log.step("everything is as it should be")


@repo_group.command("stats")
@root_option
@json_option
def stats_command(root: Path, as_json: bool) -> None:
    """Print how large the repository and its channels are, and how their packages grew."""
    with open_repository(root) as repository:
        click.echo(stats_text(repository_stats(repository), as_json=as_json))


@repo_group.command("lint-keys")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
def lint_keys_command(files: Sequence[Path]) -> None:
    """Say which hosts refuse the public keys in armored files, such as keys/NAME.asc."""
    for path in files:
        lint_key_file(path, _now())


@repo_group.command("serve")
@root_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port to listen on; 0 finds one.")
def serve_command(root: Path, host: str, port: int) -> None:
    """Serve public/ over HTTP, for trying the repository out."""
    from builder.repo.serve import serve  # noqa: PLC0415

    load_config(root)
    serve(root / PUBLIC, host, port)


@repo_group.command("keyring")
@root_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dist"),
    show_default=True,
    help="Where the packages go.",
)
@click.option("--channel", help="The channel its sources name.", show_default="the first")
@click.option("--revision", default=1, show_default=True, help="Of the packaging.")
@key_options
def keyring_command(
    root: Path, out: Path, channel: str | None, revision: int, **options: Any
) -> None:
    """Build the packages that carry the public keys and the sources, deb and rpm."""
    from builder.repo.keyring import (  # noqa: PLC0415
        KeyringInput,
        KeyringRequest,
        build_keyring,
    )

    given = KeyringInput(
        project=project_spec().project, sources=read_sources(PROJECT), cache=project_cache()
    )
    with open_repository(root) as repository, _signer(repository, options) as signer:
        chosen = repository.channel(channel or next(iter(repository.config.channels)))
        keys = make_key_files(repository, signer)
        request = KeyringRequest(channel=chosen, revision=revision, out=out)
        for path in build_keyring(repository.config, keys, request, given):
            log.step(f"built {path}")


def _signer(repository: Repository, options: dict[str, Any]) -> Any:
    source = find_source(options["key_file"], options["passphrase_file"])
    return open_signer(repository.config.signing.keys, source, _now())


def _package_dict(package: RepoPackage) -> dict[str, object]:
    return {
        "format": package.fmt.value,
        "name": package.name,
        "version": package.version,
        "arch": package.arch,
        "component": package.component,
        "path": str(package.pool),
        "sha256": package.sha256,
        "size": package.size,
        "added": package.added.isoformat(),
    }


def _publication_dict(publication: Publication) -> dict[str, object]:
    return {
        "put": (str(put.path) for put in publication.puts),
        "retired": map(str, publication.retire),
        "deleted": map(str, publication.delete),
    }
