"""Upgrades of a service's database, and the backups that make them safe."""
