"""Upgrades of a service's database, and the dumps that make them safe."""
