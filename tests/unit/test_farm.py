"""The simulated farm: its page is what the code says, and its numbers are possible."""

from builder.base.paths import PROJECT
from builder.spec import Spec
from builder.spec.costs import load_costs_spec
from tests.bench.farm import LINES, RUNNERS, START_S, documents, simulate


def test_page_and_chart_are_those_of_the_present_costs() -> None:
    for name, text in documents().items():
        assert (PROJECT / "docs/reference" / name).read_text(encoding="utf-8") == text, (
            "run 'python -m tests.bench.farm --docs'"
        )


def test_more_runners_are_never_later_and_never_faster_than_their_sum(real_spec: Spec) -> None:
    costs = load_costs_spec(real_spec.root)
    nights = {(night.case, night.runners): night for night in simulate(real_spec, costs)}
    for case in {case for case, _ in nights}:
        before = float("inf")
        for runners in RUNNERS:
            night = nights[case, runners]
            assert night.jobs <= runners
            # A part of a line has a start of its own, which the split does not count.
            assert night.busy / runners <= night.seconds <= before + START_S
            before = night.seconds
    release = real_spec.release(None)
    runtime = costs.seconds[real_spec.project.runtime]
    for runners in RUNNERS:
        cold, warm = nights["cold", runners], nights["warm", runners]
        changed = nights["a shared wheel changed", runners]
        assert warm.seconds < changed.seconds < cold.seconds
        # What changed is built once for each line and architecture.
        assert 2 * LINES * runtime < changed.busy < 2 * LINES * (runtime + len(release.packages))
