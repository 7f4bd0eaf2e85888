"""Compares a file with its record before it is sent, whatever the place checks itself."""

from pathlib import Path, PurePosixPath

from builder.base.errors import RepoError
from builder.base.files import hash_file
from builder.repo.model import FileFacts


def check_source(path: PurePosixPath, source: Path, facts: FileFacts) -> None:
    """Raise RepoError if ``source`` does not match ``facts``."""
    try:
        whole = source.stat().st_size == facts.size and hash_file(source) == facts.sha256
    except FileNotFoundError as error:
        raise lost(path, source) from error
    if not whole:
        raise not_as_stated(path, source)


def not_as_stated(path: PurePosixPath, source: Path) -> RepoError:
    """Return the error for a file that changed behind the repository's back."""
    return RepoError(
        f"{path}: {source} does not have the sha256 that the repository has on record",
        hint="run 'builder repo check': the file changed, or the disk is failing",
    )


def lost(path: PurePosixPath, source: Path) -> RepoError:
    """Return the error for a file that vanished behind the repository's back."""
    return RepoError(
        f"{path}: {source} is missing, but the repository has it on record",
        hint="run 'builder repo check'; a lost package is added again by 'builder repo add'",
    )
