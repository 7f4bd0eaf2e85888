"""Bundles: one file with which a host without a network installs and upgrades."""
