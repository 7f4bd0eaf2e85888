"""The content of a package, read without dpkg or rpm and without unpacking it to disk."""

from builder.inspect.package import Package, inspect_package

__all__ = ["Package", "inspect_package"]
