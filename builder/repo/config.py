"""``repo.toml``: a repository's name, content, retention, signing keys and targets.

The file holds no secrets: a signing key and its passphrase come from the agent, a file or the
environment (:mod:`builder.repo.sign`), credentials of a target from its own tools.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic.functional_validators import model_validator

from builder.base.errors import SpecError
from builder.base.model import Arch
from builder.spec.types import Strict
from builder.spec.validate import read_toml, validate

CONFIG_NAME = "repo.toml"
_DEFAULT_KEEP = 5
_PDIFFS = 14
_SNAPSHOTS_KEPT = 30
_RESERVED = "snapshots"  # the folder of dated snapshots lies beside those of channels


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError("must be one line")
    return text


def _web_address(text: str) -> str:
    if not text.startswith(("http://", "https://")) or any(c.isspace() for c in text):
        raise ValueError("must be an http:// or https:// address")
    return text.rstrip("/")


def _fingerprint(text: str) -> str:
    plain = text.replace(" ", "").upper()
    if len(plain) not in (40, 64) or set(plain) - set("0123456789ABCDEF"):
        raise ValueError(
            "must be a whole fingerprint of 40 or 64 digits: short key ids can be forged"
        )
    return plain


Line = Annotated[str, StringConstraints(min_length=1), AfterValidator(_one_line)]
# A word that is safe as a folder, a suite's name and a section of a .repo file alike.
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]


class IndexCompression(StrEnum):
    """How an index is compressed; the value is the suffix without its dot."""

    GZIP = "gz"
    XZ = "xz"
    ZSTD = "zst"


class Retention(Strict):
    """What ``prune`` keeps of a channel."""

    keep: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        _DEFAULT_KEEP, description="newest versions of each package that always stay"
    )
    max_age_days: int | None = Field(
        None, ge=1, description="older versions stay until they are that old; without it they go"
    )


class ChannelSpec(Strict):
    """One channel, which apt calls a suite."""

    description: Line | None = None
    retention: Retention | None = Field(None, description="in place of the repository's own")
    valid_until_days: int | None = Field(
        None, ge=1, description="apt refuses indexes that are older: publish more often than that"
    )

    @property
    def is_dated(self) -> bool:
        """Whether its indexes are valid until a date, and so have to be made again."""
        return self.valid_until_days is not None


class SnapshotSpec(Strict):
    """Which channels get dated snapshots, and how long those stay."""

    channels: tuple[Word, ...] = Field((), description="each publication that changes one takes it")
    keep: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        _SNAPSHOTS_KEPT, description="newest snapshots of each channel that always stay"
    )
    max_age_days: int | None = Field(
        None, ge=1, description="older ones stay until they are that old; without it they go"
    )
    apt_option: bool = Field(
        False,
        description="serve 'apt --snapshot DAY', by a web server that resolves '..' in addresses",
    )


class AptSpec(Strict):
    """What the indexes of apt are like; Packages is always there in plain form."""

    compressions: tuple[IndexCompression, ...] = (IndexCompression.GZIP, IndexCompression.XZ)
    contents: bool = Field(True, description="Contents-ARCH files, which apt-file reads")
    pdiffs: int = Field(
        _PDIFFS,
        ge=0,
        description="former states of a long Packages from which apt needs a patch only; 0: none",
    )


class RpmSpec(Strict):
    """What the indexes of dnf and zypper are like."""

    compression: IndexCompression = Field(
        IndexCompression.GZIP, description="gz is read everywhere; zst from el9 on"
    )


class SigningSpec(Strict):
    """Whose signatures the repository carries."""

    keys: tuple[Fingerprint, ...] = Field(
        (), description="fingerprints; all of them sign, so that a new key can follow an old one"
    )
    former_keys: tuple[Fingerprint, ...] = Field(
        (), description="no longer sign; packages that they signed are still here, for rpm"
    )
    packages: bool = Field(True, description="sign the packages as well as the indexes")


class Demand(StrEnum):
    """The provenance that a package must come with."""

    NOTHING = "nothing"
    STATEMENT = "statement"
    SIGNATURE = "signature"
    SIGSTORE = "sigstore"


class SigstoreSpec(Strict):
    """Whose bundles of sigstore are accepted."""

    identities: Annotated[tuple[Line, ...], Field(min_length=1)] = Field(
        description="who may have signed; a * at the end stands for any rest, as of a tag"
    )
    issuer: Line = Field(description="who vouches for the identity: the issuer as in its tokens")
    trusted_root: Path | None = Field(
        None,
        description="root of trust or client trust config; absolute, or below the repository's own "
        "folder; without it the public instance's",
    )


class ProvenanceSpec(Strict):
    """What becomes of the statements on how packages were made."""

    require: Demand = Field(
        Demand.NOTHING,
        description="'add' refuses packages without a statement, a signed one, or a bundle",
    )
    sign: bool = Field(True, description="'publish' signs what nobody has signed")
    keyring: Path | None = Field(
        None,
        description="armored public keys that may sign statements, beside the repository's own; "
        "absolute, or below the repository's own folder",
    )
    sigstore: SigstoreSpec | None = None


class FolderTarget(Strict):
    """A folder of this machine, which a web server serves."""

    kind: Literal["folder"]
    path: Annotated[Path, Field(description="absolute, or below the repository's own folder")]


class RsyncTarget(Strict):
    """A folder reached by rsync over ssh."""

    kind: Literal["rsync"]
    destination: Line = Field(description="[USER@]HOST:PATH, or a path for rsync on this machine")
    ssh_options: tuple[Line, ...] = ()


class S3Target(Strict):
    """A bucket of an S3-compatible store; credentials come from the environment or ~/.aws."""

    kind: Literal["s3"]
    bucket: Line
    prefix: str = ""
    endpoint: WebAddress | None = None
    region: Line | None = None


Target = Annotated[FolderTarget | RsyncTarget | S3Target, Field(discriminator="kind")]


class RepoConfig(Strict):
    """A repository: ``repo.toml``."""

    name: Word = Field(description="of sources, .repo sections and key files on the target")
    origin: Line
    label: Line
    base_url: WebAddress = Field(description="where readers find the published tree")
    private: bool = Field(
        False, description="the web server asks for credentials: sources and pages say so"
    )
    channels: Annotated[dict[Word, ChannelSpec], Field(min_length=1)]
    components: Annotated[tuple[Word, ...], Field(min_length=1)] = ("main",)
    architectures: Annotated[tuple[Arch, ...], Field(min_length=1)] = (Arch.AMD64, Arch.ARM64)
    retention: Retention = Retention()
    grace_hours: int = Field(24, ge=0, description="unreferenced files stay that long for readers")
    apt: AptSpec = AptSpec()
    rpm: RpmSpec = RpmSpec()
    signing: SigningSpec = SigningSpec()
    provenance: ProvenanceSpec = ProvenanceSpec()
    snapshots: SnapshotSpec = SnapshotSpec()
    targets: dict[Word, Target] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_once(self) -> "RepoConfig":
        for name, values in (
            ("components", self.components),
            ("architectures", self.architectures),
            ("signing keys and former-keys", (*self.signing.keys, *self.signing.former_keys)),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} has the same value twice")
        return self

    @model_validator(mode="after")
    def _channels_of_snapshots(self) -> "RepoConfig":
        if _RESERVED in self.channels:
            raise ValueError(f"no channel can be called '{_RESERVED}'")
        for name in self.snapshots.channels:
            if name not in self.channels:
                raise ValueError(f"snapshots name a channel '{name}' that does not exist")
        return self

    def retention_of(self, channel: str) -> Retention:
        """Return what ``prune`` keeps of this channel."""
        return self.channels[channel].retention or self.retention


def load_config(root: Path) -> RepoConfig:
    """Read ``repo.toml`` in ``root``; raises SpecError with every problem."""
    label = str(root / CONFIG_NAME)
    table, problems = read_toml(root / CONFIG_NAME, label)
    if problems:
        raise SpecError(problems, hint="run 'builder repo init' to make a repository")
    config, problems = validate(RepoConfig, table, label)
    if config is None:
        raise SpecError(problems, hint="the schema is pkgspec/schema/repository.schema.json")
    return config


SCHEMA_MODELS: Mapping[str, type[Strict]] = {"repository": RepoConfig}
