"""A stand-in for nfpm: a script that packs its configuration, or does as it is set up to."""

from pathlib import Path

_VERSION = """#!/bin/sh
[ "$1" != --version ] || { echo 'GitVersion:    2.0.0'; exit 0; }
"""
PACK = """
while [ $# -gt 0 ]; do
    case $1 in --config) config=$2 ;; --target) target=$2 ;; esac
    shift
done
echo run >> {folder}/runs
cp "$config" {folder}/config.json
body=$(cat "$config"; echo "$SOURCE_DATE_EPOCH")
# As much of a package as tells its content from its signatures.
member() {{
    [ $((${{#2}} % 2)) = 0 ] || set -- "$1" " $2"
    printf '%-16s%-12s%-6s%-6s%-8s%-10s`\\n%s' "$1" 0 0 0 100644 "${{#2}}" "$2"
}}
case $target in
    *.deb)
        printf '!<arch>\\n' > "$target"
        for part in "debian-binary 2.0" "control.tar -" "data.tar $body"; do
            member "${{part%% *}}" "${{part#* }}" >> "$target"
        done ;;
    *) {{
        printf '\\355\\253\\356\\333%092d' 0
        printf '\\216\\255\\350\\001\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0%s' "$body"
    }} > "$target" ;;
esac
cp "$(dirname "$config")/post"* {folder}/ 2> /dev/null || true # not every package has one
"""


class FakeNfpm:
    """Keeps what it was given in ``folder``; ``text`` is what it does."""

    def __init__(self, folder: Path, text: str = PACK) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "nfpm"
        self.path.write_text(_VERSION + text.format(folder=folder), encoding="utf-8")
        self.path.chmod(0o755)

    @property
    def runs(self) -> int:
        """How often it was run."""
        return count_runs(self.folder)


def count_runs(folder: Path) -> int:
    """How often the stand-in in ``folder`` was run."""
    path = folder / "runs"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
