"""The paths of a host with their kind, mode and owner, to compare over time."""

import re
from dataclasses import dataclass

from builder.verify.hosts import Host

# The root, and relevant volumes: find does not cross into other file systems.
_ROOTS = ("/", "/opt", "/var/lib")
_FIELDS = 6

# Files that the host's own programs may write at any time, whatever is installed.
_HOST_FILES = re.compile(
    r"/(root|srv|dist|tmp|run|proc|sys|dev)(/.*)?"
    r"|/var/(backups|tmp)(/.*)?"
    r"|/var/log/(?!backendai).*"
    r"|/var/cache/(apt|debconf|ldconfig|man|dnf|libdnf\d*|swcatalog)(/.*)?"
    r"|/var/lib/(apt|dpkg|dnf|rpm|postgresql|etcd|valkey|redis|ucf)(/.*)?"
    r"|/var/lib/systemd/(catalog|timers|random-seed|timesync|rfkill)(/.*)?"
    r"|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|/etc/\.pwd\.lock|/etc/ld\.so\.cache"
)

_SCRIPT = r"""
for root in "$@"; do
    find "$root" -xdev -printf '%p\t%y\t%m\t%u:%g\t%T@\t%l\0'
done
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path: its find(1) kind, mode, owner and group, time of change, and link target."""

    kind: str
    mode: str
    owner: str
    changed: str
    link: str

    @property
    def lasting(self) -> tuple[str, ...]:
        """The facts that a package's removal must not alter; folders change their time."""
        return (self.kind, self.mode, self.owner, self.link)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The paths of a host, and the hashes of all below /etc."""

    entries: dict[str, Entry]
    settings: dict[str, str]

    def below(self, folder: str) -> dict[str, Entry]:
        """Return the part below ``folder``, times included."""
        return {
            path: entry for path, entry in self.entries.items() if path.startswith(f"{folder}/")
        }


def take_listing(host: Host) -> Listing:
    """List the host as it is now."""
    output = host.run(["sh", "-c", _SCRIPT, "list", *_ROOTS], timeout=120).stdout
    entries = {}
    for record in output.split("\0"):
        fields = record.split("\t")
        if len(fields) == _FIELDS:
            path, kind, mode, owner, changed, link = fields
            entries[path] = Entry(kind=kind, mode=mode, owner=owner, changed=changed, link=link)
    hashed = host.run("find /etc -xdev -type f -exec sha256sum {} +").stdout
    settings = {line[66:]: line[:64] for line in hashed.splitlines()}
    return Listing(entries=entries, settings=settings)


def differences(before: Listing, after: Listing) -> list[str]:
    """Return a host's new, lost and changed paths, sorted, except expected changes."""
    found = []
    for path in sorted(before.entries.keys() | after.entries.keys()):
        if _HOST_FILES.fullmatch(path):
            continue
        old, new = before.entries.get(path), after.entries.get(path)
        if old is None:
            found.append(f"+ {path}")
        elif new is None:
            found.append(f"- {path}")
        elif old.lasting != new.lasting:
            found.append(f"~ {path}: {old.lasting} became {new.lasting}")
        elif before.settings.get(path) != after.settings.get(path):
            found.append(f"~ {path}: other content")
    return found


def read_names(host: Host) -> dict[str, list[str]]:
    """Read the names in passwd and group."""
    return {
        kind: [line.split(":")[0] for line in host.read(f"/etc/{kind}").splitlines()]
        for kind in ("passwd", "group")
    }
