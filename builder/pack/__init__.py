"""Packages out of stages, and the manifest of what was built."""
