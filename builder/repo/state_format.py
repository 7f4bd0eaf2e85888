"""The tables of a repository's state, and what each later format adds to them."""

import sqlite3
from pathlib import Path

from builder.base.errors import RepoError
from builder.base.model import PackageFormat
from builder.repo.version import version_bytes

_VERSION = 2
_SCHEMA = """
CREATE TABLE package (
    sha256 TEXT PRIMARY KEY, fmt TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    arch TEXT NOT NULL, component TEXT NOT NULL, file TEXT NOT NULL, pool TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL, added TEXT NOT NULL, metadata TEXT NOT NULL, given TEXT NOT NULL,
    UNIQUE (fmt, name, version, arch)
) WITHOUT ROWID;
CREATE TABLE listing (
    sha256 TEXT PRIMARY KEY REFERENCES package ON DELETE CASCADE, content BLOB NOT NULL
);
CREATE TABLE member (
    channel TEXT NOT NULL, sha256 TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    PRIMARY KEY (channel, sha256)
) WITHOUT ROWID;
CREATE INDEX member_sha256 ON member (sha256);
CREATE TABLE indexed (channel TEXT PRIMARY KEY, inputs TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE published (
    target TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    retired TEXT, PRIMARY KEY (target, path)
) WITHOUT ROWID;
"""
# What each later format adds to the one before it.
_ADDED = {
    2: """
CREATE TABLE document (
    path TEXT PRIMARY KEY, package TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    sha256 TEXT NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX document_package ON document (package);
CREATE TABLE rollout (
    channel TEXT NOT NULL, sha256 TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    percent INTEGER NOT NULL, source TEXT NOT NULL, PRIMARY KEY (channel, sha256)
) WITHOUT ROWID;
""",
}
# An older builder needs no such index, and keeps it: it is no part of the format.
_INDEXES = """
CREATE INDEX IF NOT EXISTS package_order ON package
    (fmt, name, version, arch, component, file, pool, sha256, size, added);
"""


def _version_bytes(fmt: str, version: str) -> bytes:
    return version_bytes(PackageFormat(fmt), version)


def prepare_state(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new state, or bring those of an older builder up to date.

    Raises RepoError if a newer builder wrote it, or if it is no state at all.
    """
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.create_function("version_bytes", 2, _version_bytes, deterministic=True)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version < _VERSION:
            scripts = [_SCHEMA] if version == 0 else []
            scripts += [script for added, script in _ADDED.items() if added > version]
            connection.executescript(
                f"BEGIN IMMEDIATE; {''.join(scripts)} PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        if version <= _VERSION:
            connection.executescript(_INDEXES)
    except sqlite3.DatabaseError as error:
        raise RepoError(
            f"{path}: not the state of a repository: {error}", hint="restore it from a backup"
        ) from error
    if version > _VERSION:
        raise RepoError(
            f"{path} has format {version}; this builder knows {_VERSION}",
            hint="use the newer builder that wrote it",
        )
