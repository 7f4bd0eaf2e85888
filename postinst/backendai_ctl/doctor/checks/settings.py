"""Checks site.toml, the account, and each configuration with the release's own model."""

from collections.abc import Iterator

from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import HostError, SiteError, TargetError
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding, error, note, warning
from backendai_ctl.services.release_validation import Validator
from backendai_ctl.services.shown_files import hidden_files


def check_site(view: HostView) -> Iterator[Finding]:
    """Check that the answers are readable and valid."""
    try:
        load_site(view.layout)
    except SiteError as problem:
        for line in problem.problems:
            yield error(line, str(view.layout.site), "correct the file")
    except HostError as problem:
        yield error(problem.message, str(view.layout.site), "run this as root")


def check_account(view: HostView) -> Iterator[Finding]:
    """Check that the account exists, with the numbers in site.toml."""
    if view.account is None:
        yield error(
            f"this host has no account '{view.account_name}'",
            "/etc/passwd",
            "reinstall backendai-common",
        )
        return
    if view.site is None:
        return
    found = f"{view.account.uid}:{view.account.gid}"
    wanted = f"{view.answer('account.uid')}:{view.answer('account.gid')}"
    if found != wanted:
        yield warning(
            f"the account '{view.account_name}' is {found}, site.toml says {wanted}",
            "site.toml: [account]",
            "set uid and gid there to the account's, the same on all nodes",
            value=found,
        )


def check_configurations(view: HostView) -> Iterator[Finding]:
    """Check that each file exists and is valid for the release, with no newer one beside it."""
    for recipe in view.recipes:
        for config in recipe.configs:
            path = view.layout.etc / config.file
            if not path.exists():
                yield error(
                    "the configuration is missing",
                    str(path),
                    f"backendai-ctl configure {recipe.service}",
                )
                continue
            if path.with_name(f"{path.name}.new").exists():
                yield note(
                    "this release, or site.toml, would make another file",
                    f"{path}.new",
                    f"compare it with {path.name}, take over what you want, and remove it",
                )
            try:
                verdict = Validator(layout=view.layout, service=recipe.service).check_file(config)
            except TargetError as problem:
                yield error(problem.message, str(path), "run this as root")
                continue
            for found in verdict.problems:
                yield error(
                    f"the release refuses {found.key}: {found.says}",
                    found.file,
                    f"correct it, then systemctl restart backendai-{recipe.service}",
                    value=found.value,
                )


def check_hidden_files(view: HostView) -> Iterator[Finding]:
    """Check that each service can read the files that its configuration names."""
    for recipe in view.recipes:
        for path in hidden_files(view.layout, recipe):
            yield error(
                f"the unit of {recipe.service}, whose configuration names the file, hides it",
                path,
                f"backendai-ctl configure {recipe.service}, then systemctl restart"
                f" backendai-{recipe.service}",
            )
