"""The owners of files, and the check for root."""

import grp
import os
import pwd
from dataclasses import dataclass

from backendai_ctl.base.errors import HostError

ACCOUNT = "backendai"


def is_root() -> bool:
    """Whether root runs this process."""
    return os.geteuid() == 0


def require_root(action: str) -> None:
    """Raise HostError unless root runs this process; ``action`` is what only root can do."""
    if not is_root():
        raise HostError(f"only root can {action}", hint="use sudo")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The owner of the files that this tool writes."""

    uid: int
    gid: int

    @classmethod
    def of_account(cls) -> "Owner":
        """Return root and the account's group, for settings and secrets; HostError if none."""
        require_root("write the configuration")
        try:
            return cls(uid=0, gid=grp.getgrnam(ACCOUNT).gr_gid)
        except KeyError as error:
            raise HostError(
                f"this host has no group '{ACCOUNT}'", hint="reinstall backendai-common"
            ) from error

    @classmethod
    def account(cls) -> "Owner":
        """Return the account itself, which owns users' folders; HostError if there is none."""
        try:
            entry = pwd.getpwnam(ACCOUNT)
        except KeyError as error:
            raise HostError(
                f"this host has no account '{ACCOUNT}'", hint="reinstall backendai-common"
            ) from error
        return cls(uid=entry.pw_uid, gid=entry.pw_gid)

    @classmethod
    def caller(cls) -> "Owner":
        """Return the user who runs this process."""
        return cls(uid=os.geteuid(), gid=os.getegid())
