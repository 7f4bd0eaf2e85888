"""The whole build as independent CI jobs. Pure."""

from collections.abc import Sequence
from datetime import date

from builder.base.model import Arch
from builder.spec import Spec

_TESTS = ("test-full", "e2e-full")  # make's targets


def matrix_jobs(
    spec: Spec, maintained_on: date | None = None, only: Sequence[str] = ()
) -> list[dict[str, str]]:
    """Return a job for each release and architecture: both formats share its stages.

    With a day, only releases of lines that are maintained then; with names, only these.
    """
    return [
        {
            "name": f"{release.name}-{arch.value}",
            "release": release.name,
            "version": release.version,
            "maintained-until": str(release.maintained_until or ""),
            "arch": arch.value,
            "machine": arch.machine,
            "command": f"builder build --release {release.name} --arch {arch.value}",
        }
        for release in spec.releases.values()
        if maintained_on is None or release.is_maintained(maintained_on)
        if not only or release.name in only
        for arch in Arch
    ]


def gitlab_pipeline(jobs: Sequence[dict[str, str]]) -> dict[str, object]:
    """Return a child pipeline: a job for each build, the long tests, then one publication.

    What the jobs do is in ``.gitlab/night.yml``; runners have the tag of their architecture.
    """
    builds: dict[str, dict[str, object]] = {
        f"build {job['name']}": {
            "extends": ".build",
            "tags": [job["arch"]],
            "variables": {"RELEASE": job["release"], "ARCH": job["arch"]},
        }
        for job in jobs
    }
    tests: dict[str, dict[str, object]] = {
        target: {"extends": ".test", "variables": {"TARGET": target}} for target in _TESTS
    }
    needs = [{"job": name} for name in builds]
    return {
        "include": [{"local": ".gitlab/night.yml"}],
        "stages": ["build", "test", "publish"],
        **builds,
        **tests,
        # The tests are not there for a tag.
        "publish": {
            "extends": ".publish",
            "needs": [*needs, *({"job": name, "optional": True} for name in tests)],
        },
    }
