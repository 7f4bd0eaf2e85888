"""What the benchmark of installations reads from dpkg's log, and what it makes of its rounds."""

from datetime import UTC, datetime

from tests.bench.install import Run, _dpkg_phases, _result

_BEGIN = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC).timestamp()
_LOG = """\
2026-11-26 11:00:00 install backendai-common:all <none> 26.9.6-1
2026-11-26 12:00:02 startup archives unpack
2026-11-26 12:00:02 install postgresql:all <none> 17
2026-11-26 12:00:05 install backendai-runtime:amd64 <none> 26.9.6-2
2026-11-26 12:00:05 status half-installed backendai-runtime:amd64 26.9.6-2
2026-11-26 12:00:11 install backendai-manager:amd64 <none> 26.9.6-2
2026-11-26 12:00:14 configure postgresql:all 17 <none>
2026-11-26 12:00:20 configure backendai-manager:amd64 26.9.6-2 <none>
2026-11-26 12:00:21 status installed backendai-manager:amd64 26.9.6-2
2026-11-26 12:00:30 trigproc backendai-common:all 26.9.6-2 <none>
2026-11-26 12:00:40 trigproc libc-bin:amd64 2.41 <none>
"""


def test_each_second_of_apt_belongs_to_one_phase() -> None:
    phases = _dpkg_phases(_LOG, _BEGIN, _BEGIN + 33)
    assert phases == {"stores": 2 + 3 + 6, "unpack": 6 + 3, "configure": 10, "seed": 3}
    assert sum(phases.values()) == 33


def test_the_result_has_the_medians_of_the_rounds() -> None:
    def rounds(seconds: float) -> dict[str, Run]:
        run = Run(phases={"start": seconds / 2}, total=seconds)
        return {"packages": run, "guide": run}

    result = _result([rounds(number) for number in (1.0, 9.0, 4.0)], "26.9.6", 0.25)
    assert result["ways"] == {
        way: {"seconds": 4.0, "phases": {"start": 2.0}} for way in ("packages", "guide")
    }
    assert result["rounds"] == [dict.fromkeys(("packages", "guide"), n) for n in (1.0, 9.0, 4.0)]
