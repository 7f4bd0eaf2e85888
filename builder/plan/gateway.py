"""Plans the check of a GraphQL gateway: the wheels whose schemas and operations it has to serve."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from builder.base.errors import LockError, SpecError
from builder.lock import Lock, LockedDistribution
from builder.plan.model import Entry
from builder.spec import PackageSpec
from builder.spec.schema import PayloadKind


@dataclass(frozen=True, kw_only=True)
class GatewayPlan:
    """What a gateway is checked against, the same for every architecture."""

    release: str  # version of the release
    program: PurePosixPath  # the gateway's folder in the payload
    target: PurePosixPath  # of the schemas
    minor: str
    requires_python: str
    glibc: str
    wheels: tuple[LockedDistribution, ...]  # print the schemas
    build: tuple[LockedDistribution, ...]
    operations: LockedDistribution  # has the operations of the Web UI

    @property
    def pins(self) -> list[str]:
        """Name and version of all wheels: files differ by architecture, schemas do not."""
        return sorted(wheel.pin for wheel in (*self.wheels, self.operations))


def plan_gateway(package: PackageSpec, release: str, locks: Mapping[str, Lock]) -> GatewayPlan:
    """Plan the check of one package's gateway; SpecError or LockError if a lock lacks its part."""
    spec = package.gateway
    assert spec is not None
    absent = [name for name in (spec.schemas_of, spec.operations_of) if name not in locks]
    if absent:
        raise SpecError([f"{package.name}: the release has no {' and no '.join(absent)}"])
    lock, other = locks[spec.schemas_of], locks[spec.operations_of]
    wanted = canonicalize_name(spec.operations_in)
    found = [wheel for wheel in other.wheel if canonicalize_name(wheel.name) == wanted]
    if not found:
        raise LockError(
            f"the lock of {spec.operations_of} lacks {spec.operations_in}",
            hint="run 'builder lock'",
        )
    return GatewayPlan(
        release=release,
        program=PurePosixPath(spec.program),
        target=PurePosixPath(spec.target),
        minor=lock.python,
        requires_python=lock.requires_python,
        glibc=lock.glibc,
        wheels=lock.wheel,
        build=lock.build,
        operations=found[0],
    )


def made_entries(package: PackageSpec) -> list[Entry]:
    """Return the files that the build makes: their content is not known yet."""
    if package.gateway is None:
        return []
    target = PurePosixPath(package.gateway.target)
    return [Entry(target=target, kind=PayloadKind.FILE, mode=0o644)]
