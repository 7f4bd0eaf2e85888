"""Stand-ins for apt-get and apt-cache, for whoever asks Debian which CPythons it has."""

from collections.abc import Sequence
from pathlib import Path

import pytest

MIRROR = "http://d.example.org/debian"


def fake_apt(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    shown: str = "",
    unknown: Sequence[str] = (),
    silent: Sequence[str] = (),
) -> Path:
    """Put them in place of this host's; returns the file that gets the sources they read.

    A suite has the paragraphs ``shown``; the mirror lacks those of ``unknown``, and those of
    ``silent`` it does not answer: apt's exit status is then 0, unless it is asked for another.
    """
    log = folder / "calls"
    (folder / "shown").write_text(shown)
    lacking = "|".join(f"*' {suite} '*" for suite in unknown) or "''"
    dead = "|".join(f"*' {suite} '*" for suite in silent) or "''"
    apt_get = f"""\
status=0
for word; do
    case "$word" in
        indextargets) printf "Debian\\t{MIRROR}/\\n"; exit ;;
        *sourcelist=*) line=$(cat "${{word#*sourcelist=}}"); echo "$line" >>{log} ;;
        APT::Update::Error-Mode=any) status=100 ;;
    esac
done
suite=${{line% main}} suite=${{suite##* }}
case "$line" in
    {lacking})
        echo "E: The repository '{MIRROR} $suite Release' does not have a Release file." >&2
        exit 100 ;;
    {dead})
        [ "$status" = 0 ] && letter=W || letter=E
        echo "$letter: Failed to fetch {MIRROR}/dists/$suite  Could not resolve" >&2
        echo "$letter: Some index files failed to download." >&2
        exit $status ;;
esac
"""
    for name, body in {"apt-get": apt_get, "apt-cache": f"cat {folder}/shown"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr("builder.runtime.offers.shutil.which", lambda name: str(folder / name))
    return log
