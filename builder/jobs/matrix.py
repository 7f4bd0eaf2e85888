"""The whole build as independent CI jobs. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date

from builder.base.model import Arch
from builder.jobs.split import SplitJob
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
    return _pipeline(
        {
            f"build {job['name']}": {
                "extends": ".build",
                "tags": [job["arch"]],
                "variables": {"RELEASE": job["release"], "ARCH": job["arch"]},
            }
            for job in jobs
        }
    )


def split_rows(jobs: Sequence[SplitJob]) -> list[dict[str, object]]:
    """Return the jobs of a split as rows: what each runs, its cost, and what it waits for."""
    return [
        {
            "name": job.name,
            "arch": job.arch.value,
            "machine": job.arch.machine,
            "seconds": round(job.seconds, 1),
            "needs": list(job.needs),
            "script": " && ".join(_script(job)),
        }
        for job in jobs
    ]


def github_split(jobs: Sequence[SplitJob]) -> dict[str, object]:
    """Return two matrices for GitHub, where a job of a matrix cannot wait for another one."""
    rows = split_rows(jobs)
    return {
        "first": {"include": [row for row in rows if not row["needs"]]},
        "second": {"include": [row for row in rows if row["needs"]]},
    }


def gitlab_split(jobs: Sequence[SplitJob]) -> dict[str, object]:
    """Return a child pipeline for GitLab of the jobs of a split."""
    builds: dict[str, dict[str, object]] = {}
    for job in jobs:
        build: dict[str, object] = {
            "extends": ".build",
            "tags": [job.arch.value],
            "variables": {"RELEASE": job.shares[0].release, "ARCH": job.arch.value},
            "script": _script(job),
        }
        if job.needs:
            build["needs"] = [{"job": f"build {name}", "artifacts": False} for name in job.needs]
        builds[f"build {job.name}"] = build
    return _pipeline(builds)


def _script(job: SplitJob) -> list[str]:
    lines = []
    for share in job.shares:
        part = [f"BUILDER_PART={share.part}"] if share.part else []
        lines.append(" ".join([*part, ".ci/build", share.release, job.arch.value, *share.packages]))
    return lines


def _pipeline(builds: Mapping[str, dict[str, object]]) -> dict[str, object]:
    tests: dict[str, dict[str, object]] = {
        target: {"extends": ".test", "variables": {"TARGET": target}} for target in _TESTS
    }
    needs = [{"job": name} for name in builds]
    return {
        "include": [{"local": ".gitlab/night.yml"}],
        "stages": ["build", "test", "publish"],
        **builds,
        **tests,
        "proof": {
            "extends": ".proof",
            "needs": [{"job": name, "optional": True} for name in tests],
        },
        # The tests are not there for a tag.
        "publish": {
            "extends": ".publish",
            "needs": [*needs, *({"job": name, "optional": True} for name in tests)],
        },
    }
