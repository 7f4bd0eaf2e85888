"""Verifies packages on clean hosts: containers with systemd."""
