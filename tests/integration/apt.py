"""apt-get on a host."""

from builder.verify.hosts import Host

_TIMEOUT_S = 420
_COMMAND = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--no-install-recommends"]


def apt(host: Host, *arguments: str, timeout: int = _TIMEOUT_S) -> str:
    """Call apt-get, without questions; returns all that it printed."""
    done = host.run([*_COMMAND, *arguments], timeout=timeout)
    return done.stdout + done.stderr


def refresh_lists(host: Host) -> None:
    """Fetch apt's lists anew where the image is older than a day."""
    fresh = host.run("find /var/lib/apt/lists -maxdepth 1 -name '*Release' -mtime -1").stdout
    if not fresh.strip():
        apt(host, "update")
