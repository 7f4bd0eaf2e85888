"""The whole build as independent CI jobs. Pure."""

from datetime import date

from builder.base.model import Arch
from builder.spec import Spec


def matrix_jobs(spec: Spec, maintained_on: date | None = None) -> list[dict[str, str]]:
    """Return a job for each release and architecture: both formats share its stages.

    With a day, only releases of lines that are maintained then.
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
        for arch in Arch
    ]
