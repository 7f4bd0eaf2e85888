"""``builder repo lint-keys``."""

from datetime import datetime
from pathlib import Path

import click

from builder.base import log
from builder.base.errors import RepoError, UsageError
from builder.repo.keylint import lint_keys


def lint_key_file(path: Path, now: datetime) -> None:
    """Print the keys in ``path``; raises RepoError if a host refuses one of them."""
    try:
        armored = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}", hint="give an armored key") from error
    keys, findings = lint_keys(armored, now)
    if not keys:
        raise UsageError(f"{path} has no public key that can sign")
    for key in keys:
        until = f"until {key.expires:%Y-%m-%d}" if key.expires else "without an end"
        click.echo(f"{key.fingerprint}  {until}  {key.user}")
    for finding in findings:
        if not finding.is_error:
            log.warn(str(finding))
    errors = [str(finding) for finding in findings if finding.is_error]
    if errors:
        raise RepoError("\n".join(errors), hint="make a new key, or renew this one as said above")
