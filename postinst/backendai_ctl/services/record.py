"""What this tool has written into /etc/backend.ai, to detect what an admin has edited since."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Record:
    """This tool's last offer for one file, and whether the tool created the file.

    Purging removes a file that this tool created, and keeps one that an admin had put
    there before; postinst/shell/purge.sh reads the first word.
    ``left`` is the hash of the file as this tool last left it, if that differs from the
    offer because add-ons were enabled in it.
    """

    made: bool
    digest: str
    left: str = ""

    @classmethod
    def load(cls, path: Path) -> "Record | None":
        """Return the record at ``path``; None if there is no readable one."""
        try:
            origin, digest, *left = path.read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return None
        return cls(made=origin == "made", digest=digest, left=left[0] if left else "")

    def is_of(self, path: Path) -> bool:
        """Whether this tool created the file at ``path`` and nobody has edited it."""
        return self.made and hashlib.sha256(path.read_bytes()).hexdigest() == self.digest

    def is_unedited(self, path: Path) -> bool:
        """Whether only this tool has changed the file, enabling add-ons included."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.made and digest in (self.digest, self.left)

    def __str__(self) -> str:
        words = ("made" if self.made else "found", self.digest, self.left)
        return " ".join(word for word in words if word) + "\n"
