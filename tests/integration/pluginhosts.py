"""What hosts and the build host say of a site's plug-ins, for the tests of both formats."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from builder.base.paths import PROJECT
from builder.base.run import Result, run
from builder.verify.hosts import Host

LOAD_TIMEOUT_S = 300


def call_builder(site: Path, *words: str, project: Path = PROJECT, check: bool = True) -> Result:
    """Call builder as the engineer of a site does, in this project or in a copy of it."""
    given = {name: text for name, text in os.environ.items() if name.startswith("BUILDER_")}
    command = [sys.executable, "-m", "builder", "--quiet", *words]
    own = {**given, "BUILDER_PKGSPEC_EXTRA": str(site), "PYTHONPATH": os.fspath(project)}
    return run(command, cwd=project, env=own, check=check)


def listed(host: Host) -> dict[str, dict[str, Any]]:
    """The output of `addon list --json`, by name."""
    text = host.run(["backendai-ctl", "addon", "list", "--json"]).stdout
    return {addon["name"]: addon for addon in json.loads(text)}


def count(host: Host, service: str, text: str) -> int:
    """How many lines of the journal of a service have the text."""
    journal = host.run(["journalctl", "--no-pager", f"--unit=backendai-{service}"]).stdout
    return sum(text in line for line in journal.splitlines())


def starts(host: Host, service: str) -> int:
    """How often systemd has started a service."""
    return count(host, service, "]: Started backendai-")


def wait_for(host: Host, service: str, text: str, more_than: int = 0) -> None:
    """Wait until a service has printed a line more often."""
    host.wait_until(
        f"{service}: {text}",
        lambda: count(host, service, text) > more_than,
        timeout=LOAD_TIMEOUT_S,
    )
