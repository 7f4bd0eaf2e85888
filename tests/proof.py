"""When each case marked ``full`` last passed: ``docs/proof.json``, and the page made from it.

A run with ``--proof FILE`` adds the cases that it has seen pass. ``make proof`` merges the records
of other machines, drops the cases that no longer exist, and writes the page.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.base.paths import PKGSPEC, PROJECT
from builder.base.run import run
from builder.base.storage import replacing
from builder.spec import load_spec

RECORD = PROJECT / "docs/proof.json"
MARKER = "full"
_PHASES = frozenset({"setup", "call", "teardown"})
_HEAD = """\
# When the long cases last passed

`.ci/run` keeps one member of each kind of case. The others are marked `full`: `make test-full` and
`make e2e-full` run them, every night by [the workflow](../.github/workflows/nightly.yml). Each
such run writes this page and the record behind it, [proof.json](proof.json); `make proof` merges
the records of several machines. Do not edit either by hand.
"""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A case that has passed; ``date`` is in UTC, in ISO 8601."""

    date: str
    release: str
    commit: str
    seconds: float


Record = Mapping[str, Pass | None]  # None: known, and never seen to pass


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --proof."""
    parser.addoption(
        "--proof",
        type=Path,
        metavar="FILE",
        help="add the cases marked 'full' that pass to this record, and write its page",
    )


@dataclass(eq=False)  # pytest puts plug-ins into sets where folders have hooks of their own
class Proof:
    """Collects the cases of a run, from whichever worker, and records them at its end."""

    path: Path
    phases: dict[str, set[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a phase of a case that has passed."""
        if MARKER not in report.keywords:
            return
        name = case_name(report.nodeid, grouped="xdist_group" in report.keywords)
        passed = self.phases.setdefault(name, set())
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration
        if report.passed and report.when is not None:
            passed.add(report.when)

    def pytest_sessionfinish(self) -> None:
        """Merge this run into the record."""
        if not self.phases:
            return
        release, commit = _release(), _commit()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        seen = {
            name: Pass(
                date=now, release=release, commit=commit, seconds=round(self.seconds[name], 1)
            )
            if passed == _PHASES
            else None
            for name, passed in self.phases.items()
        }
        save(self.path, merge([load(self.path), seen]))


def case_name(nodeid: str, *, grouped: bool) -> str:
    """Return the case's name; with ``--dist loadgroup`` xdist appends its group."""
    return nodeid.rpartition("@")[0] if grouped and "@" in nodeid else nodeid


def load(path: Path) -> dict[str, Pass | None]:
    """Read a record; one that is not there is empty."""
    if not path.exists():
        return {}
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return {name: Pass(**entry) if entry else None for name, entry in cases.items()}


def merge(records: Iterable[Record], known: Iterable[str] | None = None) -> dict[str, Pass | None]:
    """Return the latest pass of each case; with ``known``, of these cases alone. Pure."""
    latest: dict[str, Pass | None] = {} if known is None else dict.fromkeys(known)
    for record in records:
        for name, entry in record.items():
            if known is not None and name not in latest:
                continue
            former = latest.setdefault(name, None)
            if entry and (former is None or entry.date > former.date):
                latest[name] = entry
    return dict(sorted(latest.items()))


def save(path: Path, record: Record) -> None:
    """Write the record, and the page beside it."""
    cases = {name: asdict(entry) if entry else None for name, entry in record.items()}
    with replacing(path) as part:
        part.write_text(json.dumps({"cases": cases}, indent=1) + "\n", encoding="utf-8")
    with replacing(path.with_suffix(".md")) as part:
        part.write_text(as_page(record), encoding="utf-8")


def as_page(record: Record) -> str:
    """Return the page: how many have passed, those that never have, and a table by file. Pure."""
    passed = {name: entry for name, entry in record.items() if entry}
    never = [name for name in record if name not in passed]
    lines = [_HEAD, f"{len(passed)} of {len(record)} cases are recorded as passed."]
    if never:
        lines += ["", "## Not recorded as passed", ""]
        lines += [f"- `{name}`" for name in never]
    if passed:
        lines += ["", "## Last passed", ""]
        lines += ["| case | date (UTC) | release | commit | seconds |", "|---|---|---|---|---:|"]
        lines += [_row(name, entry) for name, entry in passed.items()]
    return "\n".join(lines) + "\n"


def _row(name: str, entry: Pass) -> str:
    shown = name.replace("|", "\\|")
    day = entry.date[:16].replace("T", " ")
    return f"| `{shown}` | {day} | {entry.release} | {entry.commit} | {entry.seconds:.0f} |"


def _release() -> str:
    release = load_spec(PKGSPEC).release(None)
    return f"{release.version}-{release.revision}"


def _commit() -> str:
    """Return the commit; a plus sign where tracked files differ from it."""
    git = ["git", "-C", str(PROJECT), "-c", f"safe.directory={PROJECT}"]
    commit = run([*git, "rev-parse", "--short=12", "HEAD"]).stdout.strip()
    changed = run([*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"])
    return f"{commit}+" if changed.stdout.strip() else commit


class _Known:
    """Takes the names of the cases that are marked."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.names = [item.nodeid for item in session.items if item.get_closest_marker(MARKER)]


def known_cases() -> list[str]:
    """Collect the names of all cases that are marked, of every folder of tests."""
    known = _Known()
    words = ["--collect-only", "-p", "no:terminal", "-o", "addopts=", str(PROJECT / "tests")]
    code = pytest.main(words, plugins=[known])
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"error: the tests cannot be collected: pytest ended with {code}")
    return known.names


def main(records: Sequence[str]) -> None:
    """Merge these records into ``docs/proof.json``."""
    others = [load(Path(name)) for name in records]
    save(RECORD, merge([load(RECORD), *others], known_cases()))


if __name__ == "__main__":
    main(sys.argv[1:])
