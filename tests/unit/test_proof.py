"""What a run reports at its end: which long cases have passed, and what each file costs."""

from pathlib import Path

from builder.base.paths import PROJECT
from tests.proof import Pass, as_page, case_name, load, merge, save

_OLD = Pass(date="2026-11-01T01:00:00+00:00", release="26.9.5-1", commit="a" * 12, seconds=9.0)
_NEW = Pass(date="2026-11-02T01:00:00+00:00", release="26.9.6-1", commit="b" * 12, seconds=70.4)


def test_the_latest_pass_of_each_case_is_kept() -> None:
    first = {"a": _OLD, "b": _NEW, "c": None}
    second = {"a": _NEW, "b": None, "d": _OLD}
    both = {"a": _NEW, "b": _NEW, "c": None, "d": _OLD}
    assert merge([first, second]) == merge([second, first]) == both


def test_cases_that_no_longer_exist_are_dropped_and_new_ones_are_named() -> None:
    assert merge([{"gone": _NEW, "a": _OLD}], known=["a", "new"]) == {"a": _OLD, "new": None}


def test_the_page_names_what_has_never_passed(tmp_path: Path) -> None:
    record = {"x.py::a[b|c]": _NEW, "x.py::never": None}
    save(tmp_path / "proof.json", record)
    assert load(tmp_path / "proof.json") == record
    page = (tmp_path / "proof.md").read_text()
    assert "1 of 2 cases" in page
    assert "- `x.py::never`" in page
    assert f"| `x.py::a[b\\|c]` | 2026-11-02 01:00 | 26.9.6-1 | {'b' * 12} | 70 |" in page


def test_the_page_in_docs_is_made_from_the_record() -> None:
    record = PROJECT / "docs/proof.json"
    assert as_page(load(record)) == record.with_suffix(".md").read_text()


def test_the_group_that_xdist_appends_is_no_part_of_a_name() -> None:
    assert case_name("x.py::a@host", grouped=True) == "x.py::a"
    assert case_name("x.py::a[me@host]", grouped=False) == "x.py::a[me@host]"
