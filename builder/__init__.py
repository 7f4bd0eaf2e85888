"""Builds Backend.AI as native packages: deb and rpm, each with its own CPython."""

__version__ = "0.1.0"
