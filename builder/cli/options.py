"""Options that several commands share, and how they become values."""

import functools
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import click

from builder.base.cache import Cache, open_cache
from builder.base.errors import UsageError
from builder.base.model import Arch, PackageFormat, Profile, RuntimeChoice, host_arch
from builder.base.paths import PKGSPEC, cache_root, extra_root
from builder.release.edit import Importance
from builder.runtime.model import RuntimeOptions
from builder.spec import Spec, load_spec
from builder.spec.release import Urgency

_LAST_EPOCH = 2**32 - 1  # rpm keeps times in 32 bits

Choice = TypeVar("Choice", bound=StrEnum)
Command = TypeVar("Command", bound=Callable[..., Any])


class CommaList(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Words out of a closed set, with commas between them."""

    name = "list"

    def __init__(self, known: type[StrEnum]) -> None:
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[StrEnum, ...]:
        """The words as members, each once, in the order given."""
        if isinstance(value, tuple):
            return value
        found = []
        for word in str(value).split(","):
            try:
                found.append(self._known(word.strip()))
            except ValueError:
                listed = ", ".join(member.value for member in self._known)
                self.fail(f"'{word.strip()}' is none of: {listed}", param, ctx)
        return tuple(dict.fromkeys(found))


def flatten(
    _context: click.Context, _parameter: click.Parameter, value: tuple[tuple[StrEnum, ...], ...]
) -> tuple[StrEnum, ...]:
    """The members of a repeated option's lists, each once: the callback of such an option."""
    return tuple(dict.fromkeys(member for members in value for member in members))


def release_option(command: Command) -> Command:
    """``--release``."""
    return click.option("--release", "release", metavar="R", help="Release line, or its version.")(
        command
    )


def root_option(command: Command) -> Command:
    """``--root``, of a repository."""
    return click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(),
        envvar="BUILDER_REPO",
        show_default="this folder, or BUILDER_REPO",
        help="The repository's own folder, with repo.toml.",
    )(command)


def key_options(command: Command) -> Command:
    """``--key-file`` and ``--passphrase-file``, of what signs."""
    options = [
        click.option(
            "--key-file",
            type=click.Path(path_type=Path),
            help="Armored secret keys; else BUILDER_SIGNING_KEY(_FILE), else gpg's own agent.",
        ),
        click.option(
            "--passphrase-file",
            type=click.Path(path_type=Path),
            help="Their passphrase; else BUILDER_SIGNING_PASSPHRASE(_FILE).",
        ),
    ]
    return functools.reduce(lambda made, option: option(made), reversed(options), command)


def importance_options(command: Command) -> Command:
    """``--advisory`` and ``--urgency``, of what goes into a changelog."""
    advisory = click.option(
        "--advisory",
        "advisories",
        multiple=True,
        metavar="ID",
        help="A vulnerability that this fixes: CVE-…, GHSA-…; repeatable.",
    )
    urgency = click.option(
        "--urgency",
        type=click.Choice([urgency.value for urgency in Urgency]),
        show_default="high with --advisory, medium without",
        help="How soon hosts should have it.",
    )
    return advisory(urgency(command))


def read_importance(options: Mapping[str, Any]) -> Importance:
    """Return what the options above say."""
    advisories = tuple(options["advisories"])
    default = Urgency.HIGH if advisories else Urgency.MEDIUM
    return Importance(urgency=Urgency(options["urgency"] or default), fixes=advisories)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(command)


def arch_option(command: Command) -> Command:
    """``--arch``; the host's by default."""
    return click.option(
        "--arch",
        "archs",
        type=CommaList(Arch),
        multiple=True,
        callback=flatten,
        default=lambda: [host_arch().value],
        show_default="this host's",
        help="amd64, arm64, or both with a comma.",
    )(command)


def format_option(command: Command) -> Command:
    """``--format``; both by default."""
    return click.option(
        "--format",
        "formats",
        type=CommaList(PackageFormat),
        multiple=True,
        callback=flatten,
        default=["deb,rpm"],
        show_default="deb,rpm",
        help="deb, rpm, or both with a comma.",
    )(command)


def profile_option(command: Command) -> Command:
    """``--profile``."""
    return click.option(
        "--profile",
        type=click.Choice([profile.value for profile in Profile]),
        default=Profile.FAST.value,
        show_default=True,
        help="fast; release: small packages, and a CPython compiled here has PGO and LTO (slow);"
        " compat: for Debian 11, el8 and older.",
    )(command)


def former_option(
    name: str, *, instead: str, takes_value: bool = False
) -> Callable[[Command], Command]:
    """An option that is no longer there, and says what is in its place."""

    def refuse(_context: click.Context, _parameter: click.Parameter, value: object) -> None:
        if value:
            raise UsageError(f"{name} is now part of a profile", hint=instead)

    return click.option(
        name, hidden=True, expose_value=False, is_flag=not takes_value, callback=refuse
    )


def runtime_options(command: Command, mirror: str = "--mirror") -> Command:
    """The options that decide which CPython is bundled; ``mirror`` is one's spelling."""
    options = [
        click.option(
            "--runtime",
            "runtime",
            type=click.Choice([choice.value for choice in RuntimeChoice]),
            default=RuntimeChoice.AUTO.value,
            show_default=True,
            help="Where the bundled CPython comes from.",
        ),
        click.option(
            mirror,
            "python_mirror",
            help="Mirror of the standalone builds: http(s):// or file://.",
        ),
        click.option(
            "--archive",
            type=click.Path(path_type=Path),
            help="A CPython tarball or folder, for --runtime archive.",
        ),
        click.option(
            "--python-source",
            type=click.Path(path_type=Path),
            help="A source tarball on this host, for --runtime source.",
        ),
        profile_option,
        former_option("--pgo", instead="--profile release has it"),
        former_option("--lto", instead="--profile release has it"),
        click.option(
            "--install-build-deps",
            is_flag=True,
            help="As root, install what building CPython needs.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def read_runtime_options(options: dict[str, Any], *, offline: bool, jobs: int) -> RuntimeOptions:
    """What :func:`runtime_options` were given."""
    profile = Profile(options.get("profile", Profile.FAST))
    return RuntimeOptions(
        offline=offline,
        jobs=jobs,
        mirror=options.get("python_mirror"),
        archive=options.get("archive"),
        source=options.get("python_source"),
        pgo=profile.optimizes_python,
        lto=profile.optimizes_python,
        install_build_deps=options.get("install_build_deps", False),
    )


def project_spec() -> Spec:
    """The spec of this checkout, and of the site's own packages."""
    return load_spec(PKGSPEC, extra_root())


def project_cache() -> Cache:
    """The user's cache."""
    return open_cache(cache_root())


def source_date_epoch() -> int | None:
    """SOURCE_DATE_EPOCH of the environment; UsageError where it is no time."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    try:
        epoch = int(text)
    except ValueError:
        epoch = -1
    if not 0 <= epoch <= _LAST_EPOCH:
        hint = f"it is a number of seconds since 1970, at most {_LAST_EPOCH}, or unset"
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", hint=hint)
    return epoch
