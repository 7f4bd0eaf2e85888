"""``pkgspec/`` as data: its schema, its loader, its published JSON Schema."""

from builder.spec.load import Spec, load_spec
from builder.spec.release import ReleaseSpec
from builder.spec.schema import PackageSpec

__all__ = ["PackageSpec", "ReleaseSpec", "Spec", "load_spec"]
