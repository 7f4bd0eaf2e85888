"""A plan as a summary for people and machines, and as the input of a stage's key."""

import json

from builder.base.model import PackageFormat
from builder.plan.model import PackagePlan


def plan_summary(plan: PackagePlan) -> dict[str, object]:
    """Summarize the plan for people and machines: names and sizes in place of contents."""
    return {
        "name": plan.name,
        "version": plan.metadata.full_version,
        "architecture": PackageFormat.DEB.arch_name(plan.arch),
        "prefix": str(plan.python.prefix) if plan.python else None,
        "python": plan.python.minor if plan.python else None,
        "runtime": str(plan.python.base) if plan.python and plan.python.base else None,
        "shared": list(plan.python.shared) if plan.python else [],
        "wheels": [wheel.pin for wheel in plan.python.wheels] if plan.python else [],
        "payload": [
            {
                "target": str(entry.target),
                "kind": entry.kind.value,
                "mode": f"{entry.mode:04o}",
                "owner": f"{entry.owner}:{entry.group}",
                "formats": [fmt.value for fmt in entry.formats],
                **({"link": entry.link} if entry.link else {}),
                **({"size": len(entry.content)} if entry.content is not None else {}),
            }
            for entry in plan.entries
        ],
        "samples": [
            {"from": f"{sample.distribution.pin}:{sample.member}", "target": str(sample.target)}
            for sample in plan.samples
        ],
        "formats": {
            fmt.value: {
                "depends": list(own.depends),
                "recommends": list(own.recommends),
                "suggests": list(own.suggests),
                "conflicts": list(own.conflicts),
                **({"breaks": list(own.breaks)} if own.breaks else {}),
                **({"provides": list(own.provides)} if own.provides else {}),
                "scripts": sorted(own.scripts),
            }
            for fmt, own in plan.formats.items()
        },
    }


def plan_fingerprint(plan: PackagePlan) -> str:
    """Return all of the plan as text, contents included: the input of a stage's key."""
    return json.dumps(plan, default=_plain_value, sort_keys=True)


def _plain_value(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    return str(value)
