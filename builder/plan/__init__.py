"""Plans a package: every payload entry, rendered script and piece of metadata. Pure.

The same spec, lock and target give the same plan: no I/O, no clock, no environment. The
stage adds what only the wheels show: their files and the libraries they need.
"""

from builder.plan.gateway import GatewayPlan, plan_gateway
from builder.plan.make import PlanInput, plan_package
from builder.plan.model import (
    Entry,
    FormatPlan,
    Metadata,
    PackagePlan,
    PythonPlan,
    SampleEntry,
    doc_folder,
)
from builder.plan.report import plan_fingerprint, plan_summary

__all__ = [
    "Entry",
    "FormatPlan",
    "GatewayPlan",
    "Metadata",
    "PackagePlan",
    "PlanInput",
    "PythonPlan",
    "SampleEntry",
    "doc_folder",
    "plan_fingerprint",
    "plan_gateway",
    "plan_package",
    "plan_summary",
]
