"""Builds Backend.AI as native packages: deb and rpm, on a CPython of their own."""

__version__ = "0.1.0"
