"""CI jobs: which lines are built, and until when."""

from datetime import date

import pytest

from builder.jobs.matrix import matrix_jobs
from builder.spec import Spec


def test_a_job_says_until_when_its_line_is_maintained(real_spec: Spec) -> None:
    until = {job["release"]: job["maintained-until"] for job in matrix_jobs(real_spec)}
    assert until["26.9"] == "open"
    assert until["26.4"] == "2027-04-30"
    assert until["26.3"] == ""


@pytest.mark.parametrize(
    ("day", "lines"),
    [
        (date(2027, 4, 30), {"26.4", "26.8", "26.9"}),  # the last day counts
        (date(2027, 5, 1), {"26.8", "26.9"}),
    ],
)
def test_lines_that_are_maintained_on_a_day_can_be_chosen(
    real_spec: Spec, day: date, lines: set[str]
) -> None:
    jobs = matrix_jobs(real_spec, maintained_on=day)
    assert {job["release"] for job in jobs} == lines
    assert len(jobs) == 2 * len(lines)


def test_a_release_is_of_the_line_that_its_version_begins_with(real_spec: Spec) -> None:
    assert {name: release.line for name, release in real_spec.releases.items()} == {
        "23.09": "23.9",
        "25.19": "25.19",
        "26.3": "26.3",
        "26.4": "26.4",
        "26.8": "26.8",
        "26.9": "26.9",
        "26.9.5": "26.9",
    }
