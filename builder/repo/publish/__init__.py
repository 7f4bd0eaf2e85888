"""Places that a repository is published to, and the order that keeps readers consistent."""

from pathlib import Path
from typing import Protocol

from builder.repo.config import FolderTarget, RsyncTarget, S3Target
from builder.repo.model import Publisher
from builder.repo.publish.claim import ClaimedPlace
from builder.repo.publish.folder import FolderPublisher
from builder.repo.publish.rsync import RsyncPublisher


class Place(Publisher, ClaimedPlace, Protocol):
    """A place that one publisher at a time writes to."""


def open_publisher(target: FolderTarget | RsyncTarget | S3Target, root: Path) -> Place:
    """Open the place that a target of ``repo.toml`` names; ``root`` is the repository's folder."""
    match target:
        case FolderTarget():
            return FolderPublisher(root / target.path)
        case RsyncTarget():
            return RsyncPublisher(target.destination, target.ssh_options)
        case S3Target():
            # boto3 takes longer to load than a folder takes to publish.
            from builder.repo.publish.s3 import open_s3  # noqa: PLC0415

            return open_s3(target)
