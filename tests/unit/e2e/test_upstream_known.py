"""What upstream's suite is known to do, and how a run of it is judged and reported."""

from pathlib import Path

import pytest

from tests.e2e.upstream.known import (
    Known,
    Outcome,
    Result,
    Whose,
    judge,
    load_known,
    unused,
)
from tests.e2e.upstream.report import group_of, render_report

_FOLDERS = Path(__file__).parents[2] / "e2e" / "upstream" / "known"
_ENTRY = """\
[[known]]
cases = ["move_*"]
account = "user"
outcome = "fail"
error = "not allowed"
whose = "design"
cause = "only administrators purge"
"""


def known(**changes: object) -> Known:
    """An entry, with changes."""
    values: dict[str, object] = {
        "cases": ("move_*",),
        "account": "user",
        "outcome": Outcome.FAIL,
        "error": "not allowed",
        "whose": Whose.DESIGN,
        "cause": "only administrators purge",
        "sometimes": False,
        **changes,
    }
    return Known(**values)  # type: ignore[arg-type]


def result(outcome: Outcome, error: str = "", *, account: str = "user") -> Result:
    """How the case of the entry ended."""
    return Result(case="move_file", account=account, outcome=outcome, error=error)


def problem_of(found: Result, *entries: Known) -> str:
    """What a run of one case gets."""
    (verdict,) = judge([found], entries)
    return verdict.problem


@pytest.mark.parametrize("path", sorted(_FOLDERS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_table_is_read(path: Path) -> None:
    entries = load_known(path.stem)
    assert entries
    named = [(name, entry.account, entry.error) for entry in entries for name in entry.cases]
    assert len(named) == len(set(named))
    assert all(len(entry.cause.split()) > 2 for entry in entries)


def test_a_table_is_refused_with_unknown_keys(tmp_path: Path) -> None:
    (tmp_path / "1.toml").write_text(_ENTRY + 'reason = "?"\n')
    with pytest.raises(ValueError, match="unknown keys: reason"):
        load_known("1", tmp_path)


def test_a_failure_without_its_error_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.toml").write_text(_ENTRY.replace('error = "not allowed"\n', ""))
    with pytest.raises(ValueError, match="by a part of its error"):
        load_known("1", tmp_path)


def test_a_line_without_a_table_is_no_empty_table() -> None:
    with pytest.raises(FileNotFoundError):
        load_known("0.0")


def test_what_no_entry_names_is_to_pass() -> None:
    assert problem_of(result(Outcome.PASS)) == ""
    assert problem_of(result(Outcome.FAIL, "500")) == "fail, expected: pass"
    assert problem_of(result(Outcome.TIMEOUT)) == "timeout, expected: pass"
    assert problem_of(result(Outcome.SKIPPED)) == "skipped, expected: pass"


def test_a_known_failure_is_no_problem() -> None:
    assert problem_of(result(Outcome.FAIL, "you are not allowed to"), known()) == ""


def test_another_failure_of_a_known_case_is_one() -> None:
    found = result(Outcome.FAIL, "500 Internal Server Error")
    assert problem_of(found, known()) == "fail, expected: fail (not allowed)"


def test_an_entry_is_of_its_account() -> None:
    found = result(Outcome.FAIL, "not allowed", account="superadmin")
    assert problem_of(found, known()) == "fail, expected: pass"
    assert problem_of(found, known(account="*")) == ""


def test_a_known_failure_that_passes_is_a_problem_unless_it_is_by_chance() -> None:
    assert "remove the entry" in problem_of(result(Outcome.PASS), known())
    assert problem_of(result(Outcome.PASS), known(sometimes=True)) == ""


def test_one_of_several_entries_explains_a_failure() -> None:
    other = known(error="gone", cause="another cause")
    (verdict,) = judge([result(Outcome.FAIL, "it is gone")], [known(), other])
    assert (verdict.problem, verdict.known) == ("", other)


def test_brackets_of_a_case_are_no_set_of_characters() -> None:
    found = Result(case="invite[rw]", account="user", outcome=Outcome.FAIL, error="not allowed")
    assert problem_of(found, known(cases=("invite[rw]",))) == ""
    assert problem_of(found, known(cases=("invite[ro]",))) == "fail, expected: pass"


def test_entries_that_name_no_case_are_found() -> None:
    entries = [known(cases=("move_*", "gone"))]
    assert unused([result(Outcome.PASS)], entries) == ["gone"]


@pytest.mark.parametrize(
    ("case", "group"),
    [
        ("login", "login, group"),
        ("purge_group_fail_remaining_active_endpoint_exist", "login, group"),
        ("move_file", "folders, invitations"),
        ("cli:admin/test_user::test_add_user", "command line"),
        ("replicas_successfully_scale[multi-node-3]", "several nodes"),
        ("replicas_successfully_scale[single-node-1]", "model services"),
        ("single_node_multi_container_creation_endpoint_success", "model services"),
        ("single_node_multi_container_session_rename_success", "single node, several containers"),
        ("single_node_single_container_session_rename_success", "single node, single container"),
        (
            "creation_interactive_session_failure_low_resources",
            "sessions refused or with folders mounted",
        ),
    ],
)
def test_groups(case: str, group: str) -> None:
    assert group_of(case) == group


def test_the_report_counts_and_names_causes() -> None:
    results = [
        result(Outcome.FAIL, "not allowed | to purge"),
        Result(case="login", account="user", outcome=Outcome.PASS),
        Result(case="list_files", account="user", outcome=Outcome.FAIL, error="500"),
    ]
    text = render_report(judge(results, [known()]), title="A run", seconds=120)
    assert "3 cases in 2 min." in text
    assert "| folders, invitations | user | 0 | 2 | 0 | 0 |" in text
    assert "| together |  | 1 | 2 | 0 | 0 |" in text
    assert "| design | 1 |" in text
    assert "| list_files | user | fail, expected: pass | 500 |" in text
    assert "design: only administrators purge" in text
    assert "not allowed \\| to purge" in text
