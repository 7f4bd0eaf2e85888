"""The whole build as independent CI jobs. Pure."""

from builder.base.model import Arch
from builder.spec import Spec


def matrix_jobs(spec: Spec) -> list[dict[str, str]]:
    """Return a job for each release and architecture: both formats share its stages."""
    return [
        {
            "name": f"{release.name}-{arch.value}",
            "release": release.name,
            "version": release.version,
            "arch": arch.value,
            "machine": arch.machine,
            "command": f"builder build --release {release.name} --arch {arch.value}",
        }
        for release in spec.releases.values()
        for arch in Arch
    ]
