"""The documents that come with a package: provenance, signed or not, SBOM, .buildinfo of a deb.

They lie beside the package: in the folder of a build, and in the pool.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath

from builder.base.errors import BuilderError, PayloadError, RepoError, VerifyError
from builder.base.files import hash_file
from builder.base.parse import TextError, parse_json
from builder.base.paths import SBOM_SUFFIX
from builder.base.storage import replacing
from builder.pack.buildinfo import buildinfo_name
from builder.pack.provenance import PROVENANCE_SUFFIX
from builder.repo.attest import (
    ENVELOPE_SUFFIX,
    Keyring,
    check_statement,
    judge_provenance,
    read_given,
    sign_statement,
    statement_of,
)
from builder.repo.buildinfo import check_buildinfo, is_signed, sign_buildinfo
from builder.repo.bundles import judge_bundle
from builder.repo.config import Demand
from builder.repo.core import Repository
from builder.repo.keyfiles import armored_path
from builder.repo.keyless import BUNDLE_SUFFIX, Trust, load_verifier
from builder.repo.model import FileFacts, ParsedPackage, RepoPackage
from builder.repo.publish.folder import FolderPublisher
from builder.repo.sign import Signer


class Document(StrEnum):
    """A kind of document; the value is the end of its file's name."""

    ENVELOPE = ENVELOPE_SUFFIX
    STATEMENT = PROVENANCE_SUFFIX
    SBOM = SBOM_SUFFIX
    BUILDINFO = ".buildinfo"
    BUNDLE = BUNDLE_SUFFIX

    def beside(self, package: Path) -> Path:
        """Return the place of the document of a package file."""
        return package.with_name(self._name(package.name))

    def place(self, package: RepoPackage) -> PurePosixPath:
        """Return the place of the document in the tree."""
        return package.pool.with_name(self._name(package.pool.name))

    def _name(self, package: str) -> str:
        return buildinfo_name(package) if self is Document.BUILDINFO else f"{package}{self}"


Documents = Mapping[Document, bytes]

_DEMANDED = {
    Demand.STATEMENT: Document.STATEMENT,
    Demand.SIGNATURE: Document.ENVELOPE,
    Demand.SIGSTORE: Document.BUNDLE,
}


def trusted_keys(repository: Repository, signer: Signer | None) -> Keyring:
    """Return the keys that may sign statements; raises RepoError if none is known yet."""
    config = repository.config
    texts = [signer.public_keys(armor=True)] if signer else []
    published = repository.public / armored_path(config.name)
    named = config.provenance.keyring
    texts += [read_given(published)] if published.is_file() else []
    texts += [read_given(repository.root / named)] if named else []
    if not texts:
        raise RepoError(
            "no public key is known that could verify signed provenance",
            hint="run 'builder repo publish' first, or name keys in repo.toml: "
            '[provenance] keyring = "FILE"',
        )
    label = f"the repository{' or of ' + str(named) if named else ''}"
    return Keyring(armored=b"\n".join(texts).decode("utf-8", "replace"), label=label)


def trusted_identities(repository: Repository) -> Trust:
    """Return whose bundles are accepted; raises RepoError if repo.toml does not say so."""
    spec = repository.config.provenance.sigstore
    if spec is None:
        raise RepoError(
            "repo.toml does not say whose bundles of sigstore are accepted",
            hint="name them: [provenance.sigstore] identities = [...], issuer = ...; or remove "
            f"the files that end in {BUNDLE_SUFFIX}",
        )
    root = repository.root / spec.trusted_root if spec.trusted_root else None
    trust = Trust(identities=spec.identities, issuer=spec.issuer, root=root)
    return replace(trust, loaded=load_verifier(root))


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Whose signatures a repository accepts, read when the first one is there."""

    keys: Callable[[], Keyring]
    trust: Callable[[], Trust]


def accepted_signatures(repository: Repository, signer: Signer | None) -> Accepted:
    """Return whose signatures the repository accepts; a wrong setting is raised on use."""
    return Accepted(
        keys=functools.cache(lambda: trusted_keys(repository, signer)),
        trust=functools.cache(lambda: trusted_identities(repository)),
    )


def read_documents(path: Path, parsed: ParsedPackage, accepted: Accepted) -> Documents:
    """Return the documents beside a package file, each checked against the package.

    Raises a BuilderError if one is false.
    """
    found = {
        kind: read_given(kind.beside(path)) for kind in Document if kind.beside(path).is_file()
    }
    if Document.ENVELOPE in found:
        label = str(Document.ENVELOPE.beside(path))
        statement_of(found[Document.ENVELOPE], label)  # a plain statement is not signed
        judge_provenance(path, found[Document.ENVELOPE], label, accepted.keys())
    if Document.STATEMENT in found:
        label = str(Document.STATEMENT.beside(path))
        check_statement(path, found[Document.STATEMENT], label)
    if Document.SBOM in found:
        _check_sbom(found[Document.SBOM], Document.SBOM.beside(path), parsed)
    if Document.BUILDINFO in found:
        label, data = str(Document.BUILDINFO.beside(path)), found[Document.BUILDINFO]
        known = accepted.keys() if is_signed(data) else None
        check_buildinfo(data, label, parsed, {hash_file(path)}, known)
    if Document.BUNDLE in found:
        label = str(Document.BUNDLE.beside(path))
        judge_bundle(path, found[Document.BUNDLE], label, accepted.trust())
    return found


def demand_documents(path: Path, documents: Iterable[Document], demand: Demand) -> None:
    """Raise RepoError if a document that repo.toml demands does not exist."""
    problem = lacking(documents, demand)
    if problem:
        raise RepoError(
            f"{path}: {problem}",
            hint=f"put {path.name}{_DEMANDED[demand]} beside it: 'builder build' writes the "
            "statement, 'builder attest' signs it",
        )


def lacking(documents: Iterable[Document], demand: Demand) -> str:
    """Return what a package lacks that repo.toml demands; empty if nothing. Pure."""
    present = set(documents)
    if demand is Demand.SIGSTORE and Document.BUNDLE not in present:
        return f"has no bundle of sigstore, which [provenance] require = '{demand}' demands"
    if demand is Demand.SIGNATURE and Document.ENVELOPE not in present:
        return f"has no signed provenance, which [provenance] require = '{demand}' demands"
    if demand is Demand.STATEMENT and not {Document.ENVELOPE, Document.STATEMENT} & present:
        return f"has no provenance, which [provenance] require = '{demand}' demands"
    return ""


def _check_sbom(data: bytes, path: Path, parsed: ParsedPackage) -> None:
    try:
        table = parse_json(data)
    except TextError as error:
        raise VerifyError(f"{path}: {error}") from error
    if table != parsed.sbom:
        raise PayloadError(
            f"{path}: is not the SBOM that is in the package",
            hint="remove it, or make it again: 'builder sbom --out DIR FILE'",
        )


def keep_documents(
    repository: Repository, package: RepoPackage, documents: Documents, signer: Signer | None
) -> None:
    """Put documents beside a package in the pool, and record them; those that it has stay.

    A repository that has just signed the package signs its statement again, which is then on
    the file that readers get.
    """
    given, folder = dict(documents), repository.public
    local, known = FolderPublisher(folder), repository.state.documents(package.sha256)
    whole = {kind for kind in Document if _is_whole(local, kind.place(package), known)}
    if signer and repository.config.provenance.sign and Document.ENVELOPE not in whole:
        label = str(package.pool)
        statement = given.get(Document.STATEMENT)
        if Document.ENVELOPE in given:
            statement = statement_of(given[Document.ENVELOPE], label)
        if statement is not None:
            given[Document.ENVELOPE] = sign_statement(folder / package.pool, statement, signer)
    if signer and repository.config.provenance.sign and Document.BUILDINFO in given:
        kept = folder / Document.BUILDINFO.place(package)
        if Document.BUILDINFO not in whole or not is_signed(read_given(kept)):
            given[Document.BUILDINFO] = sign_buildinfo(given[Document.BUILDINFO], signer)
            whole.discard(Document.BUILDINFO)
    for kind, data in given.items():
        if kind in whole:
            continue
        place = kind.place(package)
        with replacing(folder / place) as part:
            part.write_bytes(data)
        facts = FileFacts(sha256=hash_file(folder / place), size=len(data))
        repository.state.record_document(package.sha256, place, facts)


def _is_whole(
    local: FolderPublisher, place: PurePosixPath, known: Mapping[PurePosixPath, FileFacts]
) -> bool:
    return place in known and local.has(place, known[place])


def documents_of(repository: Repository, package: RepoPackage) -> dict[Document, PurePosixPath]:
    """Return the places of a package's documents."""
    known = repository.state.documents(package.sha256)
    places = {kind: kind.place(package) for kind in Document}
    return {kind: place for kind, place in places.items() if place in known}


def sign_statements(repository: Repository, signer: Signer) -> None:
    """Sign the statements and .buildinfo that nobody has signed yet, if repo.toml says so."""
    if not repository.config.provenance.sign:
        return
    for package in repository.state.documented():
        for kind, place in _unsigned(repository, package):
            try:
                data = read_given(repository.public / place)
                keep_documents(repository, package, {kind: data}, signer)
            except BuilderError as error:
                raise RepoError(
                    f"{place}: cannot be signed: {error.message}",
                    hint="add the package again from its artifact, with the statement beside it",
                ) from error


def _unsigned(
    repository: Repository, package: RepoPackage
) -> Iterator[tuple[Document, PurePosixPath]]:
    """Yield the documents of a package that a signature should be made for."""
    found = documents_of(repository, package)
    if Document.STATEMENT in found and Document.ENVELOPE not in found:
        yield Document.STATEMENT, found[Document.STATEMENT]
    place = found.get(Document.BUILDINFO)
    # A lost file is reported by what compares the tree with its record.
    path = repository.public / place if place else None
    if place and path and path.is_file() and not is_signed(read_given(path)):
        yield Document.BUILDINFO, place
