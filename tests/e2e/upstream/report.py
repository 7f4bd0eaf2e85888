"""The table of a run of upstream's suite, in Markdown."""

from collections import Counter
from collections.abc import Sequence

from tests.e2e.upstream.known import Outcome, Result, Verdict, Whose

_SERVICE_WORDS = ("endpoint", "replicas")
_FOLDER_WORDS = ("vfolder", "files", "_file")


def group_of(case: str) -> str:
    """The group of cases that a row of the summary is about."""
    if case.startswith("cli:"):
        return "command line"
    if "multi_node" in case or "multi-node" in case:
        return "several nodes"
    if case == "login" or case.startswith("purge_group"):
        return "login, group"
    if any(word in case for word in _SERVICE_WORDS):
        return "model services"
    for prefix, name in (
        ("single_node_single_container", "single node, single container"),
        ("single_node_multi_container", "single node, several containers"),
        ("creation_", "sessions refused or with folders mounted"),
    ):
        if case.startswith(prefix):
            return name
    return "folders, invitations"


def render_report(verdicts: Sequence[Verdict], *, title: str, seconds: float) -> str:
    """Everything: a summary by group, what is not as expected, every case that did not pass."""
    lines = [f"# {title}", "", f"{len(verdicts)} cases in {seconds / 60:.0f} min.", ""]
    lines += _summary([verdict.result for verdict in verdicts])
    lines += _faults(verdicts)
    lines += _problems(verdicts)
    lines += _details(verdicts)
    return "\n".join([*lines, ""])


def _summary(results: Sequence[Result]) -> list[str]:
    counts: dict[tuple[str, str], Counter[Outcome]] = {}
    for result in results:
        key = (group_of(result.case), result.account)
        counts.setdefault(key, Counter())[result.outcome] += 1
    rows = [
        [group, account, *(str(counter[outcome]) for outcome in Outcome)]
        for (group, account), counter in sorted(counts.items())
    ]
    total = Counter(result.outcome for result in results)
    rows.append(["together", "", *(str(total[outcome]) for outcome in Outcome)])
    return _table(["group", "account", "pass", "fail", "not concluded", "skipped"], rows)


def _faults(verdicts: Sequence[Verdict]) -> list[str]:
    known = [verdict.known for verdict in verdicts if verdict.result.outcome is not Outcome.PASS]
    counter = Counter(entry.whose for entry in known if entry)
    rows = [[whose, str(counter[whose])] for whose in Whose if counter[whose]]
    return _table(["whose fault", "cases"], rows) if rows else []


def _problems(verdicts: Sequence[Verdict]) -> list[str]:
    found = [verdict for verdict in verdicts if verdict.problem]
    if not found:
        return ["Everything is as expected.", ""]
    rows = [
        [verdict.result.case, verdict.result.account, verdict.problem, verdict.result.error]
        for verdict in found
    ]
    return ["## Not as expected", "", *_table(["case", "account", "problem", "error"], rows)]


def _details(verdicts: Sequence[Verdict]) -> list[str]:
    rows = []
    for verdict in sorted(verdicts, key=lambda each: (each.result.case, each.result.account)):
        result, known = verdict.result, verdict.known
        if result.outcome is Outcome.PASS:
            continue
        check = f", its check {result.body}" if result.body else ""
        cause = f"{known.whose}: {known.cause}" if known else ""
        end = f"{result.outcome}{check}, {result.seconds:.0f} s"
        rows.append([result.case, result.account, end, cause, result.error])
    head = ["case", "account", "ended", "cause", "error"]
    return ["## Cases that did not pass", "", *_table(head, rows)] if rows else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(_cell(text) for text in line)} |" for line in lines] + [""]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
