"""Verifies the provenance of each package of a published tree."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from builder.base.errors import BuilderError
from builder.repo.attest import Keyring, check_statement, judge_provenance
from builder.repo.beside import (
    Document,
    documents_of,
    lacking,
    trusted_identities,
    trusted_keys,
)
from builder.repo.buildinfo import check_buildinfo
from builder.repo.bundles import judge_bundle
from builder.repo.check_index import TreeReader
from builder.repo.core import Repository
from builder.repo.gpg import Gpg, private_home
from builder.repo.keyless import Trust
from builder.repo.model import RepoPackage


class _Tree(TreeReader, Protocol):
    def local(self, path: PurePosixPath) -> Path | None:
        """Return the file itself if the tree is a folder of this machine."""
        ...


def check_documents(repository: Repository, tree: _Tree) -> Iterator[str]:
    """Yield each problem with statements and .buildinfo: who signed, and what they are on.

    Their bytes were compared with the record before; the SBOMs need no more than that.
    """
    state, demand = repository.state, repository.config.provenance.require
    kinds = set[Document]()
    for package in state.everything():
        found = documents_of(repository, package)
        kinds |= found.keys()
        problem = lacking(found, demand)
        if problem:
            yield f"{package.pool}: {problem}"
    judged = {Document.ENVELOPE, Document.STATEMENT, Document.BUILDINFO, Document.BUNDLE}
    trust = None
    try:
        trust = trusted_identities(repository) if Document.BUNDLE in kinds else None
    except BuilderError as error:
        yield f"bundles of sigstore cannot be checked: {error.message}"
        judged.remove(Document.BUNDLE)
    with private_home() as home:
        gpg, keys = Gpg(home), None
        if kinds & {Document.ENVELOPE, Document.BUILDINFO}:
            keys = trusted_keys(repository, None)
            gpg.import_keys(keys.armored)
            keys = replace(keys, home=gpg)
        check = _StatementCheck(tree=tree, keys=keys, trust=trust, home=home)
        for package in state.documented():
            for kind in sorted(judged & documents_of(repository, package).keys()):
                yield from check.judge(package, kind, state.given(package.sha256))


@dataclass(frozen=True, kw_only=True)
class _StatementCheck:
    """Judges documents of one tree by one set of keys; ``home`` is for scratch files."""

    tree: _Tree
    keys: Keyring | None
    trust: Trust | None
    home: Path

    def judge(self, package: RepoPackage, kind: Document, built: str) -> Iterator[str]:
        place = kind.place(package)
        data = self.tree.get(place)
        with _file(self.tree, package.pool, self.home) as path:
            if data is None or path is None:
                return  # a missing file was reported by its record
            try:
                if kind is Document.ENVELOPE:
                    judge_provenance(path, data, str(place), self.keys, built=built)
                elif kind is Document.BUNDLE and self.trust:
                    judge_bundle(path, data, str(place), self.trust)
                elif kind is Document.BUILDINFO:
                    hashes = {package.sha256, built}
                    check_buildinfo(data, str(place), package, hashes, self.keys)
                else:
                    check_statement(path, data, str(place))
            except BuilderError as error:
                text = error.message.replace(str(path), str(package.pool))
                yield text if str(place) in text else f"{place}: {text}"


@contextmanager
def _file(tree: _Tree, place: PurePosixPath, home: Path) -> Iterator[Path | None]:
    """Yield a package as a file of this machine; None if the tree lacks it."""
    local = tree.local(place)
    if local is not None:
        yield local
        return
    data = tree.get(place)
    if data is None:
        yield None
        return
    path = home / f"package{place.suffix}"
    path.write_bytes(data)
    try:
        yield path
    finally:
        path.unlink()
