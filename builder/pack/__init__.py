"""Packages made of stages, and the manifest of the built packages."""
